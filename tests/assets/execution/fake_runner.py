"""A pretend `run_job` for worker processes; `config["action"]` says what goes wrong. No torch, so it starts fast."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from pathlib import Path

import polars as pl

from bench.errors import DataError, DivergedError
from bench.execution.jobs import Outcome
from bench.store.records import CurvePoint


def value_of(job, epoch):
    """A pretend learning curve: depends on the configuration and the seed alone."""
    shape = sum(v for v in job.config.values() if isinstance(v, (int, float)) and not isinstance(v, bool))
    return shape / (1 + abs(shape)) * (1 - 0.5**epoch) + job.seed * 1e-3


def key(job):
    """What FAKE_RUNNER_ACTIONS maps to an action: `bpr/run`, `bpr/trial`."""
    return f"{job.method['method']}/{job.kind}"


def log(line):
    """Lets a test count what was really done, over all processes."""
    if path := os.environ.get("FAKE_RUNNER_LOG"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def act(action, work_dir):
    if action == "crash":
        print("about to crash", flush=True)
        os._exit(3)
    elif action == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif action == "killed_once" and not (work_dir / "tried").exists():
        (work_dir / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        time.sleep(600)
    elif action == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "diverge":
        raise DivergedError("the loss is not finite in epoch 2", epoch=2)
    elif action == "raise":
        raise ZeroDivisionError("a bug")
    elif action == "exit":
        raise SystemExit(5)
    elif action == "memory":
        raise MemoryError("too much")
    elif action == "data":
        raise DataError("file 'x' is damaged")


def run_job(job, *, work_dir, on_epoch):
    log(f"start {job.kind} {job.id} {os.getpid()} {os.getppid()}")
    pause = float(os.environ.get("FAKE_RUNNER_PAUSE", 0))
    action = job.config.get("action") or json.loads(os.environ.get("FAKE_RUNNER_ACTIONS", "{}")).get(key(job), "ok")
    print("a library prints to stdout")
    curve, stopped = [], False
    for epoch in range(1, job.budget["epochs"] + 1):
        time.sleep(pause)
        if epoch == 2:
            act(action, work_dir)
        curve.append(CurvePoint(epoch=epoch, values={f"valid/{job.select}": value_of(job, epoch)}))
        stopped = not on_epoch(curve[-1])
        if stopped:
            break
    metrics, units = {}, None
    if job.kind == "run" or action == "peek":
        metrics, units = {name: curve[-1].values[f"valid/{job.select}"] / 2 for name in job.metrics}, "units.arrow"
        buffer = io.BytesIO()
        scores = {name: [value] * 3 for name, value in metrics.items()}
        pl.DataFrame({"unit": [0, 1, 2], **scores}).write_ipc(buffer, compression="zstd")
        (work_dir / units).write_bytes(buffer.getvalue())
    log(f"end {job.kind} {job.id}")
    value = max(point.values[f"valid/{job.select}"] for point in curve)
    return Outcome(
        status="pruned" if stopped else "done", best_epoch=len(curve), epochs=len(curve), value=value,
        valid={job.select: value}, metrics=metrics, n_units=3 if metrics else 0, parameters=1, curve=curve,
        units_path=units,
    )  # fmt: skip
