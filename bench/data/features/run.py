"""`extract_features`: from a dataset's name and a backbone's to a file of features."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.data.card import ContentCard
from bench.data.content import Request
from bench.data.features.frames import Frames, frames_of_folder
from bench.data.features.stored import open_features, write_features
from bench.data.locate import locate
from bench.data.protocols import resolve_protocol
from bench.data.registry import resolve_dataset
from bench.errors import DeviceError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

    Progress = Callable[[str, int, int], None]


def extract_features(
    id_: str,
    *,
    backbone: str,
    out: Path,
    frames: Path | None = None,
    clips: int = 8,
    length: int = 16,
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> dict[str, list[int]]:
    """Writes appearance and motion features of a dataset's frames.

    Args:
        id_: A dataset whose card names its frames, or any other of the family with `frames`.
        backbone: Folder or hub id of a vision checkpoint of `transformers`.
        out: The HDF5 file.
        frames: Folder with a folder of pictures for each video.
        clips: Clips of a video, with `frames`.
        length: Frames of a clip, with `frames`.
        device: Where the backbone runs.
        progress: Called with (what, done, total).

    Returns:
        Shapes of `appearance` and `motion`.

    Raises:
        UserError: The dataset has no frames and none were given, or there is no such backbone or device.
        DataError: A picture is damaged, or the file cannot be written.
    """
    import torch

    from bench.data.features.backbone import Backbone, extract

    found = frames_of_folder(frames, clips=clips, frames=length) if frames is not None else own_frames(id_, progress)
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"cannot use device {device!r}: {str(error).splitlines()[0]}") from error

    def rows() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        for done, row in enumerate(extract(Backbone(backbone, place), found), start=1):
            progress(f"features of {id_}", done, len(found.ids))
            yield row

    write_features(out, rows(), len(found.ids))
    written = open_features(out, out)
    return {"appearance": list(written.appearance.shape), "motion": list(written.motion.shape)}


def own_frames(id_: str, progress: Progress) -> Frames:
    """Returns the frames that a dataset's card names.

    Raises:
        UserError: It names none.
        DatasetUnavailableError: The dataset is not on this machine.
    """
    dataset, card = resolve_dataset(id_)
    target = card.options.get("frames") if isinstance(card, ContentCard) else None
    if not isinstance(card, ContentCard) or target is None:
        raise UserError(
            f"dataset {id_!r} has no frames that this package can read.",
            hint="Cut its videos into pictures, one folder for each video, and name their folder with --frames.",
        )
    protocol = resolve_protocol(card, None)
    module, _, function = str(target).partition(":")
    folder = None if card.generated else locate(dataset, card, protocol).folder
    read: Callable[[Request], Frames] = getattr(importlib.import_module(module), function)
    return read(Request(str(dataset), dataset.scale, folder, card, protocol, progress))
