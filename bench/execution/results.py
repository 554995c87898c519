"""Results of jobs on disk, so that work a worker finished outlives the driver that asked for it.

A job's folder is `<work_dir>/<job id>/`. `result.json` is the last file written there, atomically: where it exists, the
result is whole. A driver that takes it over checks that it answers the same job.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import polars as pl
from pydantic import ValidationError

from bench.atomic import write_atomic
from bench.data.paths import cache_root
from bench.execution.jobs import Job, Outcome
from bench.store.records import SampleRecord

JOB = "job.sha256"
LOCK = "driver.lock"
"""Held by the run that is at work in a jobs folder."""
BESIDE = "beside-"
"""Begins the name of the folder of a second run at the same time."""
RESULT = "result.json"
WEIGHTS = "weights.safetensors"
_NOT_THE_RESULT = {"timeout_s", "threads", "device", "checkpoints", "networks"}


class JobsAtWork(NamedTuple):
    """What the jobs folder of a store says about now."""

    running: bool
    """Whether a `bench run` is at work on the store, on this machine."""
    begun: tuple[str, ...]
    """Ids of jobs that have begun and are not in the store yet: at work, or left behind by a run that was killed."""


def jobs_folder(address: str) -> Path:
    """Returns the folder in which the jobs of a store have theirs: the same for every run on that store.

    Args:
        address: `Store.address`: the path of a file, or a URL.
    """
    place = address if "://" in address else str(Path(address).resolve())
    return cache_root() / "jobs" / hashlib.sha256(place.encode()).hexdigest()[:16]


def jobs_at_work(address: str) -> JobsAtWork:
    """Returns whether a run is at work on a store, and which jobs have begun."""
    folder = jobs_folder(address)
    try:
        folders = (path.name for path in folder.iterdir() if path.is_dir())
        begun = tuple(sorted(name for name in folders if not name.startswith(BESIDE)))
        with (folder / LOCK).open("r") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return JobsAtWork(running=True, begun=begun)
    except FileNotFoundError:
        return JobsAtWork(running=False, begun=())
    return JobsAtWork(running=False, begun=begun)


def job_digest(job: Job) -> str:
    """Returns the sha256 of what decides a job's result; where and how fast it runs is left out."""
    content = json.dumps(job.model_dump(mode="json", exclude=_NOT_THE_RESULT), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def prepare_folder(work_dir: Path, job: Job) -> Path:
    """Returns the job's folder; what another job of the same name left there (a checkpoint, say) is removed."""
    folder = work_dir / job.id
    mark, digest = folder / JOB, job_digest(job)
    if folder.exists() and (not mark.is_file() or mark.read_text() != digest):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(mark, digest.encode())
    return folder


def write_result(work_dir: Path, job: Job, outcome: Outcome) -> None:
    """Puts a job's result into its folder."""
    folder = work_dir / job.id
    content = {"job_digest": job_digest(job), "outcome": outcome.model_dump(mode="json")}
    write_atomic(folder / RESULT, json.dumps(content, allow_nan=True).encode())


def read_result(work_dir: Path, job: Job) -> Outcome | None:
    """Returns the result an earlier driver left behind, or None when there is none for exactly this job."""
    folder = work_dir / job.id
    try:
        content = json.loads((folder / RESULT).read_bytes())
        outcome = Outcome.model_validate(content["outcome"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, ValidationError):
        # Of another version of `bench`: the job is done again.
        return None
    if content.get("job_digest") != job_digest(job):
        return None
    promised = [name for name in (outcome.units_path, outcome.samples_path) if name is not None]
    return outcome if all((folder / name).is_file() for name in promised) else None


def read_units(work_dir: Path, job: Job, outcome: Outcome) -> bytes | None:
    """Returns the Arrow file with a run's per-unit scores, or None when it has none."""
    return None if outcome.units_path is None else (work_dir / job.id / outcome.units_path).read_bytes()


def read_samples(work_dir: Path, job: Job, outcome: Outcome) -> list[SampleRecord]:
    """Returns what a run left for people to look at."""
    if outcome.samples_path is None:
        return []
    frame = pl.read_ipc(work_dir / job.id / outcome.samples_path)
    return [
        SampleRecord(
            run=job.id,
            number=number,
            unit=row["name"],
            prompt=row["prompt"],
            media_type=row["media_type"],
            data=row["data"],
            notes=json.loads(row["notes"]),
        )
        for number, row in enumerate(frame.iter_rows(named=True))
    ]


def keep_weights(work_dir: Path, job: Job) -> None:
    """Moves a stored run's best weights to where `bench sample` and `bench attribute` look; the oldest make room.

    `$BENCH_KEEP_WEIGHTS_GB` bounds the space (5 by default; 0 keeps none). A cache that cannot be written keeps none.
    """
    source = work_dir / job.id / WEIGHTS
    room = int(float(os.environ.get("BENCH_KEEP_WEIGHTS_GB") or 5) * 1e9)
    if job.kind != "run" or not source.is_file() or source.stat().st_size > room:
        return
    target = weights_path(job.id)
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
        kept = sorted(target.parent.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept:
            room -= path.stat().st_size
            if room < 0:
                path.unlink(missing_ok=True)


def weights_path(fingerprint: str) -> Path:
    """Returns where the best weights of a run lie on this machine, if they were kept."""
    return cache_root() / "weights" / f"{fingerprint}.safetensors"


def forget_result(work_dir: Path, job_id: str) -> None:
    """Removes a job's folder once its result is in the store."""
    shutil.rmtree(work_dir / job_id, ignore_errors=True)
