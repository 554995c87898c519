"""Measures one side of one workload in a process of its own, so that peak memory is that side's."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    from collections.abc import Callable

BATCH = 2048


def part_of_epoch(inputs: Inputs, batches: int) -> Interactions:
    """Returns the rows of `batches` full batches, drawn once."""
    rows = np.random.default_rng(1).permutation(len(inputs.data.train))[: batches * BATCH]
    return Interactions(inputs.data.train.users[rows], inputs.data.train.items[rows])


def measure_ours(case: sides.Case, inputs: Inputs, folder: Path, batches: int, repeats: int, evaluations: int):
    """Times `bench.training.loop.train` itself on part of an epoch, and the task's validation on both splits."""
    keep_freed_memory()
    method = sides.ours(case, inputs.data, folder)
    part = part_of_epoch(inputs, batches)
    few = Interactions(part.users[:64], part.items[:64])
    settings = Settings(
        epochs=repeats + 1, patience=None, select="recall@20", maximize=True, metrics=("recall@20",), seed=0
    )
    reset_peak_memory()
    result = train(method, replace(inputs.data, train=part, valid=few), TASK, settings, device=torch.device("cpu"))
    trained = [point.values["seconds/train"] for point in result.curve]
    return trained, *_evaluate(
        {
            "valid": lambda: TASK.validate(method, inputs.data, METRICS),
            "test": lambda: TASK.validate(method, replace(inputs.data, valid=inputs.test), METRICS),
        },
        evaluations,
    )


def measure_reference(case: sides.Case, inputs: Inputs, folder: Path, batches: int, repeats: int, evaluations: int):
    """Times the plain loop on the same rows, and the plain evaluation on both splits."""
    model = sides.reference(case, inputs.data, folder)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    part = part_of_epoch(inputs, batches)
    loader = PairLoader(part.users.astype(np.int64), part.items.astype(np.int64), BATCH, seed=0)
    train_rows = (inputs.data.train.users, inputs.data.train.items)
    splits = {"valid": inputs.data.valid, "test": inputs.test} if evaluations else {}
    evaluators = {name: Evaluator(train_rows, (rows.users, rows.items)) for name, rows in splits.items()}
    reset_peak_memory()
    trained = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        train_epoch(model, optimizer, loader)
        trained.append(time.perf_counter() - begun)
    return trained, *_evaluate(
        {name: (lambda evaluator=evaluator: evaluator.evaluate(model)) for name, evaluator in evaluators.items()},
        evaluations,
    )


def _evaluate(runs: dict[str, Callable[[], object]], evaluations: int) -> tuple[dict[str, list[float]], int, int]:
    """Returns seconds per split, after one evaluation to warm up, and peak bytes of training and of evaluation."""
    peak_train = peak_memory_bytes("cpu")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    if not evaluations:
        return seconds, peak_train, 0
    reset_peak_memory()
    next(iter(runs.values()))()
    for _ in range(evaluations):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    return seconds, peak_train, peak_memory_bytes("cpu")


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
    trained, evaluated, peak_train, peak_evaluate = measure(
        sides.CASES[arguments.case], inputs, arguments.folder, batches, arguments.repeats, arguments.evaluations
    )
    scale = len(inputs.data.train) / (batches * BATCH)
    print(
        json.dumps(
            {
                "batches": batches,
                "batches_per_epoch": per_epoch,
                "epoch_s": [seconds * scale for seconds in trained[1:]],
                "evaluate_s": evaluated,
                "peak_train": peak_train,
                "peak_evaluate": peak_evaluate,
            }
        )
    )


if __name__ == "__main__":
    main()
