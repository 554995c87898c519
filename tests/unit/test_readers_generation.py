"""Readers of captioned images, editing pairs and stories: splits and damage."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_factories import encoded
from PIL import Image

from bench.data.dataset import open_dataset
from bench.data.readers import african_storybook, sprites_sequences, sprites_stories
from bench.data.readers.captions import MAX_WORDS
from bench.data.readers.groups import Groups
from bench.data.readers.sprites_qa import DIRECTIONS, FRAME_PLACES, LAYERS, LOOKS, SHOES, SIDE, frame_cells

if TYPE_CHECKING:
    from pathlib import Path

TWINS = ("shapes-captions", "shapes-edits", "shapes-stories")


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


@given(st.lists(st.tuples(*[st.integers(0, 12).map(str)] * 2), max_size=20))
def test_a_group_is_all_that_links_reach_and_called_by_its_first_name(links: list[tuple[str, str]]) -> None:
    found = Groups()
    for one, other in links:
        found.link(one, other)
    for number in range(13):
        reached = {str(number)}
        for _ in links:
            reached |= {name for pair in links if reached & set(pair) for name in pair}
        assert found.of(str(number)) == min(reached)


def test_stories_keep_long_texts_whole_and_their_tokens_short(data_folder: Path) -> None:
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
    path = data_folder / "african-storybook" / "asp_en_128.zip"
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


# --- sprites-sequences -----------------------------------------------------------------------------------------------


def test_a_character_is_in_the_same_part_whether_it_stands_or_moves() -> None:
    stories, sequences = sprites_stories.draw_stories(), sprites_sequences.draw_sequences()
    for part, found in sequences.items():
        assert [(one.id, one.looks) for one in found] == [(story.id, story.looks) for story in stories[part]]
    train = [(one.action, one.direction) for one in sequences["train"]]
    assert {train.count(act) for act in sprites_stories.ACTS} <= set(range(80, 160)), "nine acts, each drawn often"
    assert sprites_sequences.draw_sequences() == sequences


def test_captions_of_a_sequence_tell_looks_once_and_count_the_steps() -> None:
    one = sprites_sequences.Sequence("sprite-x", (1, 4, 1, 3), "cast", "left")
    first, *later = sprites_sequences.tell(one)
    assert first == (
        "a character with white hair, tan skin, a blue top and teal trousers casts a spell facing left, step 1 of 8"
    )
    assert later == [f"the character casts a spell facing left, step {step} of 8" for step in range(2, 9)]


@pytest.mark.parametrize(
    ("action", "poses"),
    [("walk", range(1, 9)), ("cast", (1, 2, 3, 4, 5, 6, 5, 8)), ("slash", (1, 2, 3, 4, 5, 6, 5, 1))],
)
def test_labels_of_a_sequence_say_looks_act_and_the_pose_that_is_seen(action: str, poses: Any) -> None:
    one = sprites_sequences.Sequence("sprite-x", (1, 4, 1, 3), action, "left")
    shown = [
        {name for name, on in zip(sprites_sequences.ATTRIBUTES, row, strict=True) if on}
        for row in sprites_sequences.labels(one)
    ]
    always = {action, "left", "white hair", "tan skin", "blue top", "teal trousers"}
    assert shown == [always | {f"pose {pose}"} for pose in poses]


def write_sheets(data_folder: Path) -> None:
    """Sheets whose cells are grey by their number, on each layer in shades of its own; hair covers all else."""
    path = data_folder / "sprites" / "sprites_sheets.zip"
    path.parent.mkdir()
    cells = sorted({cell for action in FRAME_PLACES for side in DIRECTIONS for cell in frame_cells(action, side)})
    rows = cells[-1] // 13 + 1
    with zipfile.ZipFile(path, "w") as archive:
        for layer in (*LAYERS, "shoes"):
            for variant in range(len(LOOKS.get(layer, "ab"))):
                sheet = np.zeros((rows * SIDE, 13 * SIDE, 4), dtype=np.uint8)
                for cell in cells:
                    top, left = cell // 13 * SIDE, cell % 13 * SIDE
                    sheet[top : top + SIDE, left : left + SIDE] = (cell, 40 * variant, 7, 255 if layer == "hair" else 0)
                buffer = io.BytesIO()
                Image.fromarray(sheet).save(buffer, "PNG", compress_level=1)
                archive.writestr(f"{layer}/{variant}.png", buffer.getvalue())
        assert SHOES in archive.namelist()


def test_frames_of_a_sequence_are_those_of_its_action_in_order(data_folder: Path, monkeypatch: Any) -> None:
    write_sheets(data_folder)
    few = {part: found[:3] for part, found in sprites_sequences.draw_characters().items()}
    monkeypatch.setattr(sprites_sequences, "draw_characters", lambda: few)
    data = open_dataset("sprites-sequences")
    train = data.training().train
    assert train.frames.shape == (3, 8, 32, 32, 3) and train.labels is not None and train.labels.shape == (3, 8, 38)
    for one, frames in zip(sprites_sequences.draw_sequences()["train"], train.frames, strict=True):
        for cell, frame in zip(frame_cells(one.action, one.direction), frames, strict=True):
            assert (np.asarray(frame) == (cell, 40 * one.looks[3], 7)).all()
    assert data.digest != open_dataset("sprites-stories").digest


# --- real files ------------------------------------------------------------------------------------------------------


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


@pytest.mark.realdata
def test_sprites_in_motion_repeat_a_picture_just_where_their_poses_say_so() -> None:
    data = open_dataset("sprites-sequences")
    training = data.training()
    for rows in (training.valid, data.test()):
        assert rows.labels is not None
        for frames, labels in zip(rows.frames, rows.labels, strict=True):
            poses = labels[:, -8:].argmax(axis=1)
            same = (np.asarray(frames)[:, None] == np.asarray(frames)[None]).all(axis=(2, 3, 4))
            assert (same == (poses[:, None] == poses[None])).all()


@pytest.mark.realdata
def test_sprites_stories_keep_their_identity() -> None:
    assert open_dataset("sprites-stories").digest.startswith("f7ac9a3d1f444134f43c")
