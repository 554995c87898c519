"""Tests of paired comparisons, against exact enumeration, scipy and known distributions."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import polars as pl
import pytest
import scipy.stats
from store_factories import make_run

from bench.analysis.multiple import holm
from bench.analysis.paired import (
    PairedUnits,
    align_units,
    bootstrap_interval,
    compare,
    compare_rows,
    sign_flip_test,
)
from bench.analysis.summary import summarise
from bench.errors import UserError
from bench.store import Store, encode_units
from bench.store.records import UnitScores


def exact_p(differences: np.ndarray) -> float:
    """The share of all sign vectors whose absolute sum is at least the observed one."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    sums = np.abs(signs @ differences)
    return float(np.mean(sums >= abs(differences.sum()) - 1e-12))


@pytest.mark.parametrize(
    "differences",
    [
        [0.3, 0.1, -0.05, 0.2, 0.25, 0.0, 0.12, 0.4],
        [0.1, 0.1, 0.1, 0.1, 0.1, -0.1, 0.0, 0.1, 0.1, 0.1],  # many ties, and sums that only rounding tells apart
        [-0.5, -0.25, -0.75, 0.125, -0.5],
        [1.0],
    ],
)
def test_sign_flips_agree_with_all_sign_vectors(differences):
    array = np.array(differences)
    resamples = 40_000
    expected = exact_p(array)
    error = 5 * np.sqrt(expected * (1 - expected) / resamples) + 1 / resamples
    assert sign_flip_test(array, resamples=resamples) == pytest.approx(expected, abs=error)


def test_sign_flips_agree_with_scipy():
    differences = np.random.default_rng(5).normal(0.3, 1.0, 60)
    theirs = scipy.stats.permutation_test(
        (differences, np.zeros(60)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    assert sign_flip_test(differences, resamples=20_000) == pytest.approx(theirs.pvalue, abs=0.02)


def test_the_test_does_not_care_which_way_the_difference_goes():
    differences = np.random.default_rng(2).normal(0.2, 1.0, 200)
    assert sign_flip_test(differences) == sign_flip_test(-differences)


def test_units_without_a_difference_change_nothing():
    differences = np.random.default_rng(2).normal(0.2, 1.0, 100)
    padded = np.concatenate([differences, np.zeros(400)])
    assert sign_flip_test(padded) == sign_flip_test(differences)


def test_equal_methods_have_a_p_value_of_one():
    assert sign_flip_test(np.zeros(50)) == 1.0
    assert bootstrap_interval(np.zeros(50), resamples=100) == (0.0, 0.0)


def test_a_p_value_is_never_zero():
    assert sign_flip_test(np.ones(1000), resamples=999) == 1 / 1000


def test_under_no_difference_small_p_values_are_rare():
    generator = np.random.default_rng(11)
    p_values = [sign_flip_test(generator.standard_t(3, 40), resamples=399, seed=i) for i in range(400)]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / 400))


def test_the_seed_fixes_the_answer():
    differences = np.random.default_rng(2).normal(0.05, 1.0, 500)
    assert sign_flip_test(differences, seed=3) == sign_flip_test(differences, seed=3)
    assert sign_flip_test(differences, seed=3) != sign_flip_test(differences, seed=4)
    assert bootstrap_interval(differences, seed=3) == bootstrap_interval(differences, seed=3)


def test_blocks_do_not_change_the_bootstrap(monkeypatch):
    differences = np.random.default_rng(2).normal(0.05, 1.0, 333)
    whole = bootstrap_interval(differences, resamples=1000)
    monkeypatch.setattr("bench.analysis.paired._BLOCK", 1000)
    assert bootstrap_interval(differences, resamples=1000) == pytest.approx(whole, abs=0.02)


