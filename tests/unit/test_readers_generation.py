"""Readers of captioned images, editing pairs and stories: published layouts, splits, damage."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_factories import COLOURS, encoded
from PIL import Image

from bench.data.dataset import open_dataset
from bench.data.readers import african_storybook, coco, cub, emoji, sprites_stories, story_folders
from bench.data.readers.captions import MAX_WORDS
from bench.data.registry import DATASETS
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

TWINS = ("shapes-captions", "shapes-edits", "shapes-stories")


@pytest.fixture
def folder(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("BENCH_DATA", str(root))
    return root


# --- generated -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWINS)
def test_generated_parts_are_drawn_apart_and_speak_one_vocabulary(name: str, fresh_cache: Path) -> None:
    data = open_dataset(f"{name}@0.01")
    training, test = data.training(), data.test()
    parts = {"train": training.train, "valid": training.valid, "test": test}
    for part, rows in parts.items():
        assert len(rows) == data.sizes[part]
        tokens = (
            rows.tokens
            if name == "shapes-stories"
            else (rows if name == "shapes-captions" else rows.sources).captions.tokens
        )
        assert tokens.max() < len(training.vocabulary) and (tokens != 1).all(), "every word is known"
    first = [_pixels(rows)[0].tobytes() for rows in parts.values()]
    assert len(set(first)) == 3
    assert open_dataset(f"{name}@0.02").digest != data.digest


def test_a_generated_edit_changes_less_than_it_keeps(fresh_cache: Path) -> None:
    edits = open_dataset("shapes-edits@0.01").training().train
    same = (edits.sources.pixels == edits.truth).all(-1).mean(axis=(1, 2))
    assert (same < 1).all() and np.median(same) > 0.8
    assert (edits.sources.captions.texts != edits.targets.texts).all()


def test_story_labels_say_what_the_captions_say(fresh_cache: Path) -> None:
    data = open_dataset("shapes-stories@0.01").training()
    for texts, labels in zip(data.train.texts, data.train.labels, strict=True):
        for frame, caption in enumerate(texts):
            shown = {name for name, on in zip(data.attributes, labels[frame], strict=True) if on}
            names = {"ada", "bo", "cy", "dot", "eve", "finn"}
            assert {word for word in caption.split() if word in names} == shown & names
            assert {word for word in caption.split() if word in set(data.attributes) - names} <= shown
            assert sum(name.endswith("ground") for name in shown) == 1


def _pixels(rows: Any) -> np.ndarray:
    if hasattr(rows, "frames"):
        return np.asarray(rows.frames)
    return np.asarray(rows.sources.pixels if hasattr(rows, "sources") else rows.pixels)


# --- emoji -----------------------------------------------------------------------------------------------------------


def emoji_rows(bases: int = 60) -> list[dict[str, Any]]:
    rows = []
    for number in range(bases):
        woman, man = f"1f9{number:02d}_200d_2640", f"1f9{number:02d}_200d_2642"
        for base, who in ((woman, "woman"), (man, "man")):
            for tone in ("", "1f3fb", "1f3ff"):
                code = base.replace("_", f"_{tone}_", 1) if tone else base
                name = f"{who} number{number}" + (f": {tone} tone" if tone else "")
                rows.append(
                    {
                        "file": f"{code}.jpg",
                        "codepoints": code,
                        "name": name,
                        "keywords": [who, "person", f"number{number}"],
                        "skin": [tone] if tone else [],
                        "base": base,
                    }
                )
    return rows


def write_zip(path: Path, rows: list[dict[str, Any]], *, broken: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.jsonl", "\n".join(map(json.dumps, rows)))
        for number, row in enumerate(rows):
            data = b"no image" if row["file"] == broken else encoded(COLOURS[number % 3])
            archive.writestr(row["file"], data)


def test_emoji_of_one_figure_stay_in_one_part(folder: Path) -> None:
    write_zip(folder / "emoji" / "emoji_72.zip", emoji_rows())
    data = open_dataset("emoji")
    training, test = data.training(), data.test()
    numbers = [
        {text.split()[1].strip(":,") for text in rows.captions.texts} for rows in (training.train, training.valid, test)
    ]
    assert all(numbers) and not numbers[0] & numbers[1] and not (numbers[0] | numbers[1]) & numbers[2]
    assert training.train.pixels.shape[1:] == (32, 32, 3)
    assert open_dataset("emoji-64").training().train.pixels.shape[1:] == (64, 64, 3)


def test_emoji_pairs_differ_in_tone_or_gender_alone(folder: Path) -> None:
    write_zip(folder / "emoji" / "emoji_72.zip", emoji_rows())
    data = open_dataset("emoji-edits")
    assert data.sizes["skin_pairs"] == 60 * 4 and data.sizes["gender_pairs"] == 60 * 3
    train = data.training().train
    assert train.truth.shape == train.sources.pixels.shape
    for before, after in zip(train.sources.captions.texts, train.targets.texts, strict=True):
        first, second = (text.replace("woman", "man") for text in (before, after))
        assert before != after and (first == second or first.partition(",")[0] == second.partition(":")[0])


def test_a_caption_is_the_name_and_the_keywords_that_add_a_word() -> None:
    assert emoji.caption("red heart", ["heart", "red", "love", "deep love"]) == "red heart, love, deep love"


@pytest.mark.parametrize("damage", ["broken", "line", "field"])
def test_a_damaged_emoji_archive_is_an_error_that_names_the_place(folder: Path, damage: str) -> None:
    rows = emoji_rows()
    path = folder / "emoji" / "emoji_72.zip"
    if damage == "field":
        del rows[3]["skin"]
    write_zip(path, rows, broken=rows[5]["file"] if damage == "broken" else "")
    if damage == "line":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("meta.jsonl", json.dumps(rows[0]) + "\n{oops")
    said = {"broken": rows[5]["file"], "line": "line 2", "field": "'skin'"}[damage]
    with pytest.raises(DataError) as caught:
        open_dataset("emoji").training()
    assert said in caught.value.message


# --- african-storybook -----------------------------------------------------------------------------------------------


@given(st.integers(0, 12), st.sets(st.integers(1, 12)), st.sampled_from([1, 4]))
def test_windows_are_four_successive_pages_with_words(pages: int, silent: set[int], step: int) -> None:
    story = [
        african_storybook.Page("1", page, f"{page}.jpg", "" if page in silent else "a word")
        for page in range(1, pages + 1)
    ]
    windows = african_storybook.windows(story, step=step)
    for window in windows:
        numbers = [page.page for page in window]
        assert numbers == list(range(numbers[0], numbers[0] + 4)) and not silent & set(numbers)
    if step == 4:
        used = [page.page for window in windows for page in window]
        assert len(used) == len(set(used))


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=30))
def test_no_picture_is_in_two_parts(images_of: list[list[int]]) -> None:
    pages = [
        african_storybook.Page(f"{story:04d}", page, f"{story}/{page}", "text")
        for story, images in enumerate(images_of)
        for page, _ in enumerate(images)
    ]
    digests = {
        f"{story}/{page}": str(image) for story, images in enumerate(images_of) for page, image in enumerate(images)
    }
    parts = african_storybook.split(pages, digests)
    seen = {part: {digests[page.file] for story in stories for page in story} for part, stories in parts.items()}
    assert not seen["train"] & seen["test"] and not seen["train"] & seen["valid"] and not seen["valid"] & seen["test"]
    assert sum(len(stories) for stories in parts.values()) == len(images_of)


def test_stories_keep_long_texts_whole_and_their_tokens_short(folder: Path) -> None:
    rows = [
        {
            "story": f"{story:04d}",
            "page": page,
            "file": f"{story}/{page}.jpg",
            "text": f"s{story} " + "word " * (200 if page == 2 else 3),
        }
        for story in range(12)
        for page in range(1, 10)
    ]
    path = folder / "african-storybook" / "asp_en_128.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.jsonl", "\n".join(map(json.dumps, rows)))
        for number, row in enumerate(rows):
            archive.writestr(row["file"], encoded((number % 250, number // 250, 9), form="PNG"))
    data = open_dataset("african-storybook")
    train = data.training().train
    assert train.tokens.shape[1:] == (4, MAX_WORDS) and train.lengths.max() == MAX_WORDS
    assert max(len(text) for text in train.texts.ravel()) > 900
    assert len(train) == 6 * len({id_.partition("-")[0] for id_ in train.ids}), "training has every window"
    assert train.labels is None and train.frames.shape[1:] == (4, 32, 32, 3)


# --- sprites-stories -------------------------------------------------------------------------------------------------


def test_no_character_is_in_two_parts_and_captions_agree_with_labels() -> None:
    parts = sprites_stories.draw_stories()
    looks = {part: {story.looks for story in stories} for part, stories in parts.items()}
    assert sum(map(len, looks.values())) == 6**4 == len(set().union(*looks.values()))
    for story in parts["test"][:50]:
        labels, captions = sprites_stories.labels(story), sprites_stories.tell(story)
        assert (labels.sum(axis=1) == 6).all()
        for row, caption in zip(labels, captions, strict=True):
            shown = [name for name, on in zip(sprites_stories.ATTRIBUTES, row, strict=True) if on]
            assert f"facing {shown[1]}" in caption
            assert sprites_stories.SAYS[shown[0]] in caption
        assert all(
            name in captions[0] for name, on in zip(sprites_stories.ATTRIBUTES[6:], labels[0][6:], strict=True) if on
        )
        assert all(first != second for first, second in zip(story.acts, story.acts[1:], strict=False))


# --- published layouts -----------------------------------------------------------------------------------------------


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
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_side(monkeypatch, "coco-2014")
    write_coco(folder)
    data = open_dataset("coco-2014")
    assert data.sizes == {"train": 98, "valid": 2, "test": 4}
    assert data.notes["differs_from_card"], "the published counts are others"
    assert data.test().captions.texts[0] == "a thing number 0"
    assert data.training().train.pixels.shape == (98, 8, 8, 3)


@pytest.mark.parametrize("damage", ["json", "caption", "image"])
def test_a_damaged_coco_is_an_error_that_names_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    small_side(monkeypatch, "coco-2014")
    base = write_coco(folder, 3)
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
def test_cub_is_split_by_class_and_cut_to_the_bird(folder: Path, monkeypatch: pytest.MonkeyPatch, texts: str) -> None:
    small_side(monkeypatch, "cub-200", 15)
    write_cub(folder, texts=texts)
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
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    small_side(monkeypatch, "cub-200")
    base = write_cub(folder)
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
def test_stories_in_ar_ldms_layout_show_the_first_frame_of_each_strip(folder: Path, name: str, file: str) -> None:
    write_stories(folder / name / file)
    data = open_dataset(name)
    assert data.sizes == {"train": 4, "valid": 2, "test": 3}
    test = data.test()
    assert test.frames.shape == (3, 5, 64, 64, 3) and test.texts[2, 4] == "pororo does 2 4"
    for row in range(3):
        for frame in range(5):
            assert np.abs(test.frames[row, frame].astype(int) - COLOURS[(row + frame) % 3]).max() < 3


@pytest.mark.parametrize("damage", ["captions", "column", "file"])
def test_a_damaged_story_file_is_an_error_that_names_the_place(folder: Path, damage: str) -> None:
    path = folder / "pororo-sv" / "pororo.h5"
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


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["emoji", "emoji-edits"])
def test_no_emoji_is_in_two_parts(name: str) -> None:
    data = open_dataset(name)
    training, test = data.training(), data.test()
    parts = []
    for rows in (training.train, training.valid, test):
        parts.append(set(rows.ids.tolist() if name == "emoji" else rows.sources.ids.tolist()))
    assert not parts[0] & parts[1] and not (parts[0] | parts[1]) & parts[2]
    assert data.notes["differs_from_card"] == []


@pytest.mark.realdata
def test_no_page_of_african_storybook_is_in_two_parts() -> None:
    data = open_dataset("african-storybook")
    training = data.training()
    seen = [
        {frame.tobytes() for story in rows.frames for frame in np.asarray(story)}
        for rows in (training.train, training.valid, data.test())
    ]
    # Different files may show the same few flat pixels once they are small.
    assert len(seen[0] & seen[1]) + len((seen[0] | seen[1]) & seen[2]) <= 2
