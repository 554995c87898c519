from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.dataset import open_dataset
from bench.errors import DeviceError, StoreError, UserError
from bench.execution import plan as plan_module
from bench.execution.driver import Options, execute
from bench.execution.local import Patience
from bench.execution.plan import build_plan
from bench.spec.check import validate_spec
from bench.store import Store

ASSETS = Path(__file__).parents[1] / "assets" / "execution"
SPEC = """
version: 1
name: tiny
experiments:
  - task: recommendation
    datasets: [baby-twin@0.01]
    methods: [mostpop, {method: bpr, set: {reg: 0.1}, space: {lr: {log: [1.0e-4, 1.0e-1]}}}]
    metrics: [recall@20, ndcg@20]
    select: recall@20
search: {sampler: tpe, pruner: median}
budgets: {tiny: {trials: 3, epochs: 4, seeds: [0, 1]}}
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path, cache):
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ASSETS), *([inherited] if inherited else [])]))
    monkeypatch.setenv("FAKE_RUNNER_LOG", str(tmp_path / "log.txt"))
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)


OPTIONS = {"device": "cpu", "runner": "fake_runner:run_job", "patience": Patience(heartbeat_s=0.2, grace_s=0.2)}


def write_spec(folder, text=SPEC):
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def run(folder, text=SPEC, jobs=1, store="results.db", **planning):
    with Store.open(folder / store) as opened:
        plan = build_plan(validate_spec(write_spec(folder, text)), opened, device="cpu", **planning)
        report = execute(plan, opened, Options(jobs=jobs, work_dir=folder / "work", **OPTIONS))
    return report


def done_jobs(folder):
    """Returns the jobs that were begun and ended since the last call."""
    log = folder / "log.txt"
    lines = log.read_text().splitlines() if log.exists() else []
    log.write_text("")
    return [line.split()[2] for line in lines if line.startswith("end")]


def table(report):
    return [
        (r.record.dataset, r.record.method, r.record.seed, r.record.status, r.record.metrics, r.record.config)
        for r in report.cells
    ]


def test_search_then_runs_then_nothing_left_to_do(tmp_path):
    report = run(tmp_path)
    assert report.exit_code == 0 and report.counts == {"done": 4} and report.computed == 4
    assert [(r.record.method, r.record.seed) for r in report.cells] == [
        ("mostpop", 0), ("mostpop", 1), ("bpr", 0), ("bpr", 1),
    ]  # fmt: skip
    assert len(done_jobs(tmp_path)) == 3 + 4
    mostpop, bpr = report.cells[0].record, report.cells[2].record
    assert mostpop.study is None and mostpop.metrics.keys() == {"recall@20", "ndcg@20"}
    assert mostpop.generated and mostpop.environment and mostpop.notes["split_fingerprint"]
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        trials = store.trials(bpr.study)
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert trials[0].params == {"lr": 1e-3}
        best = max((t for t in trials if t.status == "done"), key=lambda trial: trial.value)
        assert store.study(bpr.study).best_trial == best.number
        assert bpr.config == best.config
        assert store.unit_scores(bpr.fingerprint).height == 3
        assert store.environment(bpr.environment).packages["optuna"]
    assert not [path for path in (tmp_path / "work").iterdir() if path.is_dir()]

    before = (tmp_path / "results.db").read_bytes()
    again = run(tmp_path)
    assert again.computed == 0 and table(again) == table(report) and done_jobs(tmp_path) == []
    assert (tmp_path / "results.db").read_bytes() == before


def test_plan_says_what_is_stored_what_is_left_and_which_field_changed(tmp_path):
    with Store.open(tmp_path / "results.db") as store:
        before = build_plan(validate_spec(write_spec(tmp_path)), store, device="cpu")
    assert [cell.status for cell in before.cells] == ["todo"] * 4
    assert before.jobs == 7 and before.estimate.seconds > 0 and before.estimate.basis == "guess"
    run(tmp_path, only={"bpr"})
    changed = SPEC.replace("set: {reg: 0.1}", "set: {reg: 0.1, dim: 8}")
    with Store.open(tmp_path / "results.db") as store:
        same = build_plan(validate_spec(write_spec(tmp_path)), store, device="cpu")
        other = build_plan(validate_spec(write_spec(tmp_path, changed)), store, device="cpu")
        third = build_plan(validate_spec(write_spec(tmp_path)), store, device="cpu", seeds=[1, 2])
    assert [cell.status for cell in same.cells] == ["todo", "todo", "stored", "stored"]
    assert same.jobs == 2
    assert [cell.status for cell in other.cells] == ["todo", "todo", "older", "older"]
    assert other.cells[2].changed == ("config.dim",)
    assert [cell.status for cell in third.cells[2:]] == ["stored", "todo"]
    assert third.jobs == 3
    assert "equal" not in third.describe_budget() and "3 trials" in third.describe_budget()
    assert json.loads(json.dumps(other.to_json()))["cells"][2]["changed"] == ["config.dim"]


def test_result_does_not_depend_on_the_number_of_slots(tmp_path):
    text = SPEC.replace("pruner: median", "pruner: hyperband, parallel_trials: 2").replace("trials: 3", "trials: 5")
    one = run(tmp_path, text, jobs=1, store="one.db")
    three = run(tmp_path, text, jobs=3, store="three.db")
    assert table(one) == table(three)


def test_failing_cells_are_rows_and_leave_the_others_unharmed(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_ACTIONS", json.dumps({"mostpop/run": "crash"}))
    report = run(tmp_path)
    assert report.exit_code == 1 and report.counts == {"failed": 2, "done": 2}
    assert "exit code 3" in report.cells[0].record.error
    monkeypatch.delenv("FAKE_RUNNER_ACTIONS")
    done_jobs(tmp_path)
    again = run(tmp_path)
    assert again.exit_code == 0 and again.computed == 2 and len(done_jobs(tmp_path)) == 2


def test_method_whose_trials_all_fail_is_a_failed_row_and_its_trials_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_ACTIONS", json.dumps({"bpr/trial": "diverge"}))
    report = run(tmp_path)
    assert report.counts == {"done": 2, "failed": 2}
    assert "none of the 3 trials" in report.cells[2].record.error
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        assert [trial.status for trial in store.trials(report.cells[2].record.study)] == ["diverged"] * 3


def test_hanging_job_ends_as_timeout(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_ACTIONS", json.dumps({"mostpop/run": "hang"}))
    report = run(tmp_path, SPEC.replace("epochs: 4", "epochs: 4, timeout_s: 0.5"), seeds=[0], only={"mostpop"})
    assert report.counts == {"timeout": 1} and report.exit_code == 1


def test_dataset_that_cannot_be_had_fails_its_cells_only(tmp_path):
    text = SPEC.replace("datasets: [baby-twin@0.01]", "datasets: [clothing, baby-twin@0.01]")
    report = run(tmp_path, text, only={"mostpop"}, seeds=[0])
    assert report.counts == {"failed": 1, "done": 1} and report.exit_code == 1
    assert "clothing" in report.cells[0].record.reason


def test_nothing_that_can_run_is_the_users_error(tmp_path):
    text = SPEC.replace("datasets: [baby-twin@0.01]", "datasets: [clothing]")
    with pytest.raises(UserError, match="clothing"):
        run(tmp_path, text)


def test_unknown_device_is_the_users_error(tmp_path):
    with Store.open(tmp_path / "results.db") as store, pytest.raises(DeviceError, match="tpu"):
        build_plan(validate_spec(write_spec(tmp_path)), store, device="tpu")


def test_fresh_computes_everything_anew_and_finds_the_same(tmp_path):
    first = run(tmp_path)
    done_jobs(tmp_path)
    second = run(tmp_path, fresh=True)
    assert table(first) == table(second) and second.computed == 4 and len(done_jobs(tmp_path)) == 7


def test_missing_metric_of_a_stored_run_is_computed(tmp_path):
    run(tmp_path, only={"mostpop"}, seeds=[0])
    more = run(tmp_path, SPEC.replace("ndcg@20]", "ndcg@20, recall@10]"), only={"mostpop"}, seeds=[0])
    assert more.computed == 1
    assert more.cells[0].record.metrics.keys() == {"recall@20", "ndcg@20", "recall@10"}
    assert run(tmp_path, only={"mostpop"}, seeds=[0]).computed == 0


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_execution_driver import run
report = run(Path(sys.argv[1]), jobs=int(sys.argv[3]))
sys.exit(report.exit_code)
"""