def test_the_bootstrap_agrees_with_scipy_and_with_the_normal_theory():
    differences = np.random.default_rng(8).exponential(1.0, 400) - 0.8
    low, high = bootstrap_interval(differences, resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == (pytest.approx(theirs.low, abs=0.005), pytest.approx(theirs.high, abs=0.005))
    half = 1.96 * differences.std() / np.sqrt(400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_many_users_take_little_memory():
    differences = np.random.default_rng(0).normal(0.0, 1.0, 20_000)
    tracemalloc.start()
    sign_flip_test(differences, resamples=600)
    bootstrap_interval(differences, resamples=600)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 * 2**20


@pytest.mark.parametrize("bad", [[], [[0.1]], [np.nan, 0.1], [np.inf]])
def test_differences_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match="differences must be"):
        sign_flip_test(np.array(bad))


def frame(units, values):
    return pl.DataFrame({"unit": units, "recall@20": values})


def test_units_are_aligned_by_id_and_averaged_over_common_seeds():
    a = {0: frame([1, 2, 3], [0.0, 1.0, 0.5]), 1: frame([3, 2, 1], [0.5, 0.0, 0.0]), 7: frame([1, 2, 3], [9, 9, 9])}
    b = {1: frame([2, 1, 3], [1.0, 0.25, 0.75]), 0: frame([1, 3, 2], [0.75, 0.25, 1.0])}
    paired = align_units(a, b, "recall@20")
    assert paired.seeds == (0, 1)
    assert paired.units.tolist() == [1, 2, 3]
    assert paired.a.tolist() == [0.0, 0.5, 0.5]
    assert paired.b.tolist() == [0.5, 1.0, 0.5]
    comparison = compare(paired, "recall@20", resamples=100)
    assert comparison.difference == pytest.approx(1 / 3)
    assert comparison.mean_b - comparison.mean_a == pytest.approx(comparison.difference)
    assert comparison.low <= comparison.difference <= comparison.high


def test_what_cannot_be_paired_is_refused():
    one = {0: frame([1, 2], [0.0, 1.0])}
    with pytest.raises(UserError, match="a seed that both methods have"):
        align_units(one, {1: frame([1, 2], [0.0, 1.0])}, "recall@20")
    with pytest.raises(UserError, match="equal units"):
        align_units(one, {0: frame([1, 3], [0.0, 1.0])}, "recall@20")
    with pytest.raises(UserError, match=r"no unit scores of 'ndcg@20'; there are those of recall@20"):
        align_units(one, one, "ndcg@20")


def test_rows_of_a_table_are_compared_by_their_stored_unit_scores():
    generator = np.random.default_rng(0)
    base = generator.random(300)
    with Store.open(":memory:") as store:
        for method, gain in (("bpr", 0.0), ("mgcn", 0.2)):
            for seed in (0, 1):
                run = make_run(method, seed)
                scores = base + gain + generator.normal(0, 0.1, 300)
                blob = encode_units(np.arange(300), {"recall@20": scores})
                store.put_run(run, UnitScores(run=run.fingerprint, arrow=blob))
        store.put_run(make_run("ease"))
        (table,) = summarise(store.runs())
        result = compare_rows(store, table.row("bpr"), table.row("mgcn"), "recall@20", resamples=500)
        assert result.difference == pytest.approx(0.2, abs=0.02)
        assert result.p_value == 1 / 501
        assert result.low < 0.2 < result.high or abs(result.difference - 0.2) < 0.02
        assert result.seeds == (0, 1)
        assert result.n == 300
        with pytest.raises(UserError, match="kept no unit scores"):
            compare_rows(store, table.row("bpr"), table.row("ease"), "recall@20")


def test_comparison_of_a_method_with_itself():
    same = np.linspace(0, 1, 20)
    result = compare(PairedUnits(np.arange(20), same, same, (0,)), "recall@20", resamples=50)
    assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_holm_by_hand():
    # Sorted: .005·4, .01·3, .03·2, .04·1; the last may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
        holm([0.1, 1.5])


def test_holm_rejects_what_the_step_down_procedure_rejects():
    generator = np.random.default_rng(4)
    for _ in range(200):
        p_values = generator.random(generator.integers(1, 9)) ** 3
        for alpha in (0.01, 0.05, 0.2):
            rejected = np.zeros(len(p_values), dtype=bool)
            for rank, index in enumerate(np.argsort(p_values)):
                if p_values[index] > alpha / (len(p_values) - rank):
                    break
                rejected[index] = True
            assert (np.array(holm(p_values.tolist())) <= alpha).tolist() == rejected.tolist()


def test_a_unit_without_a_score_in_either_method_is_left_out():
    a = {0: frame([1, 2, 3, 4], [0.0, np.nan, 0.5, 1.0]), 1: frame([1, 2, 3, 4], [0.0, 0.5, 0.5, 1.0])}
    b = {0: frame([1, 2, 3, 4], [1.0, 0.5, 0.5, np.nan]), 1: frame([1, 2, 3, 4], [1.0, 0.5, 0.5, 1.0])}
    paired = align_units(a, b, "recall@20")
    assert (paired.units.tolist(), paired.dropped) == ([1, 3], 2)
    assert compare(paired, "recall@20", resamples=50).difference == pytest.approx(0.5)
    with pytest.raises(UserError, match="no unit has a score"):
        align_units({0: frame([1], [np.nan])}, {0: frame([1], [1.0])}, "recall@20")


def test_a_comparison_says_what_each_seed_says_and_what_seeds_say_together():
    generator = np.random.default_rng(6)
    a = {seed: frame(list(range(80)), generator.random(80)) for seed in range(4)}
    b = {seed: frame(list(range(80)), generator.random(80) + 0.1 * seed) for seed in range(4)}
    result = compare(align_units(a, b, "recall@20"), "recall@20", resamples=200)
    expected = {seed: b[seed]["recall@20"].mean() - a[seed]["recall@20"].mean() for seed in range(4)}
    assert result.by_seed == pytest.approx(expected)
    means = [[frames[seed]["recall@20"].mean() for seed in range(4)] for frames in (a, b)]
    assert result.over_seeds.p_value == pytest.approx(scipy.stats.ttest_ind(*means, equal_var=False).pvalue)
    assert 0 < result.seed_p_value <= 1
    assert result.crossed[0] < result.difference < result.crossed[1]
    assert result.effect.cohens_dz == pytest.approx(
        scipy.stats.ttest_rel(*(np.mean([f[s]["recall@20"] for s in range(4)], axis=0) for f in (b, a))).statistic
        / np.sqrt(80)
    )
