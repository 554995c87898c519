"""Ingredient-101: the images of Food-101 and the ingredient lists of its classes, from their published folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.classification import TrainingText
from bench.data.files import file_digest
from bench.data.readers.images import read_lines
from bench.data.readers.labelled import Part, classification_content, folder_source, pad_rows
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1
FOOD = ("", "food-101")
"""Where Food-101 may lie inside the folder."""
ANNOTATIONS = ("Annotations", "annotations", "Ingredients101/Annotations")
"""Where Ingredient-101 may lie inside the folder."""
CLASSES, INGREDIENTS = "classes.txt", "ingredients.txt"
LISTS = {"train": "train", "valid": "val", "test": "test"}
HELD_OUT, HELD_OUT_SEED = 0.1, 101
"""Share of the training images of every class held out for validation where no list says which, and the draw's seed."""


class Layout(NamedTuple):
    """Where the two published archives were unpacked.

    Attributes:
        food: Folder with images/ and meta/.
        annotations: Folder with ingredients.txt.
    """

    food: Path
    annotations: Path


def read(request: Request) -> Content:
    """Reads Food-101 and the ingredient list of each class, which stands beside every training image as a set.

    The splits are Ingredient-101's own lists of images where they are; without them Food-101's, with a tenth of each
    class's training images drawn for validation. The note `split_origin` tells.

    Raises:
        DataError: A list is missing or malformed, an image is missing, damaged or listed twice, a folder is no class.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    layout = find(request.folder)
    classes = [line.strip() for line in read_lines(layout.food / "meta" / CLASSES)]
    recipes = read_recipes(layout.annotations / INGREDIENTS, len(classes))
    own = [layout.annotations / f"{name}_images.txt" for name in LISTS.values()]
    if all(path.is_file() for path in own):
        parts = {split: read_part(path, classes) for split, path in zip(LISTS, own, strict=True)}
        for split, name in LISTS.items():
            _check_labels(parts[split], layout.annotations / f"{name}_labels.txt")
        origin = "Ingredient-101's lists"
    else:
        meta = layout.food / "meta"
        parts = hold_out(read_part(meta / "train.txt", classes))
        parts["test"] = read_part(meta / "test.txt", classes)
        origin = f"Food-101's lists, {HELD_OUT:.0%} of each class's training images held out (seed {HELD_OUT_SEED})"
    vocabulary = ("", *sorted({word for recipe in recipes for word in recipe}))

    def text() -> TrainingText:
        token = {word: place for place, word in enumerate(vocabulary)}
        by_class = pad_rows([sorted(token[word] for word in recipe) for recipe in recipes])
        return TrainingText(by_class[parts["train"].labels], vocabulary, "set", "class")

    return classification_content(
        request,
        folder_source(request, layout.food / "images", parts),
        parts,
        classes,
        text=text,
        words=len(vocabulary) - 1,
        identity={"ingredients": file_digest(layout.annotations / INGREDIENTS), "reader": READER_VERSION},
        sizes={"ingredients": len(vocabulary) - 1},
        notes={"split_origin": origin},
    )


def find(folder: Path) -> Layout:
    """Finds the two archives in a folder.

    Raises:
        DataError: One of them is not there; says what is looked for.
    """
    food = [folder / place for place in FOOD if (folder / place / "meta" / CLASSES).is_file()]
    annotations = [folder / place for place in ANNOTATIONS if (folder / place / INGREDIENTS).is_file()]
    if not food:
        raise DataError(
            f"{folder} holds no Food-101: neither meta/{CLASSES} nor food-101/meta/{CLASSES} is there.",
            hint="Unpack food-101.tar.gz into it.",
        )
    if not annotations:
        places = " nor ".join(f"{place}/{INGREDIENTS}" for place in ANNOTATIONS)
        raise DataError(
            f"{folder} holds no ingredient lists: neither {places} is there.",
            hint="Unpack Ingredients101.zip into it.",
        )
    return Layout(food[0], annotations[0])


def read_recipes(path: Path, n_classes: int) -> list[tuple[str, ...]]:
    """Reads the ingredients of each class, one line a class in the order of classes.txt, separated by commas.

    Raises:
        DataError: The number of lines is not that of the classes, or a class has no ingredient.
    """
    lines = read_lines(path)
    if len(lines) != n_classes:
        raise DataError(f"{path} must have a line for each of the {n_classes} classes, but has {len(lines)}.")
    recipes = [tuple(dict.fromkeys(word for part in line.split(",") if (word := part.strip()))) for line in lines]
    for number, recipe in enumerate(recipes, 1):
        if not recipe:
            raise DataError(f"{path} line {number} names no ingredient.")
    return recipes


def read_part(path: Path, classes: list[str]) -> Part:
    """Reads a list of images, one `<class>/<id>` a line, with or without .jpg.

    Raises:
        DataError: A line has another form, or names none of the classes.
    """
    label = {name: place for place, name in enumerate(classes)}
    names, labels = [], []
    for number, line in enumerate(read_lines(path), 1):
        folder, slash, file = line.strip().partition("/")
        if not slash or not file or "/" in file:
            raise DataError(f"{path} line {number} must read <class>/<image>, but is {line!r}.")
        if folder not in label:
            raise DataError(
                f"{path} line {number}: {folder!r} is none of the {len(classes)} classes."
                f"{did_you_mean(folder, classes)}"
            )
        names.append(f"{folder}/{file.removesuffix('.jpg')}.jpg")
        labels.append(label[folder])
    return Part(names, np.array(labels, dtype=np.int64))


def hold_out(part: Part) -> dict[str, Part]:
    """Splits training images into train and valid: a tenth of each class, rounded, at least one of two or more.

    The draw depends on the order of the published list and on nothing else.
    """
    rng = np.random.default_rng(HELD_OUT_SEED)
    held = np.zeros(len(part.names), dtype=bool)
    for label in np.unique(part.labels):
        rows = np.flatnonzero(part.labels == label)
        count = min(max(1, round(HELD_OUT * len(rows))), len(rows) - 1)
        held[rng.permutation(rows)[:count]] = True
    return {
        split: Part([part.names[row] for row in rows.tolist()], part.labels[rows])
        for split, rows in (("train", np.flatnonzero(~held)), ("valid", np.flatnonzero(held)))
    }


def _check_labels(part: Part, path: Path) -> None:
    """Checks a list of labels against the images' folders, where it is there.

    A label counts the lines of ingredients.txt from 0, so this checks the order of the classes too.
    """
    if not path.is_file():
        return
    labels = [line.strip() for line in read_lines(path)]
    if len(labels) != len(part.names):
        raise DataError(f"{path} has {len(labels)} labels for {len(part.names)} images.")
    for number, (label, true, name) in enumerate(zip(labels, part.labels.tolist(), part.names, strict=True), 1):
        if label != str(true):
            raise DataError(f"{path} line {number}: the label of {name!r} must be {true}, but is {label!r}.")
