"""The renderer of the procedural world: pixels are a function of one scene alone, and masks agree with them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.worlds.scenes.conditions import CONDITIONS, conditioned
from bench.data.worlds.scenes.description import Objects, Scenes, plain, take
from bench.data.worlds.scenes.draws import between, pick, pick_weighted, shuffled, uniforms
from bench.data.worlds.scenes.forms import FORM_NAMES, FORMS
from bench.data.worlds.scenes.render import BACKGROUND, HIDDEN, foreground, object_masks, owners, render

SLOTS = 5


def some_scenes(seed: int, index: np.ndarray, condition: str = "clean") -> Scenes:
    """Scenes with every form, size and squeeze there is, seen under a condition."""
    draws = np.moveaxis(uniforms(seed, "test scenes", index, (9, SLOTS)), 1, 0)
    objects = Objects(
        present=draws[0] < 0.7,
        form=pick(len(FORMS), draws[1]),
        rgb=np.stack([draws[2], draws[3], draws[4]], axis=-1),
        x=between(-0.2, 1.2, draws[5]),
        y=between(-0.2, 1.2, draws[6]),
        size=between(0.03, 0.4, draws[7]),
        rotation=between(-3, 3, draws[8]),
        aspect=between(0.35, 1.0, draws[0] / 0.7 % 1),
    )
    scenes = plain(objects, uniforms(seed, "test grounds", index, (3,)))
    return conditioned(scenes, condition, seed, "test", index)


def one_object(form: str, **changes: float) -> Scenes:
    values = {"x": 0.5, "y": 0.5, "size": 0.3, "rotation": 0.0, "aspect": 1.0} | changes
    arrays = {name: np.full((1, 1), value) for name, value in values.items()}
    place = np.full((1, 1), FORM_NAMES.index(form))
    return plain(Objects(np.ones((1, 1), bool), place, np.ones((1, 1, 3)), **arrays), np.zeros((1, 3)))


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    condition=st.sampled_from(CONDITIONS),
    side=st.sampled_from([8, 16, 32, 33]),
    rows=st.lists(st.integers(0, 11), min_size=1, max_size=6),
)
def test_an_image_is_the_same_alone_and_in_any_batch(seed: int, condition: str, side: int, rows: list[int]) -> None:
    scenes = some_scenes(seed, np.arange(12), condition)
    together = render(scenes, side)
    masks = owners(scenes, side)
    chosen = np.array(rows)
    assert np.array_equal(render(take(scenes, chosen), side), together[chosen])
    assert np.array_equal(owners(take(scenes, chosen), side), masks[chosen])
    alone = some_scenes(seed, chosen[:1], condition)
    assert np.array_equal(render(alone, side)[0], together[rows[0]])


def test_another_process_draws_the_same_pixels() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from bench.data.worlds.scenes.pictures import compose, draw_symbols\n"
        "from bench.data.worlds.scenes.render import render\n"
        "rows = np.arange(5, 45)\n"
        "scenes = compose(draw_symbols(3, 'p', rows), 3, 'p', rows)\n"
        "print(hashlib.sha256(render(scenes, 32).tobytes()).hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    from bench.data.worlds.scenes.pictures import compose, draw_symbols

    rows = np.arange(50)
    here = render(compose(draw_symbols(3, "p", rows), 3, "p", rows), 32)[5:45]
    assert hashlib.sha256(here.tobytes()).hexdigest() == there


@pytest.mark.parametrize("form", FORM_NAMES)
def test_every_form_fills_its_square_and_stays_inside(form: str) -> None:
    mask = foreground(one_object(form), 64)[0]
    ys, xs = np.nonzero(mask)
    for axis in (ys, xs):
        assert axis.min() >= 32 - 0.3 * 64 - 1 and axis.max() <= 32 + 0.3 * 64
    assert max(np.ptp(ys), np.ptp(xs)) >= 0.5 * 0.6 * 64
    assert 0.15 < mask.sum() / (0.6 * 64) ** 2 <= 1.0


@pytest.mark.parametrize("form", FORM_NAMES)
def test_forms_look_different(form: str) -> None:
    mine = foreground(one_object(form), 32)[0]
    for other in set(FORM_NAMES) - {form}:
        theirs = foreground(one_object(other), 32)[0]
        assert (mine & theirs).sum() / (mine | theirs).sum() < 0.9


def test_a_circle_has_the_area_of_a_circle_at_any_resolution() -> None:
    for side in (16, 32, 128):
        share = render(one_object("circle", x=0.42, y=0.57), side)[0, :, :, 0].mean() / 255
        assert share == pytest.approx(np.pi * 0.09, rel=0.02)


def test_a_squeezed_form_is_lower_by_its_aspect() -> None:
    tall = foreground(one_object("circle"), 128).sum()
    low = foreground(one_object("circle", aspect=0.5), 128).sum()
    assert low / tall == pytest.approx(0.5, rel=0.05)


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_masks_agree_with_pixels(seed: int) -> None:
    index = np.arange(20)
    scenes = some_scenes(seed, index)._replace(light=plain(*some_scenes(seed, index)[:2]).light)
    pixels, found = render(scenes).astype(float), owners(scenes)
    bare = scenes._replace(objects=scenes.objects._replace(present=np.zeros_like(scenes.objects.present)))
    empty = render(bare)
    changed = (pixels != empty).any(axis=-1)
    seen = found >= 0
    # Where an object is claimed, the ground no longer shows alone.
    shades = np.abs(scenes.objects.rgb[np.nonzero(seen)[0], found[seen]] - scenes.ground[np.nonzero(seen)[0]])
    assert changed[seen][shades.max(axis=1) > 0.05].all()
    # Three pixels inside a single object's claim the colour is that object's.
    for slot in range(SLOTS):
        core = found == slot
        for axis in (1, 2):
            core &= np.roll(found == slot, 1, axis) & np.roll(found == slot, -1, axis)
        rows, ys, xs = np.nonzero(core)
        off = np.abs(pixels[rows, ys, xs] / 255 - scenes.objects.rgb[rows, slot]).max(axis=1)
        assert (off < 0.5).all()
        assert np.median(off) < 0.01 if len(off) > 20 else True


def test_object_masks_are_apart_and_make_up_the_foreground() -> None:
    scenes = some_scenes(4, np.arange(30))
    masks = object_masks(scenes)
    assert masks.shape == (30, SLOTS, 32, 32)
    assert masks.sum(axis=1).max() == 1
    assert np.array_equal(masks.any(axis=1), foreground(scenes))
    assert not masks.any(axis=(2, 3))[~scenes.objects.present].any()


def test_later_slots_lie_in_front() -> None:
    scenes = one_object("circle")
    both = Objects(*(np.repeat(field, 2, axis=1) for field in scenes.objects))
    both.rgb[0, 0] = [1, 0, 0]
    both.rgb[0, 1] = [0, 0, 1]
    picture = plain(both, np.zeros((1, 3)))
    assert render(picture)[0, 16, 16].tolist() == [0, 0, 255]
    assert set(np.unique(owners(picture))) == {BACKGROUND, 1}


def test_occluders_hide_and_say_so() -> None:
    clean, hidden = (some_scenes(9, np.arange(20), name) for name in ("clean", "occlusion"))
    bars = owners(hidden) == HIDDEN
    assert 0.1 < bars.mean() < 0.6
    assert np.array_equal(owners(hidden)[~bars], owners(clean)[~bars])
    assert not (owners(clean) == HIDDEN).any()


def test_a_zoomed_view_shows_things_larger() -> None:
    scenes = one_object("circle", size=0.15)
    near = scenes._replace(view=scenes.view._replace(zoom=np.full(1, 1.5)))
    assert foreground(near, 64).sum() / foreground(scenes, 64).sum() == pytest.approx(2.25, rel=0.05)


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="viewpoint"):
        conditioned(some_scenes(0, np.arange(2)), "fog", 0, "test", np.arange(2))


@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), more=st.integers(1, 7))
def test_a_draw_depends_on_its_own_place_alone(seed: int, index: int, more: int) -> None:
    one = uniforms(seed, "a", np.array([index]), (3,))[0]
    many = uniforms(seed, "a", np.array([index + 1, index]), (3 + more,))[1, :3]
    assert np.array_equal(one, many)
    assert not np.array_equal(one, uniforms(seed, "b", np.array([index]), (3,))[0])
    assert ((one >= 0) & (one < 1)).all()


def test_draws_are_even_and_unrelated() -> None:
    draws = uniforms(7, "even", np.arange(4000), (8,))
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(draws, rowvar=False) - np.eye(8)).max() < 0.06
    assert np.abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.06
    assert np.abs(np.bincount(pick(5, draws[:, 0])) - 800).max() < 120


def test_choices_follow_their_weights() -> None:
    draws = uniforms(1, "weights", np.arange(3000), (1,))[:, 0]
    chosen = pick_weighted(np.tile([1.0, 0.0, 3.0], (3000, 1)), draws)
    assert np.bincount(chosen, minlength=3)[1] == 0
    assert np.bincount(chosen)[2] / 3000 == pytest.approx(0.75, abs=0.03)
    assert pick_weighted(np.zeros((2, 3)), draws[:2]).tolist() == [-1, -1]
    with pytest.raises(ValueError, match="permutation"):
        shuffled(3, np.zeros((2, 4)))
