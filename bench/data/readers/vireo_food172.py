"""Vireo-Food172 as published: `ready_chinese_food/<class>/` and the lists of `SplitAndIngreLabel/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.classification import TrainingText
from bench.data.files import file_digest
from bench.data.readers.images import read_lines
from bench.data.readers.labelled import Part, classification_content, folder_source, pad_rows
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1
IMAGES, LISTS = "ready_chinese_food", "SplitAndIngreLabel"
SPLITS = {"train": "TR.txt", "valid": "VAL.txt", "test": "TE.txt"}
CLASSES, INGREDIENTS, LABELS = "FoodList.txt", "IngredientList.txt", "IngreLabel.txt"
_MARKS = frozenset({"-1", "0", "1"})


def read(request: Request) -> Content:
    """Reads the published folders: official splits, and the ingredients seen in every training image as a set.

    The class of an image is the number of its folder, from 1, a line of `FoodList.txt`. An ingredient is one token; a
    1 in its column of `IngreLabel.txt` says that the image shows it, 0 and -1 that it does not.

    Raises:
        DataError: A list is missing or malformed, an image is missing, damaged or listed twice, a folder is no class.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    images, lists = request.folder / IMAGES, request.folder / LISTS
    classes = [line.strip() for line in read_lines(lists / CLASSES)]
    ingredients = [line.strip() for line in read_lines(lists / INGREDIENTS)]
    parts = {split: read_part(lists / file, len(classes)) for split, file in SPLITS.items()}
    train = parts["train"].names

    def text() -> TrainingText:
        rows = read_ingredients(lists / LABELS, train, len(ingredients))
        return TrainingText(pad_rows(rows), ("", *ingredients), "set", "image")

    files = (CLASSES, INGREDIENTS, LABELS, *SPLITS.values())
    return classification_content(
        request,
        folder_source(request, images, parts),
        parts,
        classes,
        text=text,
        words=len(ingredients),
        identity={"lists": {name: file_digest(lists / name) for name in files}, "reader": READER_VERSION},
        sizes={"ingredients": len(ingredients)},
    )


def read_part(path: Path, n_classes: int) -> Part:
    """Reads a list of images, one `/<class>/<file>` a line.

    Raises:
        DataError: A line has another form, or its folder is none of the classes.
    """
    names, labels = [], []
    for number, line in enumerate(read_lines(path), 1):
        name = line.strip().lstrip("/")
        folder, slash, file = name.partition("/")
        if not slash or not file or "/" in file or not folder.isdecimal():
            raise DataError(f"{path} line {number} must read /<class number>/<file>, but is {line!r}.")
        if not 1 <= int(folder) <= n_classes:
            raise DataError(
                f"{path} line {number}: class {folder!r} of {name!r} is none of the {n_classes} of {CLASSES}, "
                f"1 to {n_classes}."
            )
        names.append(name)
        labels.append(int(folder) - 1)
    return Part(names, np.array(labels, dtype=np.int64))


def read_ingredients(path: Path, names: Sequence[str], n_ingredients: int) -> list[list[int]]:
    """Reads `IngreLabel.txt`: a path and one column of -1, 0 or 1 for each ingredient.

    Args:
        path: The file; it has lines for images of all splits.
        names: Images whose ingredients are wanted.
        n_ingredients: Number of columns.

    Returns:
        Tokens of each image in rising order: the column of an ingredient, from 1.

    Raises:
        DataError: A line has another form, or a wanted image has none.
    """
    wanted = set(names)
    found: dict[str, list[int]] = {}
    for number, line in enumerate(read_lines(path), 1):
        head, *marks = line.split()
        name = head.lstrip("/")
        if name not in wanted:
            continue
        if len(marks) != n_ingredients:
            raise DataError(
                f"{path} line {number}: {head!r} has {len(marks)} columns, {INGREDIENTS} lists {n_ingredients}."
            )
        odd = [mark for mark in set(marks) if mark not in _MARKS]
        if odd:
            raise DataError(f"{path} line {number}: {odd[0]!r} of {head!r} must be -1, 0 or 1.")
        found[name] = [column for column, mark in enumerate(marks, 1) if mark == "1"]
    for name in names:
        if name not in found:
            raise DataError(f"{path} has no line for the training image '/{name}'.")
    return [found[name] for name in names]
