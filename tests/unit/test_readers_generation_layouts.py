"""Readers of captioned images and stories in published layouts: COCO, CUB and AR-LDM's story files."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from image_factories import COLOURS, encoded
from PIL import Image

from bench.data.dataset import open_dataset
from bench.data.readers import coco, cub, story_folders
from bench.data.registry import DATASETS
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def write_coco(root: Path, n: int = 100) -> Path:
    base = root / "coco-2014"
    (base / "annotations").mkdir(parents=True)
    for split, count in (("train", n), ("val", 4)):
        (base / f"{split}2014").mkdir()
        images = [{"id": number, "file_name": f"COCO_{split}2014_{number:04d}.jpg"} for number in range(count)]
        told = [
            {"id": 10 * number + place, "image_id": number, "caption": text}
            for number in range(count)
            for place, text in ((2, "second"), (0, " ... "), (1, f"a thing\nnumber {number}"))
        ]
        for image in images:
            (base / f"{split}2014" / str(image["file_name"])).write_bytes(encoded(COLOURS[0], (10, 8)))
        (base / "annotations" / f"captions_{split}2014.json").write_text(
            json.dumps({"images": images, "annotations": told})
        )
    return base


def small_side(monkeypatch: pytest.MonkeyPatch, name: str, side: int = 8) -> None:
    card = DATASETS.get(name)
    monkeypatch.setitem(card.options, "side", side)


def test_coco_takes_the_first_caption_with_a_word_and_tests_on_the_published_validation(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_side(monkeypatch, "coco-2014")
    write_coco(data_folder)
    data = open_dataset("coco-2014")
    assert data.sizes == {"train": 98, "valid": 2, "test": 4}
    assert data.notes["differs_from_card"], "the published counts are others"
    assert data.test().captions.texts[0] == "a thing number 0"
    assert data.training().train.pixels.shape == (98, 8, 8, 3)


@pytest.mark.parametrize("damage", ["json", "caption", "image"])
def test_a_damaged_coco_is_an_error_that_names_the_file(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    small_side(monkeypatch, "coco-2014")
    base = write_coco(data_folder, 3)
    file = base / "annotations" / "captions_train2014.json"
    content = json.loads(file.read_text())
    if damage == "json":
        file.write_text("{")
    elif damage == "caption":
        content["annotations"] = content["annotations"][3:]
        file.write_text(json.dumps(content))
    else:
        (base / "val2014" / "COCO_val2014_0002.jpg").unlink()
    said = {"json": "captions_train2014.json", "caption": "COCO_train2014_0000.jpg", "image": "COCO_val2014_0002.jpg"}
    with pytest.raises(DataError) as caught:
        open_dataset("coco-2014")
    assert said[damage] in caught.value.message


def write_cub(root: Path, *, texts: str = "text_c10") -> Path:
    base = root / "cub-200"
    lists: dict[str, list[str]] = {"images.txt": [], "bounding_boxes.txt": []}
    number = 0
    for kind, name in enumerate(("001.Auk", "002.Bunting", "003.Crow")):
        for place in range(2):
            number += 1
            file = f"{name}/{name}_{place}"
            for path in (base / "CUB_200_2011" / "images" / f"{file}.jpg", base / texts / f"{file}.txt"):
                path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", (60, 40), (255, 255, 255))
            picture.paste(COLOURS[kind], (10, 10, 30, 30))
            picture.save(base / "CUB_200_2011" / "images" / f"{file}.jpg", quality=95)
            (base / texts / f"{file}.txt").write_text(f"\nthis bird is number {number}\nanother caption\n")
            lists["images.txt"].append(f"{number} {file}.jpg")
            lists["bounding_boxes.txt"].append(f"{number} 10.0 10.0 20.0 20.0")
    for file, lines in lists.items():
        (base / "CUB_200_2011" / file).write_text("\n".join(lines) + "\n")
    for file, name in (
        ("trainclasses.txt", "001.Auk"),
        ("valclasses.txt", "002.Bunting"),
        ("testclasses.txt", "003.Crow"),
    ):
        (base / file).write_text(f"{name}\n")
    return base


@pytest.mark.parametrize("texts", ["text_c10", "text"])
def test_cub_is_split_by_class_and_cut_to_the_bird(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, texts: str
) -> None:
    small_side(monkeypatch, "cub-200", 15)
    write_cub(data_folder, texts=texts)
    data = open_dataset("cub-200")
    assert data.sizes == {"train": 2, "valid": 2, "test": 2, "classes": 3}
    test = data.test()
    assert test.captions.texts[0] == "this bird is number 5"
    # The square reaches from 5 to 35 of 60 x 40 pixels: the bird fills its middle two thirds.
    assert np.abs(test.pixels[0, 4:11, 4:11].astype(int) - COLOURS[2]).max() < 12
    assert test.pixels[0, :1].min() > 230


def test_the_birds_square_is_that_of_published_loaders() -> None:
    assert cub.crop_box((10.0, 10.0, 20.0, 20.0), 60, 40) == (5, 5, 35, 35)
    assert cub.crop_box((0.0, 0.0, 50.0, 20.0), 60, 40) == (0, 0, 60, 40)


@pytest.mark.parametrize("damage", ["caption", "class", "box", "twice"])
def test_a_damaged_cub_is_an_error_that_names_the_place(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    small_side(monkeypatch, "cub-200")
    base = write_cub(data_folder)
    if damage == "caption":
        (base / "text_c10" / "002.Bunting" / "002.Bunting_1.txt").write_text("\n")
    elif damage == "class":
        (base / "valclasses.txt").write_text("")
    elif damage == "box":
        (base / "CUB_200_2011" / "bounding_boxes.txt").write_text("1 10 10 20 wide\n")
    else:
        (base / "testclasses.txt").write_text("001.Auk\n003.Crow\n")
    said = {"caption": "002.Bunting_1.txt", "class": "002.Bunting", "box": "line 1", "twice": "001.Auk"}[damage]
    with pytest.raises(DataError) as caught:
        open_dataset("cub-200")
    assert said in caught.value.message


def strip(colour: tuple[int, int, int], frames: int, side: int = 16) -> np.ndarray:
    image = Image.new("RGB", (side, frames * side), (0, 0, 0))
    image.paste(colour, (0, 0, side, side))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return np.frombuffer(buffer.getvalue(), np.uint8)


def write_stories(path: Path, *, captions: int = 5, leave_out: str = "") -> None:
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        for group, count in (("train", 4), ("val", 2), ("test", 3)):
            for frame in range(5):
                if f"{group}/image{frame}" == leave_out:
                    continue
                column = file.create_dataset(f"{group}/image{frame}", (count,), dtype=h5py.vlen_dtype(np.uint8))
                for row in range(count):
                    column[row] = strip(COLOURS[(row + frame) % 3], frames=1 + row)
            text = file.create_dataset(f"{group}/text", (count,), dtype=h5py.string_dtype("utf-8"))
            for row in range(count):
                text[row] = "|".join(f"pororo does {row} {frame}" for frame in range(captions))


@pytest.mark.parametrize(("name", "file"), [("pororo-sv", "pororo.h5"), ("flintstones-sv", "flintstones.h5")])
def test_stories_in_ar_ldms_layout_show_the_first_frame_of_each_strip(data_folder: Path, name: str, file: str) -> None:
    write_stories(data_folder / name / file)
    data = open_dataset(name)
    assert data.sizes == {"train": 4, "valid": 2, "test": 3}
    test = data.test()
    assert test.frames.shape == (3, 5, 64, 64, 3) and test.texts[2, 4] == "pororo does 2 4"
    for row in range(3):
        for frame in range(5):
            assert np.abs(test.frames[row, frame].astype(int) - COLOURS[(row + frame) % 3]).max() < 3


@pytest.mark.parametrize("damage", ["captions", "column", "file"])
def test_a_damaged_story_file_is_an_error_that_names_the_place(data_folder: Path, damage: str) -> None:
    path = data_folder / "pororo-sv" / "pororo.h5"
    write_stories(path, captions=4 if damage == "captions" else 5, leave_out="val/image3" if damage == "column" else "")
    if damage == "file":
        path.write_bytes(b"no HDF5")
    said = {"captions": "train/text row 0", "column": "val/image3", "file": "pororo.h5"}[damage]
    with pytest.raises(DataError) as caught:
        open_dataset("pororo-sv")
    assert said in caught.value.message


def test_a_picture_that_is_no_strip_is_taken_whole() -> None:
    wide = Image.new("RGB", (20, 10), (1, 2, 3))
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    with Image.open(io.BytesIO(story_folders.first_frame(buffer.getvalue()))) as image:
        assert image.size == (20, 10)


def test_captions_of_annotation_files_are_in_the_order_of_images(tmp_path: Path) -> None:
    base = write_coco(tmp_path, 3)
    rows = coco.read_captions(base / "annotations" / "captions_train2014.json", "train2014")
    assert [row.name[-8:-4] for row in rows] == ["0000", "0001", "0002"]
