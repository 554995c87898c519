"""Drift, omission and the other numbers of heat maps, against hand-computed values and naive loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from bench.analysis.attribution import (
    Attribution,
    agreement,
    attribution,
    covered_share,
    drift,
    hot,
    omission,
    paired,
    spread,
)

HEAT = np.array([[4.0, 1.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
MASK = np.array([[1.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0], [0.0, 0.25, 0.0, 0.0]])
MAPS = arrays(np.float64, (3, 6), elements=st.floats(0, 10))
MASKS = arrays(np.float64, (3, 6), elements=st.floats(0, 1))


def test_drift_is_the_mass_on_the_background() -> None:
    # (4·1 + 3·½) of 8 lie on the foreground; ¼ of 4 in the even map.
    found = drift(HEAT, MASK)
    assert found[0] == pytest.approx(1 - 5.5 / 8)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(1 - 0.25 / 4)


def test_omission_is_the_foreground_below_half_of_the_largest_heat() -> None:
    # Above 2 lie the first and the third part: 1 + ½ of a foreground of 2.
    found = omission(HEAT, MASK)
    assert found[0] == pytest.approx(1 - 1.5 / 2)
    assert math.isnan(found[1])
    assert found[2] == 0.0


def test_omission_of_a_picture_without_foreground_is_not_defined() -> None:
    assert np.isnan(omission(HEAT[:1], np.zeros((1, 4)))).all()


def test_the_share_that_is_hot_and_how_even_a_map_is() -> None:
    assert hot(HEAT)[0].tolist() == [True, False, True, False]
    assert covered_share(HEAT)[[0, 2]].tolist() == [0.5, 1.0] and np.isnan(covered_share(HEAT)[1])
    even = spread(np.array([[1.0, 1.0, 1.0, 1.0], [5.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]))
    assert even.tolist() == pytest.approx([1.0, 0.25, 0.5])


def test_agreement_is_spearmans_rank_correlation() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 4, (5, 9)).astype(float), rng.integers(0, 4, (5, 9)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(before, after, strict=True)]
    assert agreement(before, after).tolist() == pytest.approx(expected)
    assert np.isnan(agreement(np.ones((1, 4)), HEAT[:1])).all()


@given(MAPS, MASKS, st.floats(0.5, 100))
def test_numbers_do_not_depend_on_the_scale_of_a_map(heat: np.ndarray, mask: np.ndarray, factor: float) -> None:
    heat = np.where(heat.max(axis=1, keepdims=True) > 1e-6, heat, 0.0)
    for measure in (drift, omission):
        np.testing.assert_allclose(measure(heat, mask), measure(heat * factor, mask), atol=1e-9)
    np.testing.assert_allclose(spread(heat), spread(heat * factor), atol=1e-9)


@given(MAPS, MASKS)
def test_drift_agrees_with_a_loop_over_pixels(heat: np.ndarray, mask: np.ndarray) -> None:
    """A part of ten pixels with k in the foreground counts like its ten pixels, each with the part's heat."""
    of_ten = np.round(mask * 10)
    for row, value in enumerate(drift(heat, of_ten / 10)):
        pixels = [(heat[row, p], k < of_ten[row, p]) for p in range(heat.shape[1]) for k in range(10)]
        total = sum(h for h, _ in pixels)
        if heat[row].max() <= 1e-9:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(1 - sum(h for h, front in pixels if front) / total, abs=1e-9)


def test_differences_are_paired_over_the_items_that_have_both_maps() -> None:
    before = np.array([[1.0, 1.0], [3.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    after = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    mask = np.tile([1.0, 0.0], (4, 1))
    reliance = (np.full(4, 0.5), np.full(4, 0.25))
    found = attribution(np.array([3, 5, 8, 9]), before, after, reliance, mask)
    compared = paired(found, seed=7, resamples=199)
    drifted = compared["drift"]
    assert drifted is not None
    # Drift ½, ¼, –, 0 before and 0, 0, –, ½ after.
    assert (drifted.n, drifted.dropped, drifted.seeds) == (3, 1, (7,))
    assert (drifted.mean_a, drifted.mean_b) == (pytest.approx(0.25), pytest.approx(1 / 6))
    assert drifted.low <= drifted.difference <= drifted.high
    assert compared["reliance"] is not None and compared["reliance"].difference == pytest.approx(-0.25)
    assert found.chance == {"drift": 0.5}


def test_a_map_that_hardly_turns_the_feature_is_no_map() -> None:
    faint = np.full((2, 3), 1e-12)
    nothing = (np.zeros(2), np.zeros(2))
    found = attribution(np.arange(2), np.ones((2, 3)), faint, nothing, np.ones((2, 3)))
    assert not found.after.any()
    assert paired(found, seed=0, resamples=99)["drift"] is None


def looked_at(reliance_after: list[float]) -> Attribution:
    """Four parts, the first in the foreground: the map lies there before and on the second after, faintly."""
    before, after = np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)), np.tile([0.0, 1e-8, 0.0, 0.0], (3, 1))
    reliance = (np.full(3, 0.5), np.array(reliance_after))
    return attribution(np.arange(3), before, after, reliance, before)


def test_an_item_whose_feature_has_lost_the_picture_has_no_map_after() -> None:
    # A thousandth of ½ is 5e-4: at it the feature is blind, above it a faint map counts like any other.
    found = looked_at([5e-4, 5.1e-4, 0.25])
    assert found.after.any(axis=1).tolist() == [False, True, True] and found.before.any(axis=1).all()
    drifted = paired(found, seed=0, resamples=99)["drift"]
    assert drifted is not None and not found.blind
    assert (drifted.n, drifted.dropped, drifted.mean_a, drifted.mean_b) == (2, 1, 0.0, 1.0)
    assert 0 < drifted.p_value <= 1 and drifted.low == drifted.high == 1.0


def test_of_a_blind_adapter_no_map_is_tested_but_its_reliance_is() -> None:
    # Mean reliance 3.5e-4 of ½ is 7e-4 of it. The third item alone, at 1.002e-3, still has a map.
    found = looked_at([0.0, 5.49e-4, 5.01e-4])
    assert found.blind
    compared = paired(found, seed=0, resamples=99)
    for name in ("drift", "omission", "spread", "covered"):
        result = compared[name]
        assert result is not None and result.n == 2
        assert all(math.isnan(value) for value in (result.p_value, result.low, result.high))
    relied = compared["reliance"]
    assert relied is not None and relied.n == 3 and 0 < relied.p_value <= 1
    assert relied.difference == pytest.approx(3.5e-4 - 0.5)


@pytest.mark.parametrize(("after", "blind"), [(4.9e-4, True), (5.1e-4, False)])
def test_an_adapter_is_blind_below_a_thousandth_of_the_reliance_before(after: float, blind: bool) -> None:
    assert looked_at([after] * 3).blind is blind


def test_without_a_foreground_only_what_needs_none_is_told() -> None:
    found = attribution(np.arange(3), HEAT, HEAT, (np.ones(3), np.ones(3)), None)
    assert set(found.scores) == {"reliance", "spread", "covered"} and not found.chance
