"""Tests of one store under several processes: two writers, a reader beside a writer, and a writer that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bench.store import Store

UNIT = Path(__file__).parents[1] / "unit"

WRITER = """
import sys
from store_factories import make_run, make_study, make_trial
import bench.store.engine
from bench.store import Store, encode_units
from bench.store.records import UnitScores

path, name, count, linger = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "linger"
bench.store.engine.is_local = lambda path: sys.argv[5] == "wal"
print("ready", flush=True)
sys.stdin.readline()
with Store.open(path) as store:
    store.put_study(make_study())
    for seed in range(count):
        run = make_run(name, seed, fingerprint=f"{name}{seed}")
        store.put_run(run, UnitScores(run=run.fingerprint, arrow=encode_units([1, 2], {"recall@20": [0.5, 1.0]})))
        store.put_trial(make_trial(seed, seconds=float(len(name))))
        shared = make_run("shared", seed, fingerprint=f"shared{seed}")
        store.put_run(shared)
        print("done", seed, flush=True)
    if linger:
        sys.stdin.readline()
"""


def start(path: Path, name: str, count: int, *, linger: bool = False, journal: str = "wal") -> subprocess.Popen[str]:
    places = [str(UNIT), str(UNIT.parents[1]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count), "linger" if linger else "leave", journal],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_two_writers_at_once_lose_nothing(tmp_path, journal):
    path = tmp_path / "results.db"
    writers = [start(path, name, 15, journal=journal) for name in ("ann", "robert")]
    go(*writers)
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.db"]
    with Store.open(path, read_only=True) as store:
        methods = [run.method for run in store.runs()]
        assert {name: methods.count(name) for name in set(methods)} == {"ann": 15, "robert": 15, "shared": 15}
        assert len(store.trials("5" * 32)) == 15
        assert all(store.unit_scores(f"robert{seed}").height == 2 for seed in range(15))
    with sqlite3.connect(path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_writer_leaves_every_committed_run(tmp_path):
    path = tmp_path / "results.db"
    writer = start(path, "ann", 5, linger=True)
    go(writer)
    for seed in range(5):
        assert writer.stdout.readline() == f"done {seed}\n"
    with Store.open(path, read_only=True) as beside:
        assert len(beside.runs(method="ann")) == 5
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=30)
    with Store.open(path, read_only=True) as store:
        assert len(store.runs(method="ann")) == 5
    with Store.open(path) as store:
        assert len(store.runs(method="ann")) == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.db"]
