"""Questions about generated videos: answers recomputed from words and events, no shortcut in the words."""

from __future__ import annotations

import collections
import inspect
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bench.data import open_dataset
from bench.data.worlds.scenes import features
from bench.data.worlds.scenes.questions import ANSWERS, PER_VIDEO, TYPES, AskedQuestions, all_words, ask
from bench.data.worlds.scenes.videos import (
    CLIP_FRAMES,
    CLIPS,
    FRAMES,
    MOTIONS,
    SLOTS,
    VIDEO_COLOURS,
    VIDEO_SHAPES,
    Events,
    draw_events,
    frame_scenes,
    frames_seen,
    render_videos,
)

if TYPE_CHECKING:
    from bench.data.vqa import VqaData, VqaSplit

N = 500


@pytest.fixture(scope="module")
def events() -> Events:
    return draw_events(0, "train", np.arange(N))


@pytest.fixture(scope="module")
def asked(events: Events) -> AskedQuestions:
    return ask(0, "train", np.arange(N), events)


@pytest.fixture(scope="module")
def small() -> tuple[VqaData, VqaSplit]:
    dataset = open_dataset("shapes-videoqa@0.02")
    return dataset.training(), dataset.test()


def things_of(events: Events, video: int) -> list[dict[str, Any]]:
    return [
        {
            "colour": VIDEO_COLOURS[events.colour[video, slot]],
            "shape": VIDEO_SHAPES[events.shape[video, slot]],
            "motion": MOTIONS[events.motion[video, slot]],
            "appears": events.first[video, slot] > 0,
            "vanishes": events.last[video, slot] < FRAMES - 1,
        }
        for slot in range(SLOTS)
        if events.present[video, slot]
    ]


