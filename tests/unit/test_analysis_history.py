"""A gate's verdicts commit by commit."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats
from store_factories import NOON, make_environment, make_run

from bench.analysis.baseline import Baseline, key_of, measure
from bench.analysis.gate import judge
from bench.analysis.history import NOT_IN_GIT, allowed, belonging, moments, verdicts

SEEDS = range(5)
OLD = [0.50, 0.51, 0.49, 0.52, 0.48]
ENVIRONMENTS = {
    digest: make_environment(digest=digest, git_commit=commit, git_dirty=dirty)
    for digest, commit, dirty in [
        ("e1", "a" * 40, False),
        ("e2", "b" * 40, False),
        ("e3", "b" * 40, True),
        ("e4", None, None),
    ]
}


def runs(values, environment, days=0, **changes):
    return [
        make_run(
            seed=seed, fingerprint=f"{environment}{seed}{days}", environment=environment, metrics={"recall@20": value},
            created=NOON + timedelta(days=days, minutes=seed), **changes,
        )
        for seed, value in zip(SEEDS, values, strict=False)
    ]  # fmt: skip


def no_units(fingerprint):
    return None


@pytest.fixture
def baseline():
    return Baseline(spec="gate", cells=measure(runs(OLD, "e1"), no_units, ["recall@20"]))


def test_runs_are_grouped_by_the_state_of_the_code_oldest_first():
    mixed = [*runs(OLD, "e2", 2), *runs(OLD, "e1", 1), *runs(OLD, "e3", 3), *runs(OLD, "e4", 4), *runs(OLD, "gone", 5)]
    found = moments(mixed, ENVIRONMENTS)
    assert [(moment.commit[0], moment.dirty, len(moment.runs)) for moment in found] == [
        ("a", False, 5), ("b", False, 5), ("b", True, 5), ("n", False, 5),
    ]  # fmt: skip
    assert [moment.label for moment in found] == [
        "aaaaaaa · 2026-01-03 12:04", "bbbbbbb · 2026-01-04 12:04", "bbbbbbb+ · 2026-01-05 12:04",
        f"{NOT_IN_GIT} · 2026-01-06 12:04",
    ]  # fmt: skip


def test_only_runs_of_the_same_cells_data_and_effort_belong(baseline):
    same = runs(OLD, "e1")
    others = [
        *runs(OLD, "e1", dataset_digest="f" * 64),
        *runs(OLD, "e1", dataset="tiktok"),
        *runs(OLD, "e1", budget_detail={"trials": 2, "epochs": 99, "patience": 20, "seeds": [0]}),
    ]
    assert belonging(baseline, [*others, *same]) == same


def test_each_moment_is_judged_as_the_gate_would(baseline):
    worse, same = runs([0.1] * 5, "e1", 1), runs(OLD, "e2", 2)
    found = [verdicts(baseline, moment, no_units) for moment in moments([*worse, *same], ENVIRONMENTS)]
    assert [report.counts["regress"] for report in found] == [1, 0]
    assert found[0].verdicts == judge(baseline, worse, no_units, metrics=[]).verdicts


def test_a_moment_without_a_cell_is_unknown_not_a_pass(baseline):
    (moment,) = moments(runs(OLD, "e1", method="mostpop"), ENVIRONMENTS)
    assert verdicts(baseline, moment, no_units).counts["pass"] == 0


def test_what_is_allowed_is_the_prediction_interval_of_the_gate(baseline):
    key = key_of(runs(OLD, "e1")[0])
    found = allowed(baseline, key, "recall@20", 3)
    t = stats.t.ppf(1 - 0.01, 4)
    expected = t * np.std(OLD, ddof=1) * math.sqrt(1 / 5 + 1 / 3)
    assert found is not None and found.mean == pytest.approx(0.5) and found.tolerance == pytest.approx(expected)
    assert allowed(baseline, key, "ndcg@20", 3) is None
    assert allowed(baseline, key._replace(method="bpr"), "recall@20", 3) is None


def test_two_seeds_do_not_tell_the_noise():
    few = Baseline(spec="gate", cells=measure(runs(OLD[:2], "e1"), no_units, ["recall@20"]))
    found = allowed(few, few.cells[0].key, "recall@20", 3)
    assert found is not None and found.tolerance is None


def test_equal_scores_of_all_units_pass_whatever_the_seeds():
    frame = pl.DataFrame({"unit": [1, 2], "recall@20": [0.0, 1.0]})
    made = runs([0.5], "e1")
    base = Baseline(spec="gate", cells=measure(made, lambda _: frame, ["recall@20"]))
    (moment,) = moments(made, ENVIRONMENTS)
    assert verdicts(base, moment, lambda _: frame).counts["pass"] == 1
