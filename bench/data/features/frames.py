"""Frames of clips: where a featuriser finds the pixels of a dataset's videos and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class Frames(NamedTuple):
    """The frames of a dataset, read one video at a time.

    Attributes:
        ids: Every video or image, in the order `clips` gives them.
        clips: Yields (N, F, H, W, 3) uint8 for each.
    """

    ids: list[str]
    clips: Iterator[np.ndarray]


class Watched(NamedTuple):
    """What one question is about, for people to look at.

    Attributes:
        frames: (N, F, H, W, 3) uint8: the frames of each clip, or one picture for each region of a still image.
        grid: Rows and columns of a still image's regions; None for a video.
    """

    frames: np.ndarray
    grid: tuple[int, int] | None = None


def frames_of_folder(folder: Path, *, clips: int, frames: int) -> Frames:
    """Reads frames that another program cut videos into: one folder for each video, named like its id.

    Clip i is `frames` consecutive pictures around the i-th of N interior points of linspace(0, T, N + 2), border
    pictures repeated (HCRN, `preprocess_features.py`).

    Args:
        folder: Holds a folder of pictures for each video; pictures in the order of their names.
        clips: N.
        frames: F.

    Raises:
        DataError: There is no folder with pictures, or a picture cannot be read; names it.
    """
    found = {
        video.name: sorted(file for file in video.iterdir() if file.suffix.lower() in _PICTURES)
        for video in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if video.is_dir()
    }
    empty = [name for name, pictures in found.items() if not pictures]
    if not found or empty:
        raise DataError(
            f"{folder / empty[0] if empty else folder} holds no pictures.",
            hint="Cut each video into pictures first, e.g. `ffmpeg -i ID.avi FOLDER/ID/%06d.jpg`.",
        )

    def read() -> Iterator[np.ndarray]:
        for pictures in found.values():
            places = frame_places(len(pictures), clips, frames)
            images = {place: picture(pictures[place]) for place in np.unique(places)}
            yield np.stack([np.stack([images[place] for place in clip]) for clip in places.tolist()])

    return Frames(list(found), read())


def frame_places(total: int, clips: int, frames: int) -> np.ndarray:
    """Returns (clips, frames) indices of the pictures of each clip out of `total`; see `frames_of_folder`."""
    middle = np.linspace(0, total, clips + 2).astype(np.int64)[1:-1, None]
    places: np.ndarray = np.clip(middle - frames // 2 + np.arange(frames), 0, total - 1)
    return places


def picture(path: Path) -> np.ndarray:
    """Reads an image as (H, W, 3) uint8.

    Raises:
        DataError: It is damaged; names it.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"image {str(path)!r} cannot be decoded: {error}.") from error
