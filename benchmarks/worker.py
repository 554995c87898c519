"""Measures one side of one workload in a process of its own, so that peak memory is that side's."""

from __future__ import annotations

import argparse
import functools
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bench.data.types import Interactions
from bench.execution.worker import keep_freed_memory, peak_memory_bytes, reset_peak_memory
from bench.tasks.recommendation import TASK
from bench.training.loop import Settings, train
from benchmarks import sides
from benchmarks.check import METRICS
from benchmarks.inputs import Inputs, load
from benchmarks.reference.trainer import Evaluator, PairLoader, train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BATCH = 2048


def part_of_epoch(inputs: Inputs, batches: int) -> Interactions:
    """Returns the rows of `batches` full batches, drawn once."""
    rows = np.random.default_rng(1).permutation(len(inputs.data.train))[: batches * BATCH]
    return Interactions(inputs.data.train.users[rows], inputs.data.train.items[rows])


class Sample(NamedTuple):
    """Seconds on the clock, and seconds of processor time over all threads (steadier on a machine that is shared)."""

    wall: float
    processor: float


class Stopwatch:
    """Splits time into laps."""

    def __init__(self) -> None:
        self.lap()

    def lap(self) -> Sample:
        """Returns the time since the last call and starts the next lap."""
        now = Sample(time.perf_counter(), time.process_time())
        begun, self._begun = getattr(self, "_begun", now), now
        return Sample(now.wall - begun.wall, now.processor - begun.processor)


class Measured(NamedTuple):
    """What a side took.

    Attributes:
        train: One sample per part of an epoch, the warming one left out.
        evaluate: Samples per split.
        peak_train: Bytes.
        peak_evaluate: Bytes; 0 when nothing was evaluated.
    """

    train: list[Sample]
    evaluate: dict[str, list[Sample]]
    peak_train: int
    peak_evaluate: int


class TimedTask:
    """The recommendation task; notes when training hands over to validation."""

    def __init__(self) -> None:
        self.watch, self.trained = Stopwatch(), list[Sample]()

    def __getattr__(self, name: str) -> object:
        return getattr(TASK, name)

    def validate(self, *arguments: object) -> dict[str, float]:
        """Ends the lap of training."""
        self.trained.append(self.watch.lap())
        return TASK.validate(*arguments)

    def on_epoch(self, _: object) -> bool:
        """Begins the next lap, after validation and the copy of the best weights."""
        self.watch.lap()
        return True


def measure_ours(
    case: sides.Case, inputs: Inputs, folder: Path, batches: int, repeats: int, evaluations: int
) -> Measured:
    """Times `bench.training.loop.train` itself on part of an epoch, and the task's validation on both splits."""
    keep_freed_memory()
    method = sides.ours(case, inputs.data, folder)
    part = part_of_epoch(inputs, batches)
    few = Interactions(part.users[:64], part.items[:64])
    settings = Settings(
        epochs=repeats + 1, patience=None, select="recall@20", maximize=True, metrics=("recall@20",), seed=0
    )
    reset_peak_memory()
    task = TimedTask()
    data = replace(inputs.data, train=part, valid=few)
    train(method, data, task, settings, device=torch.device("cpu"), on_epoch=task.on_epoch)
    runs = {
        "valid": lambda: TASK.validate(method, inputs.data, METRICS),
        "test": lambda: TASK.validate(method, replace(inputs.data, valid=inputs.test), METRICS),
    }
    return evaluated(task.trained[1:], runs, evaluations)


def measure_reference(
    case: sides.Case, inputs: Inputs, folder: Path, batches: int, repeats: int, evaluations: int
) -> Measured:
    """Times the plain loop on the same rows, and the plain evaluation on both splits."""
    model = sides.reference(case, inputs.data, folder)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    part = part_of_epoch(inputs, batches)
    loader = PairLoader(part.users.astype(np.int64), part.items.astype(np.int64), BATCH, seed=0)
    train_rows = (inputs.data.train.users, inputs.data.train.items)
    splits = {"valid": inputs.data.valid, "test": inputs.test} if evaluations else {}
    evaluators = {name: Evaluator(train_rows, (rows.users, rows.items)) for name, rows in splits.items()}
    reset_peak_memory()
    watch, trained = Stopwatch(), []
    for _ in range(repeats + 1):
        train_epoch(model, optimizer, loader)
        trained.append(watch.lap())
    runs = {name: functools.partial(evaluator.evaluate, model) for name, evaluator in evaluators.items()}
    return evaluated(trained[1:], runs, evaluations)


def evaluated(trained: list[Sample], runs: Mapping[str, Callable[[], object]], evaluations: int) -> Measured:
    """Adds evaluations to a measured training: one to warm up, then `evaluations` of each split."""
    peak_train = peak_memory_bytes("cpu")
    found: dict[str, list[Sample]] = {name: [] for name in runs}
    if not evaluations:
        return Measured(trained, found, peak_train, 0)
    reset_peak_memory()
    next(iter(runs.values()))()
    watch = Stopwatch()
    for _ in range(evaluations):
        for name, run in runs.items():
            watch.lap()
            run()
            found[name].append(watch.lap())
    return Measured(trained, found, peak_train, peak_memory_bytes("cpu"))


def main() -> None:
    """Prints one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("case", choices=sides.CASES)
    parser.add_argument("side", choices=["ours", "reference"])
    parser.add_argument("--fraction", type=float, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--evaluations", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    inputs = load(arguments.folder)
    per_epoch = math.ceil(len(inputs.data.train) / BATCH)
    batches = min(max(1, round(per_epoch * arguments.fraction)), len(inputs.data.train) // BATCH)
    measure = measure_ours if arguments.side == "ours" else measure_reference
    found = measure(
        sides.CASES[arguments.case], inputs, arguments.folder, batches, arguments.repeats, arguments.evaluations
    )
    scale = len(inputs.data.train) / (batches * BATCH)
    print(
        json.dumps(
            {
                "batches": batches,
                "batches_per_epoch": per_epoch,
                "epoch": [[value * scale for value in sample] for sample in found.train],
                "evaluate": found.evaluate,
                "peak_train": found.peak_train,
                "peak_evaluate": found.peak_evaluate,
            }
        )
    )


if __name__ == "__main__":
    main()
