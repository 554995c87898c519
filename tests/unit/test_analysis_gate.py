"""Tests of the gate's verdicts, of the file it compares with, and of what it says."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from store_factories import make_run

from bench.analysis.baseline import Baseline, MetricBaseline, Rule, measure, read_baseline, write_baseline
from bench.analysis.gate import GateReport, insensitive, judge, tolerance
from bench.analysis.gate_output import headline, sentence, to_json, to_junit, to_markdown
from bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

METRICS = ["recall@20"]


class World:
    """Runs with unit scores, without a store."""

    def __init__(self):
        self.runs, self.frames = [], {}

    def add(self, method, values, *, seeds=None, units=50, metric="recall@20", **changes):
        seeds = range(len(values)) if seeds is None else seeds
        for seed, value in zip(seeds, values, strict=True):
            run = make_run(method, seed, **({"metrics": {metric: value}} | changes))
            scores = np.full(units, float(value))
            self.frames[run.fingerprint] = pl.DataFrame({"unit": np.arange(units), metric: scores})
            self.runs.append(run)
        return self

    def units(self, fingerprint):
        return self.frames.get(fingerprint)

    def baseline(self, metrics=METRICS, **rule):
        return Baseline(spec="demo", rule=Rule(**rule), cells=measure(self.runs, self.units, metrics))

    def judge(self, baseline, metrics=METRICS, **options):
        return judge(baseline, self.runs, self.units, metrics=metrics, **options)


def world(method="mgcn", values=(0.30, 0.31, 0.32), **changes):
    return World().add(method, values, **changes)


def outcomes(report):
    return {f"{v.key.method} {v.metric}": v.outcome for v in report.verdicts}


def one(report):
    (verdict,) = report.verdicts
    return verdict


def test_the_same_scores_pass_without_any_tolerance():
    verdict = one(world().judge(world().baseline()))
    assert (verdict.outcome, verdict.tolerance, verdict.reason) == ("pass", 0.0, "the same scores on every unit")


def test_some_of_the_baseline_seeds_are_enough_to_be_the_same():
    baseline = world(values=(0.1, 0.2, 0.9)).baseline()
    verdict = one(world(values=(0.1,)).judge(baseline))
    assert (verdict.outcome, verdict.n, verdict.n_baseline) == ("pass", 1, 3)
    assert verdict.tolerance == 0.0


@pytest.mark.parametrize("seeds", [(0, 1, 2), (0,)])
def test_a_fault_in_averaging_shows_although_every_unit_scored_the_same(seeds):
    now = world(values=(0.31, 0.32, 0.33))
    (cell,) = now.baseline().cells
    wrong = {name: old.model_copy(update={"mean": 2 * old.mean}) for name, old in cell.metrics.items()}
    baseline = now.baseline().model_copy(update={"cells": [cell.model_copy(update={"metrics": wrong})]})
    verdict = one(world(values=[(0.31, 0.32, 0.33)[seed] for seed in seeds]).judge(baseline))
    assert verdict.outcome == "regress"


def test_the_tolerance_is_the_prediction_interval_of_a_mean():
    old = MetricBaseline(mean=0.3, sd=0.02, n=10, digests={})
    quantile = scipy.stats.t.ppf(1 - 0.01 / 4, 9)
    expected = quantile * 0.02 * math.sqrt(1 / 10 + 1 / 3)
    assert tolerance(old, 3, Rule(), quantile) == pytest.approx(expected)
    values = np.random.default_rng(0).normal(0.3, 0.02, 10).tolist()
    baseline = world(values=values).baseline()
    verdict = one(world(values=(0.28, 0.29, 0.30), seeds=(90, 91, 92)).judge(baseline))
    quantile = scipy.stats.t.ppf(1 - 0.01, 9)
    assert verdict.tolerance == pytest.approx(quantile * np.std(values, ddof=1) * math.sqrt(1 / 10 + 1 / 3))


def test_the_level_is_shared_by_all_values_of_the_gate():
    values = (0.30, 0.31, 0.32)
    alone = one(world(values=(0.25,)).judge(world(values=values).baseline()))
    both = world(values=values).add("bpr", values).baseline()
    shared = world(values=(0.25,)).add("bpr", (0.25,)).judge(both).verdicts[0]
    ratio = scipy.stats.t.ppf(1 - 0.005, 2) / scipy.stats.t.ppf(1 - 0.01, 2)
    assert shared.tolerance / alone.tolerance == pytest.approx(ratio)


def test_unchanged_code_with_other_seeds_regresses_as_rarely_as_promised():
    generator = np.random.default_rng(3)
    closed, rounds = 0, 1500
    for _ in range(rounds):
        cells = {name: generator.normal(0.3, 0.02, 13) for name in ("a", "b", "c")}
        before, after = World(), World()
        for name, values in cells.items():
            before.add(name, values[:6], units=2)
            after.add(name, values[6:9], seeds=(100, 101, 102), units=2)
        closed += after.judge(before.baseline(alpha=0.1, floor=0.0)).exit_code == 3
    assert closed / rounds == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    ("value", "way", "outcome"),
    [
        (0.2, "maximize", "regress"),
        (0.4, "maximize", "improve"),
        (0.2, "minimize", "improve"),
        (0.4, "minimize", "regress"),
        (0.311, "maximize", "pass"),
    ],
)
def test_the_direction_of_the_metric_decides(value, way, outcome):
    baseline = world(values=(0.309, 0.31, 0.311)).baseline()
    report = world(values=(value, value + 0.001)).judge(baseline, direction=lambda name: way)
    assert one(report).outcome == outcome
    assert report.exit_code == (3 if outcome == "regress" else 0)


def test_without_noise_only_the_documented_floor_is_forgiven():
    baseline = world("ease", (0.4, 0.4, 0.4)).baseline()
    near, far = world("ease", (0.3985,) * 3), world("ease", (0.3975,) * 3)
    assert one(near.judge(baseline)).outcome == "pass"
    assert one(far.judge(baseline)).outcome == "regress"
    assert one(far.judge(baseline)).tolerance == pytest.approx(0.005 * 0.4)


UNKNOWN = {
    "a cell the baseline lacks": (lambda: world().add("bpr", (0.1,) * 3), "the baseline lacks this cell"),
    "a cell the run lacks": (World, "the new runs lack this cell"),
    "other data": (lambda: world(dataset_digest="b" * 64), "other data: aaaaaaaa in the baseline, bbbbbbbb now"),
    "another budget": (
        lambda: world(budget_detail={"trials": 2, "epochs": 9, "seeds": [0]}),
        "other effort: '2 trials, 3 epochs",
    ),
    "other units": (lambda: world(units=49), "other units were tested"),
    "a failed run": (
        lambda: World().add("mgcn", (0.3,), metrics={}, status="failed", error="boom\ntrace"),
        "seed 0: failed: boom",
    ),
    "one diverged seed of three": (
        lambda: world(values=(0.3, 0.31)).add("mgcn", (0.0,), seeds=(2,), metrics={}, status="diverged"),
        "seed 2: diverged",
    ),
    "a metric that is not finite": (lambda: world(values=(0.3, math.nan)), "no finite score of this metric"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_judged_is_unknown_and_no_pass(name):
    make, reason = UNKNOWN[name]
    baseline = world().baseline()
    if name == "another budget":
        baseline = world(budget_detail={"trials": 2, "epochs": 3, "seeds": [0]}).baseline()
    report = make().judge(baseline)
    unknown = [verdict for verdict in report.verdicts if verdict.outcome == "unknown"]
    assert unknown
    assert reason in unknown[0].reason
    assert report.exit_code == 1


def test_a_metric_the_baseline_lacks_is_unknown_only_when_the_spec_asks_for_it():
    baseline = world().baseline()
    more = world(values=(0.3,) * 3, metrics={"recall@20": 0.3, "ndcg@20": 0.2})
    assert outcomes(more.judge(baseline, ["recall@20", "ndcg@20"]))["mgcn ndcg@20"] == "unknown"
    assert "mgcn ndcg@20" not in outcomes(more.judge(baseline))


def test_a_metric_nobody_knows_is_unknown():
    mystery = world(metric="mystery")
    assert one(mystery.judge(mystery.baseline(["mystery"]), ["mystery"])).outcome == "unknown"


def test_too_few_seeds_to_know_the_noise_is_unknown():
    report = world(values=(0.29,)).judge(world(values=(0.3, 0.31)).baseline())
    assert one(report).reason == "too few seeds: the baseline has 2 seeds, 3 are needed to know the noise"


def test_a_regression_outweighs_an_unknown_and_nothing_to_judge_is_no_pass():
    baseline = world().add("bpr", (0.3, 0.31, 0.32)).baseline()
    report = world(values=(0.0,) * 3).judge(baseline)
    assert outcomes(report) == {"bpr recall@20": "unknown", "mgcn recall@20": "regress"}
    assert report.exit_code == 3
    assert GateReport("empty", (), Rule()).exit_code == 1


def test_a_value_that_can_hardly_regress_is_told():
    noisy = world(values=(0.1, 0.3, 0.5)).baseline()
    ((key, metric, allowed),) = insensitive(noisy, 3)
    assert (key.method, metric) == ("mgcn", "recall@20")
    assert allowed > 0.25 * 0.3
    assert insensitive(world(values=(0.300, 0.301, 0.302)).baseline(), 3) == []
    assert insensitive(world(values=(0.3,)).baseline(), 3)[0][2] == math.inf


def test_digests_follow_the_units_and_not_their_order():
    first, second = world(), world()
    for name, frame in second.frames.items():
        second.frames[name] = frame.reverse()
    assert first.baseline() == second.baseline()
    frame = first.frames[first.runs[0].fingerprint]
    changed = [*frame["recall@20"].to_list()[:-1], math.nextafter(0.3, 1)]
    first.frames[first.runs[0].fingerprint] = frame.with_columns(pl.Series("recall@20", changed))
    before, after = second.baseline().cells[0], first.baseline().cells[0]
    assert before.units == after.units
    assert before.metrics["recall@20"].digests["0"] != after.metrics["recall@20"].digests["0"]


def test_a_run_without_unit_scores_is_judged_by_its_mean():
    baseline = world().baseline()
    bare = world()
    bare.frames.clear()
    verdict = one(bare.judge(bare.baseline()))
    assert (verdict.outcome, verdict.reason) == ("pass", "within the noise")
    assert one(bare.judge(baseline)).outcome == "unknown"


def test_the_file_is_the_same_for_the_same_results_and_reads_back(tmp_path: Path):
    path = tmp_path / "gate.json"
    both = World().add("mgcn", (0.3, 0.1 + 0.2, 0.32)).add("bpr", (0.1,) * 3)
    other = World().add("bpr", (0.1,) * 3).add("mgcn", (0.3, 0.1 + 0.2, 0.32))
    assert write_baseline(path, both.baseline())
    text = path.read_text()
    assert not write_baseline(path, other.baseline())
    assert read_baseline(path) == both.baseline()
    assert text.endswith("}\n")
    assert [cell["method"] for cell in json.loads(text)["cells"]] == ["bpr", "mgcn"]
    assert list(tmp_path.iterdir()) == [path]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_every_number_survives_the_file(values):
    baseline = world(values=values, units=2).baseline()
    assert Baseline.model_validate_json(json.dumps(baseline.model_dump(mode="json"))) == baseline
    (cell,) = baseline.cells
    assert cell.metrics["recall@20"].mean == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "is no baseline"),
        ('{"spec": "x", "cells": [], "more": 1}', "more: Extra inputs"),
        ('{"spec": "x", "format": 2, "cells": []}', "format: Input should be 1"),
        ('{"spec": "x", "rule": {"alpha": 2}, "cells": []}', r"rule\.alpha: Input should be less than 1"),
    ],
)
def test_a_file_that_is_no_baseline_says_where(tmp_path: Path, text, match):
    path = tmp_path / "gate.json"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        read_baseline(path)


def test_a_missing_file_and_a_bad_merge_are_told(tmp_path: Path):
    with pytest.raises(UserError, match="there is no baseline") as caught:
        read_baseline(tmp_path / "gate.json")
    assert "--update" in caught.value.hint
    cells = world().baseline().cells
    write_baseline(tmp_path / "gate.json", Baseline(spec="x", cells=[*cells, *cells]))
    with pytest.raises(UserError, match="twice"):
        read_baseline(tmp_path / "gate.json")
    with pytest.raises(UserError, match="cannot be written"):
        write_baseline(tmp_path / "nowhere" / "gate.json", Baseline(spec="x", cells=cells))


@pytest.fixture
def mixed():
    hostile = "<script>|`_x_`\x00"
    before = World().add("mgcn", (0.3, 0.31, 0.32)).add("bpr", (0.1,) * 3).add(hostile, (0.3, 0.31, 0.32))
    after = World().add("mgcn", (0.1,) * 3).add("bpr", (0.2,) * 3)
    return after.judge(before.baseline())


def test_markdown_has_the_worst_first_and_shows_names_as_text(mixed):
    text = to_markdown(mixed)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| **regress**", "| **unknown**", "| improve"]
    assert "0.3100 | 0.1000 | -0.2100" in rows[0]
    assert "<script>" not in text
    assert {row.replace(r"\|", "").count("|") for row in rows} == {10}
    assert text.startswith("### ❌ gate demo: 1 regress, 1 unknown, 1 improve")
    assert "Unknown is not a pass" in text


def test_junit_is_well_formed_and_counts(mixed):
    suite = ElementTree.fromstring(to_junit(mixed)).find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"<script>|`_x_`? recall@20": ["error"], "bpr recall@20": [], "mgcn recall@20": ["failure"]}


def test_json_has_every_number(mixed):
    value = json.loads(json.dumps(to_json(mixed), allow_nan=False))
    assert value["exit_code"] == 3
    assert value["counts"] == {"regress": 1, "unknown": 1, "improve": 1, "pass": 0}
    worst = next(v for v in value["verdicts"] if v["verdict"] == "regress")
    assert worst["change"] == pytest.approx(-0.21)
    assert worst["n"] == worst["n_baseline"] == 3


def test_a_verdict_in_a_line(mixed):
    worst = next(v for v in mixed.verdicts if v.outcome == "regress")
    assert sentence(worst).startswith("mgcn on baby, recall@20: regress (worse by more than the noise): 0.3100 -> 0.1")
    assert headline(GateReport("empty", (), Rule())) == "gate empty: nothing to judge"
