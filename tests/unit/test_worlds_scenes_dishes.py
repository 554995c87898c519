"""Generated dishes: lists tell more than pictures, conditions change pixels and never labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bench.cli.data_sheet import sheet
from bench.data import open_dataset
from bench.data.worlds.scenes.conditions import CONDITIONS
from bench.data.worlds.scenes.dishes import cook
from bench.data.worlds.scenes.recipes import DISH_NAMES, DISHES, INGREDIENT_NAMES, INGREDIENTS, probabilities
from bench.data.worlds.scenes.render import owners
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.data.classification import ClassificationData, LabelledImages


@pytest.fixture(scope="module")
def small() -> tuple[ClassificationData, Mapping[str, LabelledImages]]:
    dataset = open_dataset("dishes@0.1")
    return dataset.training(), dataset.test()


def test_sizes_follow_the_scale(small: tuple[ClassificationData, Mapping[str, LabelledImages]]) -> None:
    data, test = small
    assert (len(data.train), len(data.valid)) == (360, 72)
    assert {name: len(images) for name, images in test.items()} == dict.fromkeys(CONDITIONS, 144)
    assert next(iter(test)) == "clean" and data.conditions == CONDITIONS
    tiny = open_dataset("dishes@0.01")
    assert tiny.sizes["train"] == 36 and tiny.sizes["valid"] == tiny.sizes["test"] == 18
    assert np.array_equal(tiny.training().train.pixels, data.train.pixels[:36])
    assert open_dataset("dishes").sizes == {"train": 3_600, "valid": 720, "test": 1_440, "classes": 18}


def test_every_part_has_every_class_equally_often(
    small: tuple[ClassificationData, Mapping[str, LabelledImages]],
) -> None:
    data, test = small
    for images in (data.train, data.valid, *test.values()):
        counts = np.bincount(images.labels, minlength=len(data.classes))
        assert counts.max() - counts.min() <= 1
        assert images.pixels.dtype == np.uint8 and images.pixels.shape[1:] == (32, 32, 3)


def test_conditions_change_pixels_and_not_what_is_shown(
    small: tuple[ClassificationData, Mapping[str, LabelledImages]],
) -> None:
    _, test = small
    clean = test["clean"]
    for name in CONDITIONS[1:]:
        shifted = test[name]
        assert np.array_equal(shifted.labels, clean.labels)
        assert np.array_equal(shifted.ids, clean.ids)
        differs = np.abs(shifted.pixels.astype(int) - clean.pixels).mean(axis=(1, 2, 3))
        assert (differs > 3).all(), name


def test_parts_share_no_image(small: tuple[ClassificationData, Mapping[str, LabelledImages]]) -> None:
    data, test = small
    parts = [{image.tobytes() for image in images.pixels} for images in (data.train, data.valid, test["clean"])]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 360 + 72 + 144


def test_lists_are_what_was_cooked(small: tuple[ClassificationData, Mapping[str, LabelledImages]]) -> None:
    text = small[0].text
    assert text is not None and (text.form, text.level) == ("set", "image")
    assert text.vocabulary == ("<pad>", *INGREDIENT_NAMES)
    contents = cook("train", np.arange(360)).contents
    for row in range(360):
        real = text.tokens[row][text.tokens[row] > 0]
        assert text.tokens[row, : len(real)].tolist() == real.tolist()
        assert 2 <= len(real) <= 8
        assert {text.vocabulary[token] for token in real} == {
            INGREDIENT_NAMES[column] for column in np.flatnonzero(contents[row])
        }
    by_class = [{tuple(row) for row in text.tokens[small[0].train.labels == label].tolist()} for label in range(18)]
    assert all(len(lists) > 10 for lists in by_class)


def test_lists_tell_more_than_pictures() -> None:
    dishes = cook("train", np.arange(2000))
    assert (dishes.shown <= dishes.contents).all()
    assert 0.1 < (dishes.contents & ~dishes.shown).sum() / dishes.contents.sum() < 0.4
    dissolved = [place for place, look in enumerate(INGREDIENTS.values()) if not look.pieces]
    assert not dishes.shown[:, dissolved].any() and dishes.contents[:, dissolved].any(axis=0).all()


def test_pieces_on_the_plate_are_the_shown_ingredients() -> None:
    dishes = cook("train", np.arange(200))
    objects = dishes.scenes.objects
    assert objects.present[:, 0].all()
    pieces = objects.present[:, 1:].reshape(200, 8, 5)
    assert np.array_equal(pieces.any(axis=2).sum(axis=1), dishes.shown.sum(axis=1))
    found = owners(dishes.scenes, 48)
    visible = np.stack([(found == slot).any(axis=(1, 2)) for slot in range(1, 41)], axis=1).reshape(200, 8, 5)
    seen = visible.any(axis=2)[pieces.any(axis=2)]
    assert seen.mean() > 0.95
    assert visible.any(axis=(1, 2)).all()


def test_dishes_share_ingredients_and_ingredients_share_looks() -> None:
    table = probabilities() > 0.1
    assert table.shape == (18, 32)
    assert (table.sum(axis=0) >= 2).mean() > 0.9
    assert len({name for levels in DISHES.values() for level in levels for name in level.split()}) == 32
    colours = {look.rgb for look in INGREDIENTS.values() if look.pieces}
    forms = {look.form for look in INGREDIENTS.values() if look.pieces}
    assert len(colours) <= 14 and len(forms) <= 10
    assert len({(look.form, look.rgb, look.size, look.aspect) for look in INGREDIENTS.values() if look.pieces}) == 29


def test_training_data_carries_no_test_image_and_the_digest_tells_scales_apart() -> None:
    first, second = open_dataset("dishes@0.01"), open_dataset("dishes@0.02")
    assert first.digest != second.digest
    assert first.training().digest == first.digest
    assert first.training().classes == DISH_NAMES
    assert set(vars(first.training())) == {"name", "classes", "train", "valid", "text", "conditions", "digest"}


def test_a_sheet_shows_images_with_their_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dishes@0.01", "shapes-videoqa@0.01"):
        out = tmp_path / "sheets" / f"{name}.png"
        sheet(name, out=out)
        with Image.open(out) as picture:
            assert picture.format == "PNG" and picture.width > 600 and picture.height > 300
            assert len(set(picture.convert("RGB").resize((64, 64)).tobytes())) > 50
        assert name in capsys.readouterr().out


def test_a_dataset_without_images_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images"):
        sheet("baby-twin@0.01", out=tmp_path / "x.png")
