"""Readers of Vireo-Food172 and Ingredient-101, on tiny folders of the published layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_factories import COLOURS, encoded

from bench.data.dataset import open_dataset
from bench.data.readers.ingredient_101 import hold_out
from bench.data.readers.labelled import Part
from bench.data.registry import DATASETS
from bench.errors import DataError, DatasetUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def write_vireo(folder: Path) -> Path:
    root = folder / "vireo-food172"
    lists = root / "SplitAndIngreLabel"
    lists.mkdir(parents=True)
    splits = {
        "TR": ["/1/0_1.jpg", "/2/0_5.jpg", "/2/0_6.jpg"],
        "VAL": ["/1/3_1.jpg"],
        "TE": ["/2/9_9.jpg", "/1/7_7.jpg"],
    }
    marks = {"/1/0_1.jpg": "1 -1 1", "/2/0_5.jpg": "-1 -1 -1", "/2/0_6.jpg": "0 1 -1"}
    for name, paths in splits.items():
        (lists / f"{name}.txt").write_text("".join(f"{path}\n" for path in paths))
    every = [path for paths in splits.values() for path in paths]
    (lists / "IngreLabel.txt").write_text("".join(f"{path} {marks.get(path, '-1 1 1')}\n" for path in every))
    (lists / "FoodList.txt").write_text("Braised Pork\nSauteed spicy pork\n")
    (lists / "IngredientList.txt").write_text("Minced green onion\nHob blocks of potato\nPork\n")
    for path in every:
        image = root / "ready_chinese_food" / path[1:]
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encoded(COLOURS[int(path[1]) - 1]))
    return root


def test_vireo_is_read_with_the_ingredients_of_each_training_image(data_folder: Path) -> None:
    write_vireo(data_folder)
    found = open_dataset("vireo-food172")
    assert found.sizes == {"train": 3, "valid": 1, "test": 2, "classes": 2, "ingredients": 3}
    training = found.training()
    assert training.classes == ("Braised Pork", "Sauteed spicy pork")
    assert training.train.pixels.shape == (3, 224, 224, 3)
    assert training.train.labels.tolist() == [0, 1, 1] and training.train.ids.tolist()[0] == "1/0_1.jpg"
    assert (training.text.form, training.text.level) == ("set", "image")
    assert training.text.tokens.tolist() == [[1, 3], [0, 0], [2, 0]]
    assert training.text.vocabulary == ("", "Minced green onion", "Hob blocks of potato", "Pork")
    assert found.test()["clean"].labels.tolist() == [1, 0]


def test_the_digest_follows_the_photos_and_not_their_place(data_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    root = write_vireo(data_folder)
    before = open_dataset("vireo-food172").digest
    monkeypatch.setattr("bench.data.dataset._open", {})
    data_folder.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "elsewhere"))
    assert open_dataset("vireo-food172").digest == before
    monkeypatch.setattr("bench.data.dataset._open", {})
    changed = tmp_path / "elsewhere" / root.name / "ready_chinese_food" / "1" / "7_7.jpg"
    changed.write_bytes(encoded(COLOURS[2]))
    assert open_dataset("vireo-food172").digest != before


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "TR.txt",
            "/1/0_1",
            "/3/0_1",
            "TR.txt line 1: class '3' of '3/0_1.jpg' is none of the 2 of FoodList.txt, 1 to 2.",
        ),
        ("TE.txt", "/2/9_9.jpg", "9_9.jpg", "TE.txt line 1 must read /<class number>/<file>, but is '9_9.jpg'."),
        ("VAL.txt", "/1/3_1", "/1/0_1", "the image '1/0_1.jpg' is listed in 'train' and in 'valid'."),
        ("VAL.txt", "/1/3_1", "/1/3_2", "3_2.jpg' is missing"),
        (
            "IngreLabel.txt",
            "/1/0_1.jpg 1 -1 1",
            "/1/0_1.jpg 1 -1",
            "line 1: '/1/0_1.jpg' has 2 columns, IngredientList",
        ),
        ("IngreLabel.txt", "/1/0_1.jpg 1 -1 1", "/1/0_1.jpg 1 2 1", "line 1: '2' of '/1/0_1.jpg' must be -1, 0 or 1."),
        ("IngreLabel.txt", "/1/0_1.jpg", "/1/0_2.jpg", "has no line for the training image '/1/0_1.jpg'."),
    ],
)
def test_vireo_lists_that_break_a_rule_are_named(data_folder: Path, file: str, old: str, new: str, said: str) -> None:
    edit(write_vireo(data_folder) / "SplitAndIngreLabel" / file, old, new)
    with pytest.raises(DataError) as caught:
        open_dataset("vireo-food172").training()
    assert said in caught.value.message


def test_a_damaged_photo_in_a_folder_is_named(data_folder: Path, fresh_cache: Path) -> None:
    root = write_vireo(data_folder)
    (root / "ready_chinese_food" / "2" / "0_6.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"ready_chinese_food: image '2/0_6\.jpg' cannot be decoded"):
        open_dataset("vireo-food172").training()
    assert not list((fresh_cache / "derived").iterdir())


def test_a_list_that_is_missing_is_named(data_folder: Path) -> None:
    root = write_vireo(data_folder)
    (root / "SplitAndIngreLabel" / "FoodList.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read '.*FoodList\.txt': No such file"):
        open_dataset("vireo-food172")


def write_food(folder: Path, *, own_lists: bool, nested: bool = False, per_class: int = 12) -> Path:
    root = folder / "ingredient-101"
    food = root / "food-101" if nested else root
    notes = root / ("Ingredients101/Annotations" if nested else "Annotations")
    (food / "meta").mkdir(parents=True)
    notes.mkdir(parents=True)
    classes = ["apple_pie", "waffles"]
    (food / "meta" / "classes.txt").write_text("apple_pie\nwaffles\n")
    train = [f"{name}/{number}" for name in classes for number in range(per_class)]
    test = [f"{name}/{number}" for name in classes for number in (900, 901)]
    for place, names in (("train", train), ("test", test)):
        (food / "meta" / f"{place}.txt").write_text("\n".join(names))
    (notes / "ingredients.txt").write_text("apple,butter, flour,butter\nflour,egg\n")
    if own_lists:
        for place, names in (("train", train[2:]), ("val", train[:2]), ("test", test)):
            (notes / f"{place}_images.txt").write_text("".join(f"{name}\n" for name in names))
            labels = [classes.index(name.partition("/")[0]) for name in names]
            (notes / f"{place}_labels.txt").write_text("".join(f"{label}\n" for label in labels))
    for name in (*train, *test):
        image = food / "images" / f"{name}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encoded(COLOURS[classes.index(name.partition("/")[0])]))
    return root


@pytest.mark.parametrize("nested", [False, True])
def test_ingredient_101_uses_its_own_lists_and_the_ingredients_of_the_class(data_folder: Path, nested: bool) -> None:
    write_food(data_folder, own_lists=True, nested=nested)
    found = open_dataset("ingredient-101")
    assert found.sizes == {"train": 22, "valid": 2, "test": 4, "classes": 2, "ingredients": 4}
    assert found.notes["split_origin"] == "Ingredient-101's lists"
    training = found.training()
    assert training.valid.ids.tolist() == ["apple_pie/0.jpg", "apple_pie/1.jpg"]
    text = training.text
    assert (text.form, text.level) == ("set", "class")
    assert text.vocabulary == ("", "apple", "butter", "egg", "flour")
    assert {tuple(row) for row in text.tokens[training.train.labels == 0].tolist()} == {(1, 2, 4)}
    assert {tuple(row) for row in text.tokens[training.train.labels == 1].tolist()} == {(3, 4, 0)}


def test_without_lists_a_tenth_of_each_class_is_held_out_for_validation(data_folder: Path) -> None:
    write_food(data_folder, own_lists=False, per_class=20)
    found = open_dataset("ingredient-101")
    training = found.training()
    assert np.bincount(training.valid.labels).tolist() == [2, 2]
    assert np.bincount(training.train.labels).tolist() == [18, 18]
    assert "seed 101" in found.notes["split_origin"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200))
def test_held_out_images_are_a_tenth_of_each_class_and_the_draw_is_fixed(labels: list[int]) -> None:
    part = Part([f"image {place}" for place in range(len(labels))], np.array(labels))
    found = hold_out(part)
    assert sorted([*found["train"].names, *found["valid"].names]) == sorted(part.names)
    for label in set(labels):
        total, held = labels.count(label), int((found["valid"].labels == label).sum())
        assert held < total
        assert abs(held - total / 10) <= 1
    assert hold_out(part)["valid"].names == found["valid"].names


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "Annotations/train_images.txt",
            "waffles/3\n",
            "wafles/3\n",
            "'wafles' is none of the 2 classes. Did you mean 'waf",
        ),
        ("Annotations/val_images.txt", "apple_pie/0", "apple_pie/3", "is listed in 'train' and in 'valid'."),
        ("Annotations/val_labels.txt", "0\n0", "0\n1", "line 2: the label of 'apple_pie/1.jpg' must be 0, but is '1'."),
        ("Annotations/val_labels.txt", "0\n0", "0", "has 1 labels for 2 images."),
        (
            "Annotations/ingredients.txt",
            "\nflour,egg\n",
            "\n",
            "must have a line for each of the 2 classes, but has 1.",
        ),
        ("Annotations/ingredients.txt", "flour,egg", " , ", "line 2 names no ingredient."),
        (
            "Annotations/test_images.txt",
            "waffles/901",
            "waffles",
            "line 4 must read <class>/<image>, but is 'waffles'.",
        ),
    ],
)
def test_food_lists_that_break_a_rule_are_named(data_folder: Path, file: str, old: str, new: str, said: str) -> None:
    edit(write_food(data_folder, own_lists=True) / file, old, new)
    with pytest.raises(DataError) as caught:
        open_dataset("ingredient-101")
    assert said in caught.value.message


def test_ingredient_lists_without_the_photos_say_what_to_unpack(data_folder: Path) -> None:
    folder = data_folder / "ingredient-101" / "Annotations"
    folder.mkdir(parents=True)
    (folder / "ingredients.txt").write_text("apple\n")
    with pytest.raises(DataError, match="holds no Food-101") as caught:
        open_dataset("ingredient-101")
    assert "food-101.tar.gz" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["grocery", "vireo-food172", "ingredient-101"])
def test_absent_data_says_which_file_is_looked_for(data_folder: Path, name: str) -> None:
    with pytest.raises(DatasetUnavailableError) as caught:
        open_dataset(name)
    assert DATASETS.get(name).markers[0] in caught.value.message
