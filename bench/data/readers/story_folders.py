"""PororoSV and FlintstonesSV in the HDF5 layout of AR-LDM, which its scripts write from the published files.

Groups `train`, `val` and `test` hold `image0` to `image4`, encoded pictures of variable length, and `text`, the five
captions joined by `|`. A picture is a strip of square frames, one below the other, of which the first is read: loaders
that draw one at random do so at test time as well. The published files themselves are pickles and are not read.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from PIL import Image

from bench.data.files import file_digest
from bench.data.readers.captions import StoryPart, stories_content, story_pixels
from bench.data.readers.images import Source
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.data.content import Content, Request
    from bench.data.readers.images import Read

READER_VERSION = 2
GROUPS = {"train": "train", "valid": "val", "test": "test"}
FRAMES = 5
SEPARATOR = "|"


def read(request: Request) -> Content:
    """Reads stories of five frames; the card's marker is the name of the file.

    Raises:
        DataError: The file is damaged, a group or column is missing, or a story has not five captions.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / request.card.markers[0]
    digest = file_digest(path)
    source = Source(str(path), f"{digest} first frame {READER_VERSION}", lambda: _reader(path))
    parts = {}
    with _opened(path) as file:
        for part, group in GROUPS.items():
            captions = _captions(file, group, path)
            names = [[f"{group}/image{frame}/{row}" for frame in range(FRAMES)] for row in range(len(captions))]
            parts[part] = StoryPart(
                ids=[f"{group}-{row:05d}" for row in range(len(captions))],
                captions=captions,
                frames=story_pixels(request, source, names, part),
            )
    return stories_content(request, parts, identity={"reader": READER_VERSION, "file": digest})


def first_frame(data: bytes) -> bytes:
    """Returns the first frame of a strip, a square as wide as the strip, as PNG.

    Raises:
        OSError: And other errors of Pillow, where the picture is damaged.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    buffer = io.BytesIO()
    image.crop((0, 0, image.width, min(image.width, image.height))).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"cannot read the HDF5 file {str(path)!r}: {error}.") from error
    with file:
        missing = [
            f"{group}/{name}"
            for group in GROUPS.values()
            for name in ("text", *(f"image{frame}" for frame in range(FRAMES)))
            if f"{group}/{name}" not in file
        ]
        if missing:
            raise DataError(
                f"{path} has no {missing[0]!r}.", hint="Write it with AR-LDM's data_script from the published files."
            )
        yield file


def _captions(file: Any, group: str, path: Path) -> list[list[str]]:
    found = []
    for row, text in enumerate(file[f"{group}/text"][:]):
        told = (text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)).split(SEPARATOR)
        if len(told) != FRAMES:
            raise DataError(f"{path}, {group}/text row {row}: {FRAMES} captions expected, but got {len(told)}.")
        found.append([caption.strip() for caption in told])
    if any(len(file[f"{group}/image{frame}"]) != len(found) for frame in range(FRAMES)):
        raise DataError(f"{path}, {group}: the columns of images and text have not the same length.")
    return found


@contextmanager
def _reader(path: Path) -> Iterator[Read]:
    with _opened(path) as file:

        def read(name: str) -> bytes:
            column, _, row = name.rpartition("/")
            # HDF5 itself takes one thread at a time; h5py holds the lock.
            data = np.asarray(file[column][int(row)], dtype=np.uint8).tobytes()
            try:
                return first_frame(data)
            except (OSError, ValueError, SyntaxError) as error:
                told = hashlib.sha256(data).hexdigest()[:12]
                raise DataError(
                    f"{path}: picture {name!r} ({len(data)} bytes, sha256 {told}) cannot be decoded: {error}."
                ) from error

        yield read
