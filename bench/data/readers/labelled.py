"""Labelled images in splits: what the readers of image classification data share."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data.classification import CLEAN, ClassificationData, LabelledImages, TrainingText
from bench.data.content import Content
from bench.data.readers.images import IMAGES_VERSION, Source, folder_digest, folder_reader, load_pixels
from bench.data.types import ModalityInfo
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.data.content import Request

DEFAULT_SIDE = 64
"""Side in pixels where a card names none."""


class Part(NamedTuple):
    """One split of a labelled set of images.

    Attributes:
        names: Where each image lies inside the zip or folder; also its id.
        labels: (n,) int64 class of each.
    """

    names: Sequence[str]
    labels: np.ndarray


def check_parts(parts: Mapping[str, Part], where: str) -> None:
    """Checks that every split has images and that none is listed twice.

    Raises:
        DataError: Names the split, or the image and the splits it is in.
    """
    seen: dict[str, str] = {}
    for split, part in parts.items():
        if not len(part.names):
            raise DataError(f"{where}: the split {split!r} has no images.")
        for name in part.names:
            if name in seen:
                both = f"in {seen[name]!r} and in {split!r}" if seen[name] != split else f"twice in {split!r}"
                raise DataError(
                    f"{where}: the image {name!r} is listed {both}.", hint="An image belongs to one split, once."
                )
            seen[name] = split


def folder_source(request: Request, folder: Path, parts: Mapping[str, Part]) -> Source:
    """Returns the source of images that lie in a folder, their lists checked before a byte is read.

    Raises:
        DataError: See `check_parts` and `folder_digest`.
    """
    check_parts(parts, str(folder))
    names = [name for part in parts.values() for name in part.names]
    digest = folder_digest(folder, names, what=f"reading {request.id}", progress=request.progress)
    return Source(str(folder), digest, lambda: folder_reader(folder))


def classification_content(
    request: Request,
    source: Source,
    parts: Mapping[str, Part],
    classes: Sequence[str],
    *,
    text: Callable[[], TrainingText] | None,
    words: int,
    identity: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Content:
    """Returns what `open_content` wants of a labelled set of images with one test condition, `clean`.

    Training decodes all three splits, so that a damaged test image is an error before training and not after it; it
    hands out train and validation alone.

    Args:
        request: What was asked for; the card's option `side` is the side in pixels.
        source: Where the images lie.
        parts: The splits train, valid and test.
        classes: Names by label.
        text: Returns the text of the training images; None where there is none.
        words: Words of its vocabulary.
        identity: What else the data is a function of.
        sizes: Counts besides those of splits and classes.
        notes: What a result should carry along.
    """
    side = int(request.card.options.get("side", DEFAULT_SIDE))

    def images(split: str) -> LabelledImages:
        names, labels = parts[split]
        what = f"decoding {request.id} {split}"
        pixels = load_pixels(source, names, side, what=what, progress=request.progress)
        return LabelledImages(pixels, labels, np.array(names))

    def training(digest: str) -> ClassificationData:
        loaded = {split: images(split) for split in parts}
        return ClassificationData(
            name=request.id,
            classes=tuple(classes),
            train=loaded["train"],
            valid=loaded["valid"],
            text=text() if text is not None else None,
            digest=digest,
        )

    modalities = {"image": ModalityInfo("images", side, None)}
    if text is not None:
        modalities["text"] = ModalityInfo("text", words, None)
    labels = {split: [part.names, part.labels.tolist()] for split, part in parts.items()}
    return Content(
        identity={
            **identity,
            "images": source.digest,
            "decode": IMAGES_VERSION,
            "side": side,
            "classes": list(classes),
            "split": hashlib.sha256(json.dumps(labels).encode()).hexdigest(),
        },
        modalities=modalities,
        sizes={**{split: len(part.names) for split, part in parts.items()}, "classes": len(classes), **(sizes or {})},
        training=training,
        test=lambda: {CLEAN: images("test")},
        notes={
            "classes_without_validation_image": len(classes) - len(np.unique(parts["valid"].labels)),
            **(notes or {}),
        },
    )


def pad_rows(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns (n, longest row, at least 1) int32 tokens, filled up with 0."""
    tokens = np.zeros((len(rows), max(1, *(len(row) for row in rows)) if rows else 1), dtype=np.int32)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    return tokens
