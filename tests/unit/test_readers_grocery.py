"""Decoding, and the reader of the Grocery Store dataset."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from image_factories import COLOURS, encoded
from PIL import Image

from bench.data.dataset import open_dataset
from bench.data.readers.images import decode
from bench.data.registry import DATASETS
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def test_the_middle_of_an_image_is_kept_in_its_proportions() -> None:
    wide = Image.new("RGB", (90, 30), (0, 0, 0))
    wide.paste((255, 255, 255), (30, 0, 60, 30))
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    assert decode(buffer.getvalue(), 30).min() == 255
    assert decode(buffer.getvalue(), 10)[1:-1, 1:-1].min() == 255


def test_the_cameras_orientation_is_applied() -> None:
    image = Image.new("RGB", (32, 32), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 32, 16))
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees clockwise: the top goes to the right
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    pixels = decode(buffer.getvalue(), 32)
    assert pixels[:, 20:].min() == 255 and pixels[:, :12].max() == 0


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode).save(buffer, "TIFF")
    pixels = decode(buffer.getvalue(), 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8 and pixels.min() > 250


CLASSES = [
    {"kind": "class", "fine": 1, "name": "Sour-Milk", "coarse_name": "Milk", "coarse": 1, "description": "It is sour."},
    {"kind": "class", "fine": 0, "name": "Lemon", "coarse_name": "Lemon", "coarse": 0, "description": "Yellow, sour!"},
]


def grocery_rows() -> list[dict[str, Any]]:
    rows = [
        {"file": f"{split}/{i}.jpg", "split": split, "fine": i % 2, "coarse": i % 2}
        for split, count in (("train", 4), ("val", 1), ("test", 3))
        for i in range(count)
    ]
    return [*rows, *CLASSES]


def write_grocery(
    folder: Path, rows: Sequence[dict[str, Any]], *, replace: dict[str, bytes] | None = None, leave_out: str = ""
) -> None:
    (folder / "grocery").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "grocery" / "grocery_128.zip", "w") as archive:
        for name in dict.fromkeys(row["file"] for row in rows if "file" in row):
            row = next(row for row in rows if row.get("file") == name)
            content = encoded(COLOURS[row["fine"]] if row["fine"] in (0, 1) else COLOURS[2])
            if name != leave_out:
                archive.writestr(name, (replace or {}).get(name, content))
        archive.writestr("meta.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def test_grocery_is_read_with_its_splits_and_a_sentence_beside_training_images(data_folder: Path) -> None:
    write_grocery(data_folder, grocery_rows())
    found = open_dataset("grocery")
    assert found.sizes == {"train": 4, "valid": 1, "test": 3, "classes": 2}
    training = found.training()
    assert training.classes == ("Lemon", "Sour-Milk") and training.digest == found.digest
    assert training.train.pixels.shape == (4, 96, 96, 3)
    assert training.train.labels.tolist() == [0, 1, 0, 1]
    for pixels, label in zip(training.train.pixels, training.train.labels, strict=True):
        assert np.abs(pixels.astype(int) - COLOURS[label]).max() < 8
    text = training.text
    assert (text.form, text.level) == ("sentence", "class")
    words = [" ".join(text.vocabulary[token] for token in row if token) for row in text.tokens]
    assert words == ["lemon yellow sour", "sour milk milk it is sour"] * 2
    assert found.modalities["text"].dim == len(text.vocabulary) - 1 == 6
    test = found.test()
    assert list(test) == ["clean"] and test["clean"].ids.tolist() == ["test/0.jpg", "test/1.jpg", "test/2.jpg"]
    assert not hasattr(test["clean"], "text")


def test_a_second_reading_decodes_nothing(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_grocery(data_folder, grocery_rows())
    first = open_dataset("grocery").training().train.pixels.copy()
    monkeypatch.setattr("bench.data.readers.images.decode", lambda data, side: pytest.fail("decoded again"))
    monkeypatch.setattr("bench.data.dataset._open", {})
    again = open_dataset("grocery").training().train.pixels
    assert isinstance(again, np.memmap) and np.array_equal(again, first)


def test_decoding_tells_how_far_it_is(data_folder: Path) -> None:
    write_grocery(data_folder, grocery_rows())
    told: list[tuple[str, int, int]] = []
    open_dataset("grocery", progress=lambda *args: told.append(args)).training()
    assert told == [(f"decoding grocery {split}", n, n) for split, n in (("train", 4), ("valid", 1), ("test", 3))]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_damaged_image_is_named_before_training_and_leaves_nothing(
    data_folder: Path, fresh_cache: Path, split: str
) -> None:
    whole = encoded(COLOURS[0], (400, 300))
    write_grocery(data_folder, grocery_rows(), replace={f"{split}/0.jpg": whole[: len(whole) // 2]})
    found = open_dataset("grocery")
    with pytest.raises(DataError, match=rf"grocery_128\.zip: image '{split}/0\.jpg' cannot be decoded: "):
        found.training()
    left = [path.name for path in (fresh_cache / "derived").iterdir()]
    assert not [name for name in left if name.startswith(".")]
    assert len(left) == ["train", "val", "test"].index(split)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_named(data_folder: Path, content: bytes) -> None:
    write_grocery(data_folder, grocery_rows(), replace={"train/3.jpg": content})
    with pytest.raises(DataError, match=r"'train/3\.jpg' cannot be decoded") as caught:
        open_dataset("grocery").training()
    assert "BytesIO" not in caught.value.message


def changed(index: int, **change: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[index].update(change)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed(1, fine=2), "line 2: class 2 of 'train/1.jpg' is none of the 2 classes, 0 to 1."),
        (changed(1, fine="1"), "line 2: class '1' of 'train/1.jpg' is none of the 2 classes"),
        (
            changed(1, split="vall"),
            "line 2: split 'vall' of 'train/1.jpg' must be one of train, val, test. Did you mean",
        ),
        (changed(6, file="train/2.jpg"), "the image 'train/2.jpg' is listed in 'train' and in 'test'."),
        (changed(1, file="train/0.jpg"), "the image 'train/0.jpg' is listed twice in 'train'."),
        (changed(8, fine=0), "the 2 classes must be numbered from 0 without a gap, but 'Lemon' is 0."),
        (lambda rows: rows[0].pop("fine"), "line 1 lacks 'fine'."),
        (lambda rows: rows[8].pop("description"), "line 9 lacks 'description'."),
        (lambda rows: rows.pop(4), "the split 'valid' has no images."),
    ],
)
def test_rows_that_break_a_rule_are_named(data_folder: Path, damage: Callable[..., object], said: str) -> None:
    rows = [dict(row) for row in grocery_rows()]
    write_rows = [dict(row) for row in rows]
    damage(write_rows)
    if "fine" not in write_rows[0]:
        write_grocery(data_folder, rows)
        with zipfile.ZipFile(data_folder / "grocery" / "grocery_128.zip", "w") as archive:
            archive.writestr("meta.jsonl", "".join(json.dumps(row) + "\n" for row in write_rows))
    else:
        write_grocery(data_folder, write_rows)
    with pytest.raises(DataError) as caught:
        open_dataset("grocery")
    assert said in caught.value.message


def test_an_image_that_the_zip_lacks_is_named(data_folder: Path) -> None:
    write_grocery(data_folder, grocery_rows(), leave_out="test/2.jpg")
    with pytest.raises(DataError, match=r"line 8: the zip holds no 'test/2.jpg'. Did you mean"):
        open_dataset("grocery")


def test_a_zip_that_is_none_and_meta_that_is_missing_are_named(data_folder: Path) -> None:
    (data_folder / "grocery").mkdir()
    path = data_folder / "grocery" / "grocery_128.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot read the zip '.*grocery_128\.zip'"):
        open_dataset("grocery")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", "")
    with pytest.raises(DataError, match=r"holds no 'meta.jsonl'. Did you mean 'meta.json'"):
        open_dataset("grocery")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.jsonl", "{}\n")
    with pytest.raises(DataError, match="line 1 lacks 'fine'"):
        open_dataset("grocery")


@pytest.mark.realdata
def test_real_grocery_is_what_its_card_says(fresh_cache: Path) -> None:
    found = open_dataset("grocery")
    assert found.notes["differs_from_card"] == []
    card = DATASETS.get("grocery")
    assert {name: info.dim for name, info in found.modalities.items()} == {
        name: info.dim for name, info in card.modalities.items()
    }
    training = found.training()
    assert training.train.pixels.shape == (2640, 96, 96, 3) and training.valid.pixels.shape[0] == 296
    assert len(np.unique(training.valid.labels)) == 60 and len(np.unique(training.train.labels)) == 81
    assert len(np.unique(training.text.tokens, axis=0)) == 81
    assert len(found.test()["clean"]) == 2485
