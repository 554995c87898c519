"""The Grocery Store dataset from one zip: photos, `meta.jsonl` with their splits, and a description of each class."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data.classification import TrainingText
from bench.data.files import file_digest
from bench.data.readers.images import Source, open_zip, zip_reader
from bench.data.readers.labelled import Part, check_parts, classification_content, pad_rows
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1
ARCHIVE, META = "grocery_128.zip", "meta.jsonl"
SPLITS = {"train": "train", "val": "valid", "test": "test"}
"""Published name of a split to ours."""
_WORD = re.compile(r"[^\W_]+")


class Meta(NamedTuple):
    """What `meta.jsonl` says.

    Attributes:
        parts: The splits train, valid and test.
        classes: Names by label.
        sentences: Words about each class: its name, its coarse name where that differs, its description.
    """

    parts: Mapping[str, Part]
    classes: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]


def read(request: Request) -> Content:
    """Reads `grocery_128.zip`: official splits, and the sentence about its class beside every training image.

    Raises:
        DataError: The zip or `meta.jsonl` is damaged, an image is missing or listed twice, a label is no class.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ARCHIVE
    digest = file_digest(path)
    meta = read_meta(path)
    check_parts(meta.parts, f"{path}, {META}")
    vocabulary = ("", *sorted({word for sentence in meta.sentences for word in sentence}))

    def text() -> TrainingText:
        token = {word: place for place, word in enumerate(vocabulary)}
        by_class = pad_rows([[token[word] for word in sentence] for sentence in meta.sentences])
        return TrainingText(by_class[meta.parts["train"].labels], vocabulary, "sentence", "class")

    return classification_content(
        request,
        Source(str(path), digest, lambda: zip_reader(path)),
        meta.parts,
        meta.classes,
        text=text,
        words=len(vocabulary) - 1,
        identity={"archive": digest, "reader": READER_VERSION},
    )


def read_meta(path: Path) -> Meta:
    """Reads the rows about images and classes.

    Raises:
        DataError: See `read`.
    """
    where = f"{path}, {META}"
    with zip_reader(path) as fetch, open_zip(path) as archive:
        text = fetch(META)
        members = frozenset(archive.namelist())
    try:
        rows = [(number, json.loads(line)) for number, line in enumerate(text.decode().splitlines(), 1) if line.strip()]
    except ValueError as error:
        raise DataError(f"{where}: not one JSON object a line: {error}.") from error
    for number, row in rows:
        wanted = ("fine", "name", "description") if _is_class(row) else ("fine", "file", "split")
        missing = [key for key in wanted if not isinstance(row, dict) or key not in row]
        if missing:
            raise DataError(f"{where} line {number} lacks {missing[0]!r}.")
    about = _classes([(number, row) for number, row in rows if _is_class(row)], where)
    found: dict[str, tuple[list[str], list[int]]] = {split: ([], []) for split in SPLITS.values()}
    for number, row in rows:
        if _is_class(row):
            continue
        file, split, label = row["file"], row["split"], row["fine"]
        if split not in SPLITS:
            raise DataError(
                f"{where} line {number}: split {split!r} of {file!r} must be one of {', '.join(SPLITS)}."
                f"{did_you_mean(str(split), SPLITS)}"
            )
        if not _is_label(label) or label >= len(about):
            raise DataError(
                f"{where} line {number}: class {label!r} of {file!r} is none of the {len(about)} classes, "
                f"0 to {len(about) - 1}."
            )
        if file not in members:
            raise DataError(f"{where} line {number}: the zip holds no {file!r}.{did_you_mean(str(file), members)}")
        names, labels = found[SPLITS[split]]
        names.append(file)
        labels.append(label)
    parts = {split: Part(names, np.array(labels, dtype=np.int64)) for split, (names, labels) in found.items()}
    return Meta(parts, tuple(str(row["name"]) for row in about), tuple(_sentence(row) for row in about))


def _classes(rows: list[tuple[int, dict[str, Any]]], where: str) -> list[dict[str, Any]]:
    by_label: dict[int, dict[str, Any]] = {}
    for number, row in rows:
        if not _is_label(row["fine"]) or row["fine"] >= len(rows) or row["fine"] in by_label:
            raise DataError(
                f"{where} line {number}: the {len(rows)} classes must be numbered from 0 without a gap, "
                f"but {row['name']!r} is {row['fine']!r}."
            )
        by_label[row["fine"]] = row
    if not by_label:
        raise DataError(f"{where} describes no class.", hint="A class is a line with kind, fine, name and description.")
    return [by_label[label] for label in range(len(by_label))]


def _sentence(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = dict.fromkeys([str(row["name"]), str(row.get("coarse_name", row["name"]))])
    return tuple(_WORD.findall(" ".join([*names, str(row["description"])]).lower()))


def _is_class(row: object) -> bool:
    return isinstance(row, dict) and row.get("kind") == "class"


def _is_label(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
