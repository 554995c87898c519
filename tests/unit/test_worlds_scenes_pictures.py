"""Captions, edits and stories say exactly what their pixels show."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench.data.worlds.scenes import (
    CAPTION_VOCABULARY,
    EDIT_KINDS,
    EDIT_VOCABULARY,
    STORY_VOCABULARY,
    CaptionedImages,
    EditPairs,
    Stories,
    as_tokens,
    captioned_images,
    captioned_stories,
    edit_pairs,
    edited_region,
    foreground,
    object_masks,
    owners,
)
from bench.data.worlds.scenes.pictures import PLACES
from bench.data.worlds.scenes.stories import CHARACTER_NAMES, CHARACTERS, FRAMES, POSES
from bench.data.worlds.scenes.stories import PLACES as STORY_PLACES
from bench.data.worlds.scenes.vocabulary import COLOUR_NAMES, COLOURS, GROUND_NAMES, GROUNDS, SHAPES, SIZES

N = 300


@pytest.fixture(scope="module")
def pictures() -> CaptionedImages:
    return captioned_images("train", N)


@pytest.fixture(scope="module")
def edits() -> EditPairs:
    return edit_pairs("train", N)


@pytest.fixture(scope="module")
def tales() -> Stories:
    return captioned_stories("train", N)


_THING = re.compile(
    rf"a ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)}) ({'|'.join(PLACES)})(?= and | on )"
)


def read_caption(caption: str) -> tuple[list[tuple[str, ...]], str]:
    ground = re.search(r" on a (\w+) ground$", caption)
    assert ground is not None
    things = [match.groups() for match in _THING.finditer(caption)]
    assert " and ".join(f"a {' '.join(thing)}" for thing in things) + ground.group() == caption
    return things, ground.group(1)


def test_what_a_caption_says_is_what_the_pixels_show(pictures: CaptionedImages) -> None:
    found = owners(pictures.scenes)
    for row, caption in enumerate(pictures.captions):
        things, ground = read_caption(caption)
        assert len(things) == len(np.unique(found[row][found[row] >= 0])) == pictures.symbols.number[row]
        corner = pictures.pixels[row][found[row] < 0]
        shade = np.median(corner, axis=0) / 255
        assert min(GROUNDS, key=lambda name: np.abs(shade - GROUNDS[name]).max()) == ground
        extents = {}
        for slot, (size, colour, _, place) in enumerate(things):
            ys, xs = np.nonzero(found[row] == slot)
            shade = np.median(pictures.pixels[row][ys, xs], axis=0) / 255
            assert min(COLOURS, key=lambda name: np.abs(shade - COLOURS[name]).max()) == colour
            middle = ((xs.min() + xs.max() + 1) / 64, (ys.min() + ys.max() + 1) / 64)
            assert min(PLACES, key=lambda name: np.hypot(*np.subtract(middle, PLACES[name]))) == place
            extents[size] = max(np.ptp(xs), np.ptp(ys)) + 1
        if len(extents) == 2:
            assert extents["small"] < extents["large"]


def test_objects_of_a_picture_differ_and_none_is_cut_off_or_hidden(pictures: CaptionedImages) -> None:
    symbols = pictures.symbols
    for field in (symbols.shape, symbols.colour, symbols.place):
        assert (field[:, 0] != field[:, 1]).all()
    alone = pictures.scenes._replace(
        objects=pictures.scenes.objects._replace(present=pictures.scenes.objects.present & [True, False])
    )
    wide = foreground(alone._replace(view=alone.view._replace(zoom=np.full(N, 0.5))), 64)
    assert not wide[:, :15].any() and not wide[:, 49:].any() and not wide[:, :, :15].any() and not wide[:, :, 49:].any()
    masks = object_masks(pictures.scenes)
    assert (masks.sum(axis=(2, 3))[pictures.scenes.objects.present] >= 12).all()


def test_every_value_occurs_about_equally_often(pictures: CaptionedImages) -> None:
    for field, count in ((pictures.symbols.shape, 8), (pictures.symbols.colour, 8), (pictures.symbols.ground, 4)):
        shares = np.bincount(field.ravel(), minlength=count) / field.size
        assert np.abs(shares - 1 / count).max() < 0.09


def test_more_pictures_begin_with_the_same_ones(pictures: CaptionedImages) -> None:
    fewer = captioned_images("train", 40)
    assert np.array_equal(fewer.pixels, pictures.pixels[:40])
    assert fewer.captions == pictures.captions[:40]
    assert not np.array_equal(captioned_images("train", 40, seed=1).pixels, fewer.pixels)


def test_parts_are_drawn_apart(pictures: CaptionedImages, edits: EditPairs, tales: Stories) -> None:
    for mine, others in (
        (pictures.pixels, captioned_images("test", N).pixels),
        (pictures.pixels, edits.source),
        (tales.pixels, captioned_stories("test", N).pixels),
        (edits.source, edit_pairs("test", N).source),
    ):
        assert not {image.tobytes() for image in mine} & {image.tobytes() for image in others}


def test_an_edit_changes_one_attribute_and_no_pixel_elsewhere(edits: EditPairs) -> None:
    fields = {"recolour": "colour", "reshape": "shape", "resize": "size", "move": "place", "reground": "ground"}
    region = edited_region(edits)
    assert set(edits.kinds.tolist()) == set(range(len(EDIT_KINDS)))
    for row, kind in enumerate(edits.kinds.tolist()):
        source, target = (
            {
                **{name: getattr(part, name)[row, : part.number[row]].tolist() for name in list(fields.values())[:4]},
                "ground": int(part.ground[row]),
            }
            for part in (edits.source_symbols, edits.target_symbols)
        )
        changed = {name for name in source if source[name] != target[name]}
        assert changed == {fields[EDIT_KINDS[kind]]}
        if kind != EDIT_KINDS.index("reground"):
            name = fields[EDIT_KINDS[kind]]
            assert [a != b for a, b in zip(source[name], target[name], strict=True)].index(True) == edits.slots[row]
            if name in ("colour", "shape", "place"):
                assert len(set(target[name])) == len(target[name])
        assert np.array_equal(edits.source[row][~region[row]], edits.target[row][~region[row]])
        assert not np.array_equal(edits.source[row], edits.target[row])
    moved_ground = edits.kinds == EDIT_KINDS.index("reground")
    assert region[~moved_ground].mean() < 0.4


def test_instruction_and_source_caption_give_the_target_caption(edits: EditPairs) -> None:
    for source, target, command in zip(edits.source_captions, edits.target_captions, edits.instructions, strict=True):
        things, ground = read_caption(source)
        wanted, wanted_ground = read_caption(target)
        if match := re.fullmatch(r"make the ground (\w+)", command):
            ground = match.group(1)
        else:
            match = re.fullmatch(r"(?:make|turn|move) the (\w+) (\w+) (?:into a |to )?(.+)", command)
            assert match is not None
            colour, shape, new = match.groups()
            fitting = [place for place, thing in enumerate(things) if thing[1:3] == (colour, shape)]
            assert len(fitting) == 1
            thing = list(things[fitting[0]])
            options = (list(SIZES), list(COLOURS), list(SHAPES), [name.partition(" ")[2] for name in PLACES])
            column = next(place for place, names in enumerate(options) if new in names)
            thing[column] = next(name for name in PLACES if name.endswith(new)) if column == 3 else new
            things[fitting[0]] = tuple(thing)
        assert (things, ground) == (wanted, wanted_ground)


def test_stories_can_be_read_back_from_their_captions(tales: Stories) -> None:
    labels = tales.labels
    sentence = re.compile(
        rf"({'|'.join(CHARACTER_NAMES)})(?: the ({'|'.join(COLOURS)}) (\w+))? ({'|'.join(POSES)}) "
        rf"({'|'.join(STORY_PLACES)})"
    )
    for row, captions in enumerate(tales.captions):
        assert len(captions) == FRAMES
        colours = np.full(len(CHARACTERS), -1)
        ground = re.search(r" on a (\w+) ground$", captions[0])
        assert ground is not None and GROUND_NAMES[labels.ground[row]] == ground.group(1)
        for frame, caption in enumerate(captions):
            present = np.zeros(len(CHARACTERS), dtype=bool)
            for name, colour, shape, pose, place in sentence.findall(caption):
                who = CHARACTER_NAMES.index(name)
                present[who] = True
                assert bool(colour) == (colours[who] < 0)
                if colour:
                    assert CHARACTERS[name] == shape
                    colours[who] = COLOUR_NAMES.index(colour)
                assert POSES[labels.poses[row, frame, who]] == pose
                assert STORY_PLACES[labels.places[row, frame, who]] == place
            assert np.array_equal(present, labels.characters[row, frame])
            assert 1 <= present.sum() <= 2
        assert np.array_equal(colours, labels.colours[row])


def test_characters_are_seen_in_their_colour_in_every_frame_they_are_in(tales: Stories) -> None:
    found = owners(tales.scenes).reshape(N, FRAMES, 32, 32)
    for row in range(60):
        for frame in range(FRAMES):
            seen = {int(slot - 1) // 5 for slot in np.unique(found[row, frame]) if slot >= 1}
            assert seen == set(np.flatnonzero(tales.labels.characters[row, frame]).tolist())
            for who in seen:
                body = tales.pixels[row, frame][found[row, frame] == 1 + 5 * who]
                shade = np.median(body, axis=0) / 255
                name = min(COLOURS, key=lambda name: np.abs(shade - COLOURS[name]).max())
                assert name == COLOUR_NAMES[tales.labels.colours[row, who]]


def test_labels_of_who_is_absent_say_so(tales: Stories) -> None:
    labels = tales.labels
    assert np.array_equal(labels.places >= 0, labels.characters)
    assert np.array_equal(labels.poses >= 0, labels.characters)
    assert np.array_equal(labels.colours >= 0, labels.characters.any(axis=1))


def test_vocabularies_are_closed(pictures: CaptionedImages, edits: EditPairs, tales: Stories) -> None:
    texts = {
        CAPTION_VOCABULARY: pictures.captions,
        EDIT_VOCABULARY: edits.source_captions + edits.target_captions + edits.instructions,
        STORY_VOCABULARY: [caption for story in tales.captions for caption in story],
    }
    for vocabulary, sentences in texts.items():
        tokens, lengths = as_tokens(sentences, vocabulary)
        assert not (tokens == 1).any()
        assert np.array_equal((tokens > 0).sum(axis=1), lengths)
        assert len(set(vocabulary)) == len(vocabulary)
        assert set(tokens.ravel().tolist()) - {0} == set(range(2, len(vocabulary)))


def test_long_texts_are_cut_and_unknown_words_marked() -> None:
    tokens, lengths = as_tokens(["a red zebra jumps", "a"], ("<pad>", "<unknown>", "a", "red"), length=3)
    assert tokens.tolist() == [[2, 3, 1], [2, 0, 0]]
    assert lengths.tolist() == [3, 1]
