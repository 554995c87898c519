"""COCO 2014 captions as published: `annotations/captions_{train,val}2014.json` beside the folders of images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.data.files import file_digest
from bench.data.readers.captions import CaptionPart, captioned_content
from bench.data.readers.images import Source, folder_digest, folder_reader
from bench.data.readers.questions import grouped
from bench.data.readers.text import words
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 2
SEED = "coco-2014 1"
SHARES = {"valid": 0.02, "train": 1.0}
"""Of the published training images."""


class Captioned(NamedTuple):
    """One image.

    Attributes:
        name: Path inside the dataset's folder.
        caption: The first of its captions by annotation id that has a word.
    """

    name: str
    caption: str


def read(request: Request) -> Content:
    """Reads images with one caption each; the published validation images are the test split.

    Raises:
        DataError: An annotation file is missing or damaged, or an image it names is missing.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    folder = request.folder
    files = {split: folder / "annotations" / f"captions_{split}2014.json" for split in ("train", "val")}
    train = {row.name: row for row in read_captions(files["train"], "train2014")}
    chosen = grouped(train, seed=SEED, shares=SHARES)
    parts = {
        "train": [train[name] for name in sorted(chosen["train"])],
        "valid": [train[name] for name in sorted(chosen["valid"])],
        "test": read_captions(files["val"], "val2014"),
    }
    names = [row.name for rows in parts.values() for row in rows]
    digest = folder_digest(folder, names, what=f"reading {request.id}", progress=request.progress)
    return captioned_content(
        request,
        Source(str(folder), digest, lambda: folder_reader(folder)),
        {part: CaptionPart([row.name for row in rows], [row.caption for row in rows]) for part, rows in parts.items()},
        identity={"reader": READER_VERSION, "captions": {split: file_digest(path) for split, path in files.items()}},
    )


def read_captions(path: Path, folder: str) -> list[Captioned]:
    """Reads an annotation file: `images` with `id` and `file_name`, `annotations` with `id`, `image_id`, `caption`.

    Raises:
        DataError: It is missing or not of this form, or an image has no caption.
    """
    try:
        content: Any = json.loads(path.read_bytes())
        names = {int(row["id"]): str(row["file_name"]) for row in content["images"]}
        told = sorted((int(row["id"]), int(row["image_id"]), str(row["caption"])) for row in content["annotations"])
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a COCO caption file: {type(error).__name__} {error}.",
            hint="It needs images (id, file_name) and annotations (id, image_id, caption).",
        ) from error
    first: dict[int, str] = {}
    for _, image, caption in told:
        if words(caption):
            first.setdefault(image, " ".join(caption.split()))
    without = [name for image, name in names.items() if image not in first]
    if without:
        raise DataError(f"{path}: the image {without[0]!r} has no caption.")
    return [Captioned(f"{folder}/{names[image]}", first[image]) for image in sorted(names)]