def named(phrase: str, things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a noun phrase names, read word by word."""
    head, _, action = phrase.partition(" that ")
    for word in head.split():
        if word in VIDEO_COLOURS:
            things = [thing for thing in things if thing["colour"] == word]
        elif not word.startswith("thing"):
            things = [thing for thing in things if word.startswith(thing["shape"])]
    if action:
        verb, _, way = action.partition(" ")
        if verb.startswith("appear"):
            things = [thing for thing in things if thing["appears"]]
        elif verb.startswith("vanish"):
            things = [thing for thing in things if thing["vanishes"]]
        else:
            things = [thing for thing in things if thing["motion"] == way]
    return things


def right_answer(text: str, things: list[dict[str, Any]]) -> str:
    if match := re.fullmatch(r"how many (.+) are there", text):
        return str(len(named(match.group(1), things)))
    if match := re.fullmatch(r"is there a (.+)", text):
        return "yes" if named(match.group(1), things) else "no"
    if match := re.fullmatch(r"are there more or less (.+) than (.+)", text):
        left, right = (len(named(phrase, things)) for phrase in match.groups())
        return "more" if left > right else "less" if left < right else "equal"
    if match := re.fullmatch(r"where does the (.+) move", text):
        (thing,) = named(match.group(1), things)
        return str(thing["motion"])
    match = re.fullmatch(r"what (colour|shape) is the (.+)", text)
    assert match is not None, text
    (thing,) = named(match.group(2), things)
    return str(thing[match.group(1)])


def test_every_answer_is_what_brute_force_finds(events: Events, asked: AskedQuestions) -> None:
    assert len(asked.texts) == N * PER_VIDEO
    for row, (text, answer) in enumerate(zip(asked.texts, asked.answers.tolist(), strict=True)):
        assert ANSWERS[answer] == right_answer(text, things_of(events, row // PER_VIDEO)), text


def test_types_are_those_of_the_words(asked: AskedQuestions) -> None:
    begins = {
        "how": "count",
        "is": "exist",
        "are": "compare",
        "where": "direction",
        "what colour": "colour",
        "what shape": "shape",
    }
    for text, kind in zip(asked.texts, asked.types.tolist(), strict=True):
        first = " ".join(text.split()[:2]) if text.startswith("what") else text.split()[0]
        assert begins[first] == TYPES[kind]


def test_words_alone_tell_little(events: Events, asked: AskedQuestions) -> None:
    rows = np.arange(N, N + 300)
    held_out = ask(0, "train", rows, draw_events(0, "train", rows))
    best = {
        form: collections.Counter(
            answer for other, answer in zip(asked.forms, asked.answers.tolist(), strict=True) if other == form
        ).most_common(1)[0]
        for form in set(asked.forms)
    }
    right = [best[form][0] == answer for form, answer in zip(held_out.forms, held_out.answers.tolist(), strict=True)]
    assert np.mean(right) < 0.42
    sizes = collections.Counter(asked.forms)
    for form, (_, most) in best.items():
        bound = {"exist": 0.62, "count": 0.55, "compare": 0.48}.get(form.partition("/")[0], 0.45)
        assert most / sizes[form] < bound, form


def test_every_object_is_seen(events: Events) -> None:
    seen = frames_seen(events)[events.present]
    assert seen.min() >= 4
    assert np.percentile(seen / (events.last - events.first + 1)[events.present], 2) > 0.8


def test_motion_is_along_one_axis_and_within_the_picture(events: Events) -> None:
    scenes = frame_scenes(events)
    x, y = (field.reshape(N, FRAMES, SLOTS) for field in (scenes.objects.x, scenes.objects.y))
    wanted = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
    for name, (dx, dy) in wanted.items():
        rows, slots = np.nonzero(events.present & (events.motion == MOTIONS.index(name)))
        ways = np.stack([x[rows, -1, slots] - x[rows, 0, slots], y[rows, -1, slots] - y[rows, 0, slots]])
        assert np.allclose(np.sign(np.round(ways, 9)), np.array([[dx], [dy]]))
    assert (events.start >= events.first).all() and (events.end <= events.last).all()
    assert min(x.min(), y.min()) >= 0.1 and max(x.max(), y.max()) <= 0.9


def test_frames_show_who_is_there(events: Events) -> None:
    first = Events(*(field[:40] for field in events))
    present = frame_scenes(first).objects.present.reshape(40, FRAMES, SLOTS)
    for slot in range(SLOTS):
        for video in np.flatnonzero(first.present[:, slot]):
            there = np.flatnonzero(present[video, :, slot])
            assert there.tolist() == list(range(first.first[video, slot], first.last[video, slot] + 1))


def test_features_are_made_of_pixels_alone() -> None:
    for function in (features.appearance, features.motion, features.maps):
        assert len(inspect.signature(function).parameters) == 1
    frames = render_videos(draw_events(0, "train", np.arange(3)))
    flat = frames.reshape(-1, 32, 32, 3)
    seen = features.appearance(flat)
    assert seen.shape == (3 * FRAMES, features.APPEARANCE_DIM) and seen.dtype == np.float32
    assert np.array_equal(features.appearance(flat[5:9]), seen[5:9])
    blank = np.full((2, 32, 32, 3), 90, dtype=np.uint8)
    assert not features.appearance(blank).any()
    assert not features.motion(np.stack([flat[4]] * 4)[None]).any()


@pytest.mark.parametrize(("axis", "step", "direction"), [(2, -1, 0), (2, 1, 1), (1, -1, 2), (1, 1, 3)])
def test_motion_features_tell_the_direction(axis: int, step: int, direction: int) -> None:
    frame = np.full((32, 32, 3), 20, dtype=np.uint8)
    frame[12:19, 12:19] = (220, 30, 40)
    clip = np.stack([np.roll(frame, step * time, axis=axis - 1) for time in range(4)])[None]
    moves = features.motion(clip)[0, : features.MAPS * 16].reshape(features.MAPS, 4, 4).sum(axis=2)
    assert moves[0].argmax() == direction
    assert moves[0, direction] > 3 * np.delete(moves[0], direction).max()


def test_the_dataset_is_whole(small: tuple[VqaData, VqaSplit]) -> None:
    data, test = small
    assert data.vocabulary[:2] == ("<pad>", "<unknown>")
    assert set(data.vocabulary[2:]) == set(all_words())
    assert data.answers == ANSWERS and len(data.answers) <= 22 and data.choices == 0
    for split, videos in ((data.train, 24), (data.valid, 5), (test, 8)):
        questions, clips = split.questions, split.clips
        assert clips.appearance.shape == (videos, CLIPS, CLIP_FRAMES, features.APPEARANCE_DIM)
        assert clips.motion.shape == (videos, CLIPS, features.MOTION_DIM)
        assert len(questions) == videos * PER_VIDEO
        assert (questions.lengths >= 1).all()
        assert np.array_equal((questions.tokens > 0).sum(axis=1), questions.lengths)
        assert not (questions.tokens == 1).any()
        assert np.array_equal(np.bincount(questions.clips), np.full(videos, PER_VIDEO))
        assert [data.answers[answer] for answer in questions.answers] == questions.answer_texts.tolist()
        words = [" ".join(data.vocabulary[token] for token in row if token) for row in questions.tokens.tolist()]
        assert words == questions.texts.tolist()
        assert np.isfinite(clips.appearance).all() and clips.appearance.std() > 0.1
        assert np.isfinite(clips.motion).all() and clips.motion.std() > 0.1


def test_no_video_is_in_two_parts(small: tuple[VqaData, VqaSplit]) -> None:
    data, test = small
    parts = [{row.tobytes() for row in split.clips.appearance} for split in (data.train, data.valid, test)]
    names = [set(split.clips.ids.tolist()) for split in (data.train, data.valid, test)]
    for sets in (parts, names):
        assert len(set.union(*sets)) == sum(map(len, sets)) == 24 + 5 + 8


def test_a_larger_scale_begins_with_the_same_videos(small: tuple[VqaData, VqaSplit]) -> None:
    larger = open_dataset("shapes-videoqa@0.03").training()
    assert np.array_equal(larger.train.clips.appearance[:24], small[0].train.clips.appearance)
    assert larger.train.questions.texts[: 24 * PER_VIDEO].tolist() == small[0].train.questions.texts.tolist()
    assert larger.digest != small[0].digest
