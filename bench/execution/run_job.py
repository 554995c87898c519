"""Executes one job in this process: data, views, method, training, and for a run the one look at the test split."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import polars as pl
import torch

from bench.atomic import replacing
from bench.data.dataset import open_dataset
from bench.errors import DataError
from bench.execution.checkpoints import open_checkpoints
from bench.execution.jobs import Job, Outcome
from bench.execution.results import WEIGHTS
from bench.graph.compile import compile_view
from bench.graph.stages import parse_stage
from bench.methods.base import Context
from bench.tasks.base import Checking
from bench.tasks.registry import TASKS
from bench.training.build import DTYPES, build_method, resolve_device
from bench.training.checkpoint import write_tensors
from bench.training.loop import Settings, train
from bench.training.seeds import component_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.data.dataset import Dataset
    from bench.graph.view import View
    from bench.store.records import CurvePoint
    from bench.tasks.base import Evaluation, Sample

UNITS_FILE = "units.arrow"
SAMPLES_FILE = "samples.arrow"
CHECKPOINT_FILE = "checkpoint.safetensors"


def run_job(job: Job, *, work_dir: Path, on_epoch: Callable[[CurvePoint], bool]) -> Outcome:
    """Trains what a job describes; only a job of kind `run` opens the test split.

    Args:
        job: The whole description.
        work_dir: The job's own folder; checkpoint, best weights and unit scores are written there.
        on_epoch: Called after each epoch; False prunes.

    Raises:
        DivergedError: Loss or scores are not finite.
        DataError: The data, a view or a checkpoint is not what the plan was made from.
        DeviceError: The device does not exist.
    """
    begun = time.perf_counter()
    device = resolve_device(job.device)
    task = TASKS.get(job.task)
    dataset = open_dataset(job.dataset, protocol=job.protocol)
    _same("dataset", job.dataset, job.dataset_digest, dataset.digest)
    open_checkpoints(job)
    data = dataset.training()
    dtype = DTYPES.get(job.precision, torch.float32)
    views = {name: view.to(device, dtype) for name, view in _views(job, dataset).items()}
    compiled = time.perf_counter()

    torch.manual_seed(component_seed(job.seed, "init"))
    method = build_method(job.method, job.config, Context(data, views, dtype)).to(device)
    budget = job.budget
    settings = Settings(
        epochs=int(budget["epochs"]),
        patience=budget.get("patience"),
        select=job.select,
        maximize=task.metric(job.select).direction == "maximize",
        metrics=tuple(dict.fromkeys((job.select, *job.metrics))),
        seed=job.seed,
        precision=job.precision,
        checkpoint=work_dir / CHECKPOINT_FILE,
    )
    if isinstance(task, Checking):
        task.check(method, data, settings.metrics)
    result = train(method, data, task, settings, device=device, on_epoch=on_epoch)
    trained = time.perf_counter()

    metrics: dict[str, float] = {}
    n_units, samples = 0, False
    if job.kind == "run":
        evaluation = task.evaluate(method, dataset, job.metrics)
        metrics, n_units = evaluation.values, len(evaluation.units)
        write_units(work_dir / UNITS_FILE, evaluation)
        samples = bool(evaluation.samples)
        if samples:
            write_samples(work_dir / SAMPLES_FILE, evaluation.samples)
        write_tensors(work_dir / WEIGHTS, method.state_dict(), {"job": job.id})
    ended = time.perf_counter()
    frozen = sum(parameter.numel() for parameter in method.parameters() if not parameter.requires_grad)
    (work_dir / CHECKPOINT_FILE).unlink(missing_ok=True)
    return Outcome(
        status="pruned" if result.stopped else "done",
        best_epoch=result.best_epoch,
        epochs=result.epochs,
        value=result.value,
        valid=result.valid,
        metrics=metrics,
        n_units=n_units,
        parameters=sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad),
        notes={"frozen_parameters": frozen} if frozen else {},
        seconds={
            "compile": compiled - begun,
            "train": result.seconds["train"],
            "validate": result.seconds["validate"],
            "evaluate": ended - trained,
            "total": ended - begun,
        },
        curve=result.curve,
        units_path=UNITS_FILE if metrics else None,
        samples_path=SAMPLES_FILE if samples else None,
        device=str(device),
    )


def write_units(path: Path, evaluation: Evaluation) -> None:
    """Writes per-unit test scores as a zstd-compressed Arrow IPC file, atomically: column `unit` and one per metric."""
    _write_frame(path, pl.DataFrame({"unit": evaluation.units, **evaluation.scores}))


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Writes samples as an Arrow IPC file, atomically: a row each, columns as in `Sample`, notes as JSON text."""
    rows = [sample._asdict() | {"notes": json.dumps(dict(sample.notes))} for sample in samples]
    schema = {"name": pl.String, "media_type": pl.String, "data": pl.Binary, "prompt": pl.String, "notes": pl.String}
    _write_frame(path, pl.DataFrame(rows, schema=schema))


def _write_frame(path: Path, frame: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        frame.write_ipc(temporary, compression="zstd")


def _views(job: Job, dataset: Dataset) -> dict[str, View]:
    views: dict[str, View] = {}
    for name, stages in job.views.items():
        compiled = compile_view(tuple(parse_stage(stage) for stage in stages), dataset.training())
        _same("view", name, job.view_digests.get(name, ""), compiled.digest)
        views[name] = compiled.view
    return views


def _same(what: str, name: str, expected: str, found: str) -> None:
    if expected and expected != found:
        raise DataError(
            f"{what} {name!r} has changed since the plan was made: its digest was {expected[:12]} and is {found[:12]}.",
            hint="Run the spec again: it is planned anew.",
        )