def start_driver(tmp_path, jobs=2):
    here = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), here, str(jobs)])


def press_ctrl_c(condition, times):
    """Sends this process SIGINT once `condition` holds, as a terminal would."""

    def press():
        wait_for(condition)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def wait_for(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        time.sleep(0.02)
        assert time.monotonic() < deadline


def lines(tmp_path, word):
    log = tmp_path / "log.txt"
    return sum(line.startswith(word) for line in log.read_text().splitlines()) if log.exists() else 0


def test_killed_driver_resumes_without_recomputing_and_gives_the_same_table(tmp_path, monkeypatch):
    whole = run(tmp_path, store="whole.db")
    (tmp_path / "log.txt").unlink()
    monkeypatch.setenv("FAKE_RUNNER_PAUSE", "0.05")
    driver = start_driver(tmp_path)
    wait_for(lambda: lines(tmp_path, "end") >= 3)
    driver.kill()
    driver.wait()
    time.sleep(0.2)
    done_jobs(tmp_path)
    finished = {path.parent.name for path in (tmp_path / "work").glob("*/result.json")}
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        finished |= {found.fingerprint for found in store.runs()}
        study = next(r.record.study for r in whole.cells if r.record.study)
        finished |= {f"{study}-{trial.number:04d}" for trial in store.trials(study)}
    assert len(finished) >= 2
    resumed = run(tmp_path)
    assert table(resumed) == table(whole)
    assert not finished & set(done_jobs(tmp_path)), "a finished job was done again"


def test_one_interrupt_finishes_running_jobs_and_two_stop_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_PAUSE", "0.1")
    thread = press_ctrl_c(lambda: lines(tmp_path, "start") >= 1, times=1)
    report = run(tmp_path, only={"mostpop"})
    thread.join()
    assert report.exit_code == 130 and report.counts == {"done": 1}
    assert lines(tmp_path, "end") == lines(tmp_path, "start") == 1
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        assert [found.status for found in store.runs()] == ["done"]

    monkeypatch.setenv("FAKE_RUNNER_PAUSE", "60")
    thread = press_ctrl_c(lambda: lines(tmp_path, "start") >= 2, times=2)
    report = run(tmp_path, only={"mostpop"})
    thread.join()
    assert report.exit_code == 130 and report.counts == {"done": 1, "interrupted": 1}
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        assert sorted(found.status for found in store.runs()) == ["done", "interrupted"]

    monkeypatch.delenv("FAKE_RUNNER_PAUSE")
    assert run(tmp_path).counts == {"done": 4}


def test_store_that_cannot_be_written_loses_no_finished_job(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="disk is full"):
        patch.setattr(Store, "put_run", refuse)
        run(tmp_path, only={"mostpop"}, seeds=[0])
    assert len(done_jobs(tmp_path)) == 1
    report = run(tmp_path, only={"mostpop"}, seeds=[0])
    assert report.counts == {"done": 1} and done_jobs(tmp_path) == []


def test_failed_trials_of_an_unfinished_search_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_ACTIONS", json.dumps({"bpr/trial": "raise"}))
    assert run(tmp_path, only={"bpr"}).counts == {"failed": 2}
    monkeypatch.delenv("FAKE_RUNNER_ACTIONS")
    report = run(tmp_path, only={"bpr"})
    assert report.counts == {"done": 2}
    with Store.open(tmp_path / "results.db", read_only=True) as store:
        assert all(trial.status in ("done", "pruned") for trial in store.trials(report.cells[0].record.study))


def test_twin_runs_under_its_own_name_with_a_warning_and_what_does_not_fit_is_skipped(tmp_path, monkeypatch):
    def open_twin(name, *, protocol=None, allow_twin=False, progress=None):
        assert (name, allow_twin) == ("baby", True)
        return replace(open_dataset("baby-twin@0.01"), modalities={})

    monkeypatch.setattr(plan_module, "open_dataset", open_twin)
    text = SPEC.replace("baby-twin@0.01]", "baby]\n    fallback: twin").replace("[mostpop,", "[mostpop, vbpr,")
    report = run(tmp_path, text, only={"mostpop", "vbpr"}, seeds=[0])
    assert len(report.plan.warnings) == 1 and "'baby-twin@0.01'" in report.plan.warnings[0]
    assert [(r.record.dataset, r.record.generated) for r in report.cells] == [("baby-twin@0.01", True)] * 2
    assert report.counts == {"done": 1, "skipped": 1} and report.exit_code == 0
    assert "needs at least 1 modalities" in report.cells[1].record.reason


def test_searched_field_of_a_wrapped_method_reaches_it():
    start, end = SPEC.index("{method: bpr"), SPEC.index("]\n    metrics")
    entry = build_plan_of(SPEC[:start] + "{method: befa, wrap: vbpr}" + SPEC[end:]).entries[1]
    assert {"width", "dropout", "wrapped.lr"} <= set(entry.space)
    changed = entry.with_params({"wrapped.lr": 0.05, "width": 2})
    assert (changed["wrapped"]["lr"], changed["width"]) == (0.05, 2)
    assert entry.config["wrapped"]["lr"] != 0.05
    assert entry.defaults()["wrapped.lr"] == entry.config["wrapped"]["lr"]
    job = entry.job(id="x", kind="trial", config=changed, seed=0)
    assert job.metrics == ["recall@20"] and job.method["wrap"]["method"] == "vbpr"


def build_plan_of(text):
    with tempfile.TemporaryDirectory() as folder:
        return build_plan(validate_spec(write_spec(Path(folder), text)), None, device="cpu")
