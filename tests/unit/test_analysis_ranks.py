"""Tests of ranks, tests over datasets, the expected best trial and the cost of a row, against scipy and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from store_factories import make_run, make_trial

from bench.analysis.cost import pareto_front, tradeoff
from bench.analysis.ranks import (
    ScoreGrid,
    critical_difference,
    pairs_over_datasets,
    ranking,
    score_grid,
    wilcoxon,
)
from bench.analysis.search import expected_best, trial_values
from bench.analysis.seeds import TooFew
from bench.analysis.summary import summarise
from bench.errors import UserError


def grid(values, direction="maximize"):
    methods = tuple(f"m{i}" for i in range(len(values)))
    datasets = tuple(f"d{i}" for i in range(len(values[0])))
    return ScoreGrid("recall@20", direction, methods, datasets, tuple(map(tuple, values)))


def test_only_complete_rows_enter_the_grid_and_coverage_says_so():
    runs = [
        make_run("mgcn", metrics={"recall@20": 0.3}),
        make_run("mgcn", dataset="tiktok", metrics={"recall@20": 0.2}),
        make_run("bpr", metrics={"recall@20": 0.1}),
        make_run("bpr", dataset="tiktok", metrics={}, status="failed"),
        make_run("vbpr", metrics={"recall@20": 0.2}, budget_detail={"trials": 2, "epochs": 3, "patience": 20,
                                                                    "seeds": [0, 1]}),
        make_run("vbpr", dataset="tiktok", metrics={"recall@20": 0.4}),
    ]  # fmt: skip
    found = score_grid(summarise(runs), "recall@20")
    assert found.methods == ("bpr", "mgcn", "vbpr")
    assert found.values == ((0.1, None), (0.3, 0.2), (None, 0.4))
    assert found.coverage("mgcn") == (2, 2)
    rows = ranking(found)
    assert [(row.method, row.have, row.of, row.mean_rank) for row in rows] == [
        ("mgcn", 2, 2, 1.0), ("bpr", 1, 2, None), ("vbpr", 1, 2, None),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="every cell"):
        found.ranks()


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match=r"Did you mean 'recall@20'\?"):
        score_grid(summarise([make_run("mgcn")]), "recal@20")


def test_ranks_and_borda_by_hand():
    rows = ranking(grid([[0.3, 0.3, 0.1], [0.2, 0.3, 0.3], [0.1, 0.1, 0.2]]))
    by_name = {row.method: row for row in rows}
    assert by_name["m0"].mean_rank == pytest.approx((1 + 1.5 + 3) / 3)
    assert by_name["m1"].mean_rank == pytest.approx((2 + 1.5 + 1) / 3)
    assert by_name["m2"].mean_rank == pytest.approx((3 + 3 + 2) / 3)
    assert [by_name[name].borda for name in ("m0", "m1", "m2")] == [3.5, 4.5, 1.0]
    assert [row.method for row in rows] == ["m1", "m0", "m2"]
    assert [by_name[name].wins for name in ("m0", "m1", "m2")] == [2, 2, 0]


def test_lower_is_better_turns_ranks_around():
    up, down = ranking(grid([[1.0, 2.0], [3.0, 4.0]])), ranking(grid([[1.0, 2.0], [3.0, 4.0]], "minimize"))
    assert [row.method for row in up] == ["m1", "m0"]
    assert [row.method for row in down] == ["m0", "m1"]


def test_friedman_agrees_with_scipy_and_the_critical_difference_with_the_table():
    generator = np.random.default_rng(0)
    values = generator.random((5, 12)) + np.arange(5)[:, None] * 0.2
    values[0, :4] = values[1, :4]  # ties
    found = critical_difference(grid(values.tolist()))
    theirs = scipy.stats.friedmanchisquare(*values)
    assert found.statistic == pytest.approx(theirs.statistic)
    iman = 11 * theirs.statistic / (12 * 4 - theirs.statistic)
    assert found.p_value == pytest.approx(scipy.stats.f.sf(iman, 4, 44))
    # Demšar 2006, table 5(a): q_0.05 = 2.728 for five methods.
    assert found.critical == pytest.approx(2.728 * np.sqrt(5 * 6 / (6 * 12)), rel=1e-3)
    assert list(found.mean_ranks) == sorted(found.mean_ranks)
    assert found.methods[0] == "m4"


def test_bars_join_what_is_not_told_apart_and_no_bar_lies_in_another():
    generator = np.random.default_rng(5)
    found = critical_difference(grid((generator.random((6, 15)) + np.arange(6)[:, None] * 0.25).tolist()))
    ranks, inside = found.mean_ranks, set()
    for first, last in found.groups:
        assert ranks[last] - ranks[first] < found.critical
        inside |= set(itertools.combinations(range(first, last + 1), 2))
    alike = {(i, j) for i, j in itertools.combinations(range(6), 2) if ranks[j] - ranks[i] < found.critical}
    assert inside == alike
    for one, other in itertools.permutations(found.groups, 2):
        assert not (other[0] <= one[0] and one[1] <= other[1])


def test_too_few_datasets_or_methods_is_an_answer():
    two = critical_difference(grid([[0.1, 0.2]] * 11))
    assert isinstance(two, TooFew)
    assert (two.have, two.need) == (2, 3)
    assert "with 11 methods no difference can show below 3" in two.reason
    assert isinstance(critical_difference(grid([[0.1] * 9, [0.2] * 9])), TooFew)
    few = wilcoxon([0.1] * 5, [0.2] * 5)
    assert (few.have, few.need) == (5, 6)


@given(st.lists(st.integers(-6, 6), min_size=6, max_size=9))
def test_wilcoxon_agrees_with_all_sign_vectors(gaps):
    gaps = np.array([gap for gap in gaps if gap], dtype=float)
    answer = wilcoxon(np.zeros(len(gaps)), gaps)
    if len(gaps) < 6:
        assert isinstance(answer, TooFew)
        return
    ranks = scipy.stats.rankdata(np.abs(gaps))
    sums = [ranks[np.array(signs)].sum() for signs in itertools.product([True, False], repeat=len(gaps))]
    observed = ranks[gaps > 0].sum()
    low, high = np.mean(np.array(sums) <= observed), np.mean(np.array(sums) >= observed)
    assert answer == pytest.approx(min(1.0, 2 * min(low, high)))


def test_wilcoxon_agrees_with_scipy_without_ties():
    differences = np.random.default_rng(9).normal(0.4, 1, 25)
    assert wilcoxon(np.zeros(25), differences) == pytest.approx(
        scipy.stats.wilcoxon(differences, method="exact").pvalue
    )


def test_pairs_over_datasets_are_corrected_together():
    generator = np.random.default_rng(2)
    values = generator.random((3, 10)) + np.array([[0.0], [0.3], [3.0]])
    tests = pairs_over_datasets(grid(values.tolist()))
    assert [(test.a, test.b) for test in tests] == [("m0", "m1"), ("m0", "m2"), ("m1", "m2")]
    smallest = 2 / 2**10
    assert (tests[1].p_value, tests[1].wins, tests[1].losses) == (pytest.approx(smallest), 10, 0)
    assert tests[1].corrected == pytest.approx(3 * smallest)
    upside = pairs_over_datasets(grid(values.tolist(), "minimize"))
    assert (upside[1].wins, upside[1].losses) == (0, 10)


def test_the_expected_best_agrees_with_all_draws():
    values = [0.3, 0.1, 0.3, 0.5]
    found = expected_best(values)
    for point in found:
        best = [max(draw) for draw in itertools.product(values, repeat=point.trials)]
        assert point.mean == pytest.approx(np.mean(best))
        assert point.sd == pytest.approx(np.std(best))
    assert [point.trials for point in found] == [1, 2, 3, 4]
    assert [p.mean for p in expected_best([-v for v in values], direction="minimize")] == pytest.approx(
        [-p.mean for p in found]
    )
    assert len(expected_best(values, most=2)) == 2
    assert expected_best([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_more_trials_never_make_the_expected_best_worse(values):
    means = [point.mean for point in expected_best(values)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(means))
    assert means[0] == pytest.approx(np.mean(values))
    assert means[-1] <= max(values) + 1e-12


def test_trials_without_a_value_are_left_out():
    trials = [
        make_trial(2, value=0.3),
        make_trial(0, value=0.1),
        make_trial(1, value=None, status="failed"),
        make_trial(3, value=float("nan")),
    ]
    assert trial_values(trials) == [0.1, 0.3]


points = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12)


@given(points, st.sampled_from(["maximize", "minimize"]))
def test_the_front_holds_exactly_what_nothing_dominates(found, direction):
    def beats(one, other):
        quality = one[1] >= other[1] if direction == "maximize" else one[1] <= other[1]
        return quality and one[0] <= other[0] and one != other

    assert pareto_front(found, direction) == [not any(beats(o, p) for o in found) for p in found]


def test_cost_lies_beside_quality():
    runs = [
        make_run("slow", metrics={"recall@20": 0.3}, seconds={"total": 9.0}),
        make_run("fast", metrics={"recall@20": 0.2}, seconds={"total": 1.0}, parameters=10, peak_memory_bytes=None),
        make_run("poor", metrics={"recall@20": 0.1}, seconds={"total": 5.0}),
        make_run("mute", metrics={"recall@20": 0.9}, seconds={}),
    ]
    (table,) = summarise(runs)
    points = tradeoff(table, "recall@20")
    assert [(p.row.method, p.cost, p.best) for p in points] == [
        ("fast", 1.0, True), ("poor", 5.0, False), ("slow", 9.0, True), ("mute", None, False),
    ]  # fmt: skip
    fast = points[0].row
    assert (fast.parameters, fast.memory_bytes) == (10, None)
    assert [p.best for p in tradeoff(table, "recall@20", "parameters")] == [True, True, False, False]
