"""Tests of what goes into a store and comes out again."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from store_factories import (
    NOON,
    make_environment,
    make_experiment,
    make_run,
    make_study,
    make_trial,
    make_view,
)

from bench.errors import StoreError, UnknownNameError
from bench.store import Store, TrialCounts, encode_units
from bench.store.records import CurvePoint, SampleRecord, UnitScores, is_current


@pytest.fixture
def store():
    with Store.open(":memory:") as opened:
        yield opened


def units_of(run, values=(0.0, 0.5, 1.0)):
    return UnitScores(run=run.fingerprint, arrow=encode_units(np.arange(len(values)), {"recall@20": values}))


def test_every_record_comes_back_as_it_went_in(store):
    records = (make_environment(), make_experiment(), make_view(), make_study())
    store.put_environment(records[0])
    store.put_experiment(records[1])
    store.put_view(records[2])
    store.put_study(records[3])
    assert store.environment(records[0].digest) == records[0]
    assert store.experiment(records[1].spec_digest) == records[1]
    assert store.view(records[2].digest) == records[2]
    assert store.study(records[3].fingerprint) == records[3]
    assert store.experiments() == [records[1]]
    trial = make_trial()
    store.put_trial(trial)
    assert store.trials(trial.study) == [trial]
    run = make_run(study=records[3].fingerprint, environment=records[0].digest, spec_digest=records[1].spec_digest)
    assert store.put_run(run)
    assert store.find_run(run.fingerprint) == run


def test_what_is_not_there_is_none(store):
    assert store.find_run("0" * 32) is None
    assert store.environment("x") is store.study("x") is store.view("x") is store.experiment("x") is None
    assert store.unit_scores("x") is None
    assert store.trials("x") == []
    assert store.runs() == []


def test_metrics_keep_their_order_and_every_digit(store):
    run = make_run(metrics={"recall@20": 0.1 + 0.2, "ndcg@5": 1e-300, "map@10": float("nan")})
    store.put_run(run)
    stored = store.find_run(run.fingerprint).metrics
    assert list(stored) == ["recall@20", "ndcg@5", "map@10"]
    assert stored["recall@20"] == 0.1 + 0.2
    assert stored["ndcg@5"] == 1e-300
    assert math.isnan(stored["map@10"])


def test_a_done_run_gives_way_only_to_replace(store):
    first = make_run()
    second = first.model_copy(update={"metrics": {"recall@20": 0.9}, "curve": []})
    assert store.put_run(first, units_of(first))
    assert not store.put_run(second)
    assert store.find_run(first.fingerprint) == first
    assert store.put_run(second, replace=True)
    assert store.find_run(first.fingerprint) == second
    assert store.unit_scores(first.fingerprint) is None


@pytest.mark.parametrize("status", ["failed", "oom", "timeout", "lost", "interrupted", "skipped", "diverged"])
def test_an_unfinished_run_is_replaced(store, status):
    run = make_run()
    store.put_run(run.model_copy(update={"status": status, "metrics": {}, "reason": "why"}))
    assert store.put_run(run)
    assert store.find_run(run.fingerprint) == run
    assert len(store.runs()) == 1


def test_trials_are_replaced_by_study_and_number(store):
    store.put_study(make_study())
    store.put_trial(make_trial(0, status="interrupted", value=None))
    store.put_trial(make_trial(1, status="pruned", curve=[]))
    store.put_trial(make_trial(0))
    assert store.trials("5" * 32) == [make_trial(0), make_trial(1, status="pruned", curve=[])]
    store.put_trial(make_trial(2, status="diverged"))
    assert store.trial_counts() == {"5" * 32: TrialCounts(total=3, pruned=1, failed=1)}


def test_a_study_learns_its_best_trial(store):
    store.put_study(make_study())
    store.put_trial(make_trial())
    store.put_study(make_study(best_trial=0))
    assert store.study("5" * 32).best_trial == 0
    assert len(store.trials("5" * 32)) == 1


def test_equal_environments_and_views_are_stored_once(store):
    store.put_view(make_view(seconds=2.0))
    store.put_view(make_view(seconds=0.0))
    assert store.view("v" * 64).seconds == 2.0
    store.put_experiment(make_experiment())
    store.put_experiment(make_experiment(spec_text="# a comment\nversion: 1\n", created=NOON + timedelta(days=1)))
    assert store.experiment("d" * 64).spec_text.startswith("# a comment")
    assert store.counts().experiments == 1


def test_a_record_that_points_nowhere_is_refused_and_leaves_nothing(store):
    with pytest.raises(StoreError, match="points to one it does not hold"):
        store.put_run(make_run(study="nowhere"))
    with pytest.raises(StoreError, match="points to one it does not hold"):
        store.put_trial(make_trial())
    counts = store.counts()
    assert counts.runs == {}
    assert counts.trials == {}


def test_unit_scores_come_back_with_their_ids(store):
    run = make_run()
    ids = np.array([7, 3, 11])
    blob = encode_units(ids, {"recall@20": [0.1, 0.2, 0.3], "ndcg@20": np.array([1.0, 0.0, 0.5])})
    store.put_run(run, UnitScores(run=run.fingerprint, arrow=blob))
    frame = store.unit_scores(run.fingerprint)
    assert frame.columns == ["unit", "recall@20", "ndcg@20"]
    assert frame["unit"].to_list() == [7, 3, 11]
    assert frame["recall@20"].to_list() == [0.1, 0.2, 0.3]


def test_unit_scores_of_another_run_are_refused(store):
    with pytest.raises(StoreError, match="cannot be stored with run"):
        store.put_run(make_run(), UnitScores(run="other", arrow=b""))


def test_damaged_unit_scores_are_refused_before_anything_is_written(store):
    run = make_run()
    with pytest.raises(StoreError, match="cannot be read"):
        store.put_run(run, UnitScores(run=run.fingerprint, arrow=b"not arrow"))
    assert store.find_run(run.fingerprint) is None


def test_a_run_is_found_by_the_beginning_of_its_fingerprint(store):
    store.put_run(make_run(fingerprint="abc" + "0" * 29))
    store.put_run(make_run(fingerprint="abd" + "0" * 29, seed=1))
    assert store.run("abc").seed == 0
    with pytest.raises(UnknownNameError, match="2 runs begin with 'ab'"):
        store.run("ab")
    with pytest.raises(UnknownNameError, match=r"no run .* begins with 'abe'") as caught:
        store.run("abe")
    assert "abc" in caught.value.hint
    for wrong in ("", "%", "_bc"):
        with pytest.raises(UnknownNameError):
            store.run(wrong)


def test_runs_are_filtered_by_their_columns(store):
    store.put_run(make_run("mgcn", 0))
    store.put_run(make_run("mgcn", 1, status="failed", metrics={}))
    store.put_run(make_run("bpr", 0, dataset="tiktok"))
    assert {run.seed for run in store.runs(method="mgcn")} == {0, 1}
    assert [run.method for run in store.runs(dataset=["tiktok", "sports"])] == ["bpr"]
    assert len(store.runs(status="done", budget=None)) == 2
    assert store.runs(method="mgcn")[0].curve == []
    assert store.runs(method="mgcn", curves=True)[0].curve == [
        CurvePoint(epoch=1, values={"loss": 0.7, "seconds/train": 2.0})
    ]
    with pytest.raises(TypeError, match="no column 'metod'"):
        store.runs(metod="mgcn")


def test_runs_like_a_cell_come_newest_first(store):
    store.put_run(make_run("mgcn", 0, fingerprint="old", method_digest="1", created=NOON))
    store.put_run(make_run("mgcn", 0, fingerprint="new", method_digest="2", created=NOON + timedelta(days=1)))
    found = store.latest_runs_like(task="recommendation", dataset="baby", method="mgcn", seed=0)
    assert [run.fingerprint for run in found] == ["new", "old"]
    assert [run.fingerprint for run in store.latest_runs_like(method="mgcn", limit=1)] == ["new"]
    assert is_current(found[0], "2")
    assert not is_current(found[1], "2")
    assert not is_current(found[0], None)


def test_frames_hold_one_row_per_run_and_null_for_what_is_missing(store):
    store.put_study(make_study())
    store.put_trial(make_trial(0))
    store.put_trial(make_trial(1, status="pruned"))
    store.put_run(make_run("mgcn", study="5" * 32))
    store.put_run(make_run("bpr", status="skipped", reason="needs", metrics={}, valid={}, seconds={}, best_epoch=None))
    frame = store.runs_frame()
    assert frame.height == 2
    bpr, mgcn = frame.sort("method").to_dicts()
    assert mgcn["test/recall@20"] == 0.1 + 0.2
    assert mgcn["seconds/train"] == 8.0
    assert (mgcn["trials"], mgcn["pruned"]) == (2, 1)
    assert bpr["test/recall@20"] is bpr["trials"] is bpr["best_epoch"] is None
    assert mgcn["created"] == NOON
    assert store.runs_frame(method="nobody").height == 0
    long = store.metrics_frame()
    assert set(long["metric"]) == {"recall@20", "ndcg@20"}
    assert store.metrics_frame(split=None).height == 3
    assert store.metrics_frame(method="nobody").columns == long.columns


def test_counts_say_what_is_held(store):
    assert store.counts().runs == {}
    assert store.counts().newest is None
    store.put_run(make_run("mgcn", 0))
    store.put_run(make_run("mgcn", 1, status="lost", metrics={}))
    counts = store.counts()
    assert counts.runs == {"done": 1, "lost": 1}
    assert counts.datasets == ("baby",)
    assert counts.methods == ("mgcn",)
    assert counts.newest == NOON + timedelta(minutes=1)


def test_samples_belong_to_their_run_and_go_with_it(store):
    run, other = make_run(), make_run(fingerprint="b" * 32, seed=1)
    known = {"run": run.fingerprint, "prompt": "p", "media_type": "image/png", "data": b"\x89"}
    samples = [SampleRecord(**known, number=n, unit=f"u{n}", notes={"n": n}) for n in range(2)]
    store.put_run(run, samples=samples)
    store.put_run(other)
    assert store.samples(run.fingerprint) == samples
    assert store.samples(other.fingerprint) == []
    store.put_run(run, samples=samples[:1], replace=True)
    assert store.samples(run.fingerprint) == samples[:1]
