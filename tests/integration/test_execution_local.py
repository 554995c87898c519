from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.execution.jobs import Job
from bench.execution.local import LocalExecutor, Patience
from bench.execution.results import read_result
from bench.execution.slots import Slot

ASSETS = Path(__file__).parents[1] / "assets" / "execution"
IMPATIENT = Patience(heartbeat_s=0.1, silence_s=1.0, grace_s=0.2)


@pytest.fixture(autouse=True)
def _fake_runner(monkeypatch, tmp_path):
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ASSETS), *([inherited] if inherited else [])]))
    monkeypatch.setenv("FAKE_RUNNER_LOG", str(tmp_path / "log.txt"))


class Recorder:
    def __init__(self, prune_at=None):
        self.prune_at, self.starts, self.points, self.end = prune_at, 0, [], None

    def started(self, job, slot):
        self.starts += 1

    def epoch(self, job, point):
        self.points.append(point.epoch)
        return point.epoch != self.prune_at

    def ended(self, job, ended):
        self.end = ended


def make_job(name="job", action="ok", kind="run", epochs=3, **more):
    return Job(
        id=name, kind=kind, task="recommendation", protocol="p", dataset="d", dataset_digest="", method={"method": "m"},
        config={"action": action, "x": 1.0}, budget={"epochs": epochs}, select="recall@20", metrics=["recall@20"],
        seed=0, **more,
    )  # fmt: skip


def run_all(executor, jobs, recorder=Recorder, timeout=15.0):
    waiting, listeners = list(jobs), {}
    deadline = time.monotonic() + timeout
    while waiting or executor.busy:
        while waiting and executor.free:
            job = waiting.pop(0)
            listeners[job.id] = recorder()
            executor.submit(job, listeners[job.id])
        executor.step(0.05)
        assert time.monotonic() < deadline
    return listeners


def open_executor(tmp_path, slots=1, patience=IMPATIENT):
    places = [Slot(index, "cpu", 1) for index in range(slots)]
    return LocalExecutor(places, work_dir=tmp_path / "work", runner="fake_runner:run_job", patience=patience)


def worker_pids(tmp_path):
    lines = (tmp_path / "log.txt").read_text().splitlines()
    return [int(line.split()[3]) for line in lines if line.startswith("start")]


def test_one_worker_does_many_jobs_and_prints_do_not_disturb_the_pipe(tmp_path):
    with open_executor(tmp_path) as executor:
        jobs = [make_job(f"job{index}") for index in range(3)]
        ended = run_all(executor, jobs)
    assert [ended[job.id].end.outcome.status for job in jobs] == ["done"] * 3
    assert ended["job0"].points == [1, 2, 3]
    assert len(set(worker_pids(tmp_path))) == 1
    outcome = ended["job0"].end.outcome
    assert outcome.peak_memory_bytes > 1e6 and outcome.seconds["total"] >= 0
    assert read_result(tmp_path / "work", jobs[0]) == outcome
    assert read_result(tmp_path / "work", jobs[0].model_copy(update={"seed": 1})) is None


@pytest.mark.parametrize(
    ("action", "status", "error_class", "said"),
    [
        ("crash", "failed", "method", "about to crash"),
        ("segfault", "failed", "method", "SIGSEGV|exit code"),
        ("raise", "failed", "method", "ZeroDivisionError: a bug"),
        ("exit", "failed", "method", "SystemExit"),
        ("diverge", "diverged", "diverged", "not finite in epoch 2"),
        ("memory", "oom", "oom", "too much"),
        ("data", "failed", "data", "'x' is damaged"),
    ],
)
def test_failing_job_fails_alone_and_the_slot_goes_on(tmp_path, action, status, error_class, said):
    with open_executor(tmp_path) as executor:
        ended = run_all(executor, [make_job("bad", action), make_job("good")])
    bad = ended["bad"].end
    assert (bad.outcome.status, bad.error_class) == (status, error_class)
    assert any(part in bad.outcome.error for part in said.split("|"))
    assert [point.epoch for point in bad.outcome.curve] == [1]
    assert ended["bad"].starts == 1
    assert ended["good"].end.outcome.status == "done"


