"""Tests of what can be said over seeds, and of effect sizes, against scipy, enumeration and theory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.effects import cliffs_delta, cohens_dz, effect, magnitude
from bench.analysis.seeds import TooFew, crossed_interval, seed_permutation_test, welch

numbers = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_welch_agrees_with_scipy():
    generator = np.random.default_rng(3)
    for n, m in [(3, 3), (5, 4), (10, 3)]:
        a, b = generator.normal(0, 1, n), generator.normal(0.5, 2, m)
        result = welch(a, b)
        theirs = scipy.stats.ttest_ind(b, a, equal_var=False)
        interval = theirs.confidence_interval(0.95)
        assert result.p_value == pytest.approx(theirs.pvalue)
        assert (result.low, result.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
        assert result.difference == pytest.approx(b.mean() - a.mean())


def test_one_method_without_randomness_still_has_an_interval():
    result = welch([0.3, 0.3, 0.3], [0.4, 0.5, 0.6])
    half = scipy.stats.t.ppf(0.975, 2) * np.std([0.4, 0.5, 0.6], ddof=1) / np.sqrt(3)
    assert result.high - result.difference == pytest.approx(half)


def test_two_methods_without_randomness_have_nothing_to_test():
    result = welch([0.1 + 0.2] * 3, [0.5] * 3)
    assert (result.low, result.high, result.p_value) == (result.difference, result.difference, None)


def test_too_few_seeds_is_an_answer_with_its_reason():
    answer = welch([0.1, 0.2], [0.3, 0.4, 0.5])
    assert answer == TooFew("2 seeds per method; 3 are needed to know the noise of training", 2, 3)
    assert isinstance(welch([0.1], [0.2]), TooFew)
    few = seed_permutation_test([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    assert (few.have, few.need) == (3, 4)
    assert "0.1, 4 seeds are needed for 0.05" in few.reason
    assert isinstance(crossed_interval(np.ones((2, 5)), np.ones((2, 5))), TooFew)


def test_permuting_seeds_agrees_with_scipy_and_with_enumeration():
    generator = np.random.default_rng(0)
    a, b = generator.normal(0, 1, 4), generator.normal(1, 1, 5)
    theirs = scipy.stats.permutation_test((a, b), lambda x, y: abs(x.mean() - y.mean()), alternative="greater")
    pooled = np.concatenate([a, b])
    hits = [
        abs(pooled[list(c)].mean() - np.delete(pooled, list(c)).mean()) >= abs(a.mean() - b.mean()) - 1e-12
        for c in itertools.combinations(range(9), 4)
    ]
    assert seed_permutation_test(a, b) == pytest.approx(theirs.pvalue)
    assert seed_permutation_test(a, b) == pytest.approx(np.mean(hits))


def test_many_seeds_are_split_at_random_and_agree_with_the_t_test():
    generator = np.random.default_rng(1)
    a, b = generator.normal(0, 1, 30), generator.normal(0.5, 1, 30)
    expected = scipy.stats.ttest_ind(a, b).pvalue
    assert seed_permutation_test(a, b) == pytest.approx(expected, abs=0.01)


def test_the_interval_over_seeds_and_units_has_the_width_that_theory_gives():
    generator = np.random.default_rng(4)
    seeds, size = 6, 400
    a = generator.normal(0, 0.2, (seeds, 1)) + generator.normal(0, 1, size)
    b = 0.5 + generator.normal(0, 0.1, (seeds, 1)) + generator.normal(0, 1, size)
    low, high = crossed_interval(a, b, resamples=6000)
    over_seeds = a.mean(axis=1).var(ddof=1) / seeds + b.mean(axis=1).var(ddof=1) / seeds
    over_units = (b.mean(axis=0) - a.mean(axis=0)).var() / size
    assert (high - low) / (2 * 1.96) == pytest.approx(np.sqrt(over_seeds + over_units), rel=0.06)
    assert low < (b - a).mean() < high


def test_units_that_nobody_scores_on_are_drawn_too():
    generator = np.random.default_rng(7)
    a, b = generator.random((4, 60)), generator.random((4, 60)) + 0.3
    padded = [np.concatenate([x, np.zeros((4, 240))], axis=1) for x in (a, b)]
    found = crossed_interval(*padded, resamples=6000)
    means = []
    for _ in range(6000):
        units = generator.integers(0, 300, 300)
        first, second = (x[generator.integers(0, 4, 3)][:, units].mean() for x in padded)
        means.append(second - first)
    assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.0015)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        welch([0.1, 0.2, float("nan")], [0.1, 0.2, 0.3])


def test_cohens_dz_is_the_t_statistic_by_the_root_of_n():
    differences = np.random.default_rng(2).normal(0.3, 1, 50)
    expected = scipy.stats.ttest_1samp(differences, 0).statistic / np.sqrt(50)
    assert cohens_dz(differences) == pytest.approx(expected)
    assert cohens_dz(np.zeros(4)) == 0.0
    assert cohens_dz(np.full(4, 0.5)) is None
    assert [magnitude(value) for value in (None, 0.1, -0.3, 0.6, 1.2)] == [
        "undefined", "negligible", "small", "medium", "large",
    ]  # fmt: skip


@given(numbers, numbers)
def test_cliffs_delta_counts_all_pairs(a, b):
    pairs = [np.sign(y - x) for x in a for y in b]
    assert cliffs_delta(np.array(a), np.array(b)) == pytest.approx(np.mean(pairs))
    statistic = scipy.stats.mannwhitneyu(b, a).statistic
    assert cliffs_delta(np.array(a), np.array(b)) == pytest.approx(2 * statistic / (len(a) * len(b)) - 1)


def test_an_effect_counts_units_on_either_side():
    found = effect(np.array([0.0, 1.0, 0.5, 0.5]), np.array([1.0, 0.5, 0.5, 1.0]))
    assert (found.higher, found.lower, found.equal) == (2, 1, 1)
