"""Tests of the interval of a mean over seeds."""

from __future__ import annotations

import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import t_interval

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


def test_three_seeds_by_hand():
    # t_{2, 0.975} = 4.302653, s = 0.01, n = 3.
    interval = t_interval([0.09, 0.10, 0.11])
    assert interval.mean == pytest.approx(0.10)
    assert interval.half_width == pytest.approx(4.302652729911275 * 0.01 / math.sqrt(3), rel=1e-12)
    assert interval.n == 3
    assert interval.low == pytest.approx(interval.mean - interval.half_width)
    assert interval.high == pytest.approx(interval.mean + interval.half_width)


@given(values, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_agrees_with_scipy(sample, confidence):
    interval = t_interval(sample, confidence=confidence)
    assert interval.mean == pytest.approx(math.fsum(sample) / len(sample), abs=1e-12)
    if min(sample) == max(sample):
        assert interval.half_width == 0.0
        return
    low, high = scipy.stats.ttest_1samp(sample, 0.0).confidence_interval(confidence)
    assert interval.half_width == pytest.approx((high - low) / 2, rel=1e-6, abs=1e-9)


def test_one_seed_has_no_interval():
    assert t_interval([0.3]) == (0.3, None, 1)
    assert t_interval([0.3]).low is None


def test_a_method_without_randomness_has_an_interval_of_zero():
    # The mean of three times 0.1 is not 0.1 in floating point.
    assert t_interval([0.1, 0.1, 0.1]) == (0.1, 0.0, 3)


def test_a_value_that_is_not_finite_leaves_no_interval():
    assert t_interval([0.1, math.inf]).half_width is None
    assert math.isnan(t_interval([0.1, math.nan]).mean)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_the_level_is_a_fraction(confidence):
    with pytest.raises(ValueError, match="confidence"):
        t_interval([0.1, 0.2], confidence=confidence)


def test_no_value_is_an_error():
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([])
