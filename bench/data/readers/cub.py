"""CUB-200-2011 birds as published, with the captions and the class split of Reed and others beside them.

Images are cut to a square of half-side 0.75 times the longer side of the bird's box, about its centre, as the loaders
of AttnGAN, DF-GAN and GALIP do.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from bench.data.readers.captions import CaptionPart, captioned_content
from bench.data.readers.images import Source, folder_digest, folder_reader, read_lines
from bench.data.readers.text import words
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bench.data.content import Content, Request
    from bench.data.readers.images import Read

READER_VERSION = 2
BIRDS = "CUB_200_2011"
TEXTS = ("text_c10", "text")
"""Folders of the captions; the first that is there counts."""
SPLITS = {"train": "trainclasses.txt", "valid": "valclasses.txt", "test": "testclasses.txt"}
REACH = 0.75


class Bird(NamedTuple):
    """One image.

    Attributes:
        name: Path inside `CUB_200_2011/images`.
        box: Left, top, width and height of the bird in pixels.
    """

    name: str
    box: tuple[float, float, float, float]


def read(request: Request) -> Content:
    """Reads images with their first caption; no class is in two parts.

    Raises:
        DataError: A list is missing or damaged, an image or a caption is missing, or a class is in two parts.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    folder = request.folder
    texts = next((folder / name for name in TEXTS if (folder / name).is_dir()), None)
    if texts is None:
        raise DataError(
            f"{folder} has no folder of captions.", hint=f"Unpack the captions as {' or '.join(TEXTS)} beside {BIRDS}."
        )
    birds = {bird.name: bird for bird in read_birds(folder / BIRDS)}
    part_of = read_classes(folder)
    rows: dict[str, list[tuple[str, str]]] = {part: [] for part in SPLITS}
    for name in sorted(birds):
        kind = name.partition("/")[0]
        if kind not in part_of:
            raise DataError(f"{folder}: the class {kind!r} of {name!r} is in none of {', '.join(SPLITS.values())}.")
        rows[part_of[kind]].append((name, _caption(texts / f"{name.rpartition('.')[0]}.txt")))
    images = folder / BIRDS / "images"
    digest = folder_digest(images, sorted(birds), what=f"reading {request.id}", progress=request.progress)
    boxes = {name: bird.box for name, bird in birds.items()}
    return captioned_content(
        request,
        Source(str(images), f"{digest} boxes {READER_VERSION} {sorted(boxes.items())}", lambda: _cut(images, boxes)),
        {part: CaptionPart([name for name, _ in found], [text for _, text in found]) for part, found in rows.items()},
        identity={"reader": READER_VERSION},
        sizes={"classes": len(part_of)},
    )


def read_birds(folder: Path) -> list[Bird]:
    """Reads `images.txt` (number, path) and `bounding_boxes.txt` (number, x, y, width, height).

    Raises:
        DataError: A file is missing, or a line is not of this form.
    """
    names: dict[str, str] = {}
    boxes: dict[str, tuple[float, float, float, float]] = {}
    for file, fields in (("images.txt", 2), ("bounding_boxes.txt", 5)):
        for number, line in enumerate(read_lines(folder / file), 1):
            found = line.split()
            place = f"{folder / file} line {number}"
            if len(found) != fields:
                raise DataError(f"{place}: {fields} fields expected, but got {line!r}.")
            if fields == 2:
                names[found[0]] = found[1]
                continue
            try:
                left, top, width, height = map(float, found[1:])
            except ValueError as error:
                raise DataError(f"{place}: {error}.") from error
            boxes[found[0]] = (left, top, width, height)
    without = sorted(set(names) - set(boxes))
    if without:
        raise DataError(f"{folder / 'bounding_boxes.txt'} has no box of image {without[0]} ({names[without[0]]}).")
    return [Bird(name, boxes[number]) for number, name in names.items()]


def read_classes(folder: Path) -> dict[str, str]:
    """Returns the part of each class, from the three lists of class names.

    Raises:
        DataError: A list is missing, or a class is in two of them.
    """
    part_of: dict[str, str] = {}
    for part, file in SPLITS.items():
        for kind in filter(None, (line.strip() for line in read_lines(folder / file))):
            if kind in part_of:
                raise DataError(f"{folder / file}: the class {kind!r} is in {SPLITS[part_of[kind]]} as well.")
            part_of[kind] = part
    return part_of


def crop_box(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the square about a bird, cut to the image."""
    left, top, wide, high = box
    reach = int(max(wide, high) * REACH)
    x, y = int((2 * left + wide) / 2), int((2 * top + high) / 2)
    return max(0, x - reach), max(0, y - reach), min(width, x + reach), min(height, y + reach)


@contextmanager
def _cut(folder: Path, boxes: Mapping[str, tuple[float, float, float, float]]) -> Iterator[Read]:
    with folder_reader(folder) as read_file:

        def read(name: str) -> bytes:
            data = read_file(name)
            try:
                with Image.open(io.BytesIO(data)) as opened:
                    image = opened.convert("RGB")
            except (OSError, ValueError, SyntaxError) as error:
                raise DataError(
                    f"{folder}: image {name!r} cannot be decoded: {error}.",
                    hint="The file is damaged: copy or download it again.",
                ) from error
            buffer = io.BytesIO()
            image.crop(crop_box(boxes[name], *image.size)).save(buffer, "PNG", compress_level=0)
            return buffer.getvalue()

        yield read


def _caption(path: Path) -> str:
    try:
        lines = [line.strip() for line in read_lines(path) if words(line)]
    except DataError as error:
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*.txt")]) if path.parent.is_dir() else ""
        raise DataError(error.message + near, hint="Every image needs a file of captions.") from error
    if not lines:
        raise DataError(f"{path} holds no caption.")
    return lines[0]