def test_job_killed_from_outside_is_tried_once_more(tmp_path):
    with open_executor(tmp_path) as executor:
        ended = run_all(executor, [make_job("once", "killed_once"), make_job("always", "killed")])
    assert (ended["once"].starts, ended["once"].end.outcome.status) == (2, "done")
    assert (ended["always"].starts, ended["always"].end.outcome.status) == (2, "lost")
    assert "SIGKILL" in ended["always"].end.outcome.error


def test_hanging_job_times_out(tmp_path):
    with open_executor(tmp_path) as executor:
        ended = run_all(executor, [make_job("slow", "hang", timeout_s=0.5), make_job("good")])
    assert ended["slow"].end.outcome.status == "timeout"
    assert "longer than its 0.5 s" in ended["slow"].end.outcome.error
    assert ended["good"].end.outcome.status == "done"


def test_job_without_timeout_that_makes_no_progress_is_stopped(tmp_path):
    patience = Patience(heartbeat_s=0.1, stall_s=0.6, stall_epochs=1)
    with open_executor(tmp_path, patience=patience) as executor:
        ended = run_all(executor, [make_job("slow", "hang")])
    assert ended["slow"].end.outcome.status == "timeout"
    assert "no progress" in ended["slow"].end.outcome.error


def test_frozen_process_is_noticed_by_its_silence(tmp_path):
    patience = Patience(heartbeat_s=0.1, silence_s=0.7, retries=0)
    with open_executor(tmp_path, patience=patience) as executor:
        ended = run_all(executor, [make_job("frozen", "freeze"), make_job("good")])
    assert ended["frozen"].end.outcome.status == "lost"
    assert "no sign of life" in ended["frozen"].end.outcome.error
    assert ended["good"].end.outcome.status == "done"


def test_job_past_its_time_stops_by_itself_at_the_end_of_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_PAUSE", "0.2")
    patience = Patience(heartbeat_s=0.1, grace_s=30)
    with open_executor(tmp_path, patience=patience) as executor:
        ended = run_all(executor, [make_job("slow", timeout_s=0.3, epochs=100), make_job("good", epochs=1)])
    assert ended["slow"].end.outcome.status == "timeout"
    assert 1 <= len(ended["slow"].end.outcome.curve) <= 5
    assert len(set(worker_pids(tmp_path))) == 1


def test_listener_prunes_a_trial_and_cannot_prune_a_run(tmp_path):
    with open_executor(tmp_path) as executor:
        trial, run = make_job("trial", kind="trial", epochs=5), make_job("run", epochs=5)
        ended = run_all(executor, [trial, run], recorder=lambda: Recorder(prune_at=2))
    assert (ended["trial"].end.outcome.status, ended["trial"].points) == ("pruned", [1, 2])
    assert ended["run"].end.outcome.status == "done"


def test_trial_that_reports_test_metrics_fails(tmp_path):
    with open_executor(tmp_path) as executor:
        ended = run_all(executor, [make_job("cheat", "peek", kind="trial")])
    assert ended["cheat"].end.outcome.status == "failed"
    assert "train and validation only" in ended["cheat"].end.outcome.error


def test_slots_run_jobs_side_by_side_with_their_own_threads(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_RUNNER_PAUSE", "0.1")
    with open_executor(tmp_path, slots=2) as executor:
        run_all(executor, [make_job(f"job{index}", epochs=4) for index in range(2)])
        assert len(set(worker_pids(tmp_path))) == 2
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["start", "start", "end", "end"]


def test_interrupt_stops_running_jobs_at_once_and_leaves_no_process(tmp_path):
    with open_executor(tmp_path) as executor:
        recorder = Recorder()
        executor.submit(make_job("slow", "hang"), recorder)
        while not recorder.points:
            executor.step(0.05)
        executor.interrupt()
        assert recorder.end.outcome.status == "interrupted" and not executor.busy
    assert not any(psutil.pid_exists(pid) for pid in worker_pids(tmp_path))


DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_execution_local import *
executor = open_executor(Path(sys.argv[1]))
executor.submit(make_job("slow", "hang"), Recorder())
while True:
    executor.step(0.05)
"""


def test_worker_does_not_outlive_a_killed_driver(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), str(Path(__file__).parent)])
    log, deadline = tmp_path / "log.txt", time.monotonic() + 10
    while not (log.exists() and worker_pids(tmp_path)):
        time.sleep(0.05)
        assert time.monotonic() < deadline
    driver.kill()
    driver.wait()
    (pid,) = worker_pids(tmp_path)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
        assert time.monotonic() < deadline
