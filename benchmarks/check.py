"""Both sides compute the same numbers: loss, gradients and metrics, in float64, on the benchmark's own rows.

Features are cut to their first columns, for time: their width is in no formula.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.methods.base import PairBatch
from bench.tasks.recommendation import TASK
from benchmarks import sides
from benchmarks.inputs import Inputs, load
from benchmarks.reference.trainer import CUTOFFS, Evaluator

METRICS = [f"{family}@{k}" for family in ("recall", "ndcg", "precision", "map") for k in CUTOFFS]
LOSS, GRADIENT, METRIC = 1e-10, 1e-9, 1e-12
COLUMNS = 128


class DifferentError(AssertionError):
    """The reference does not compute what `bench` computes: its time would mean nothing."""


def check(case: sides.Case, inputs: Inputs, cache: Path) -> dict[str, float]:
    """Compares both sides on equal weights and one batch.

    Returns:
        Largest difference of each kind: the loss relative to itself, gradients to the parameter's largest entry.

    Raises:
        DifferentError: A difference is above its tolerance.
    """
    torch.manual_seed(0)
    data = inputs.data
    method = sides.ours(case, data, cache, torch.float64)
    model = sides.reference(case, data, cache, torch.float64)
    names = sides.same_weights(method, model)
    rng = np.random.default_rng(0)
    rows = rng.integers(len(data.train), size=2048)
    users, pos, neg = (
        torch.from_numpy(values.astype(np.int64))
        for values in (data.train.users[rows], data.train.items[rows], rng.integers(data.n_items, size=2048))
    )
    mine, theirs = method.loss(PairBatch(users, pos, neg)).total, model.loss(users, pos, neg)
    found = {"loss": abs(mine.item() - theirs.item()) / abs(theirs.item()), "gradient": 0.0, "metric": 0.0}
    mine.backward()
    theirs.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, parameter in method.named_parameters():
        expected = gradients[names[name]]
        if parameter.requires_grad and expected is not None and parameter.grad is not None:
            scale = max(float(expected.abs().max()), 1e-6)
            found["gradient"] = max(found["gradient"], float((parameter.grad - expected).abs().max()) / scale)
        elif parameter.requires_grad:
            raise DifferentError(f"{case.title}: {name} has a gradient on one side only")
    method.zero_grad(set_to_none=True)
    model.zero_grad(set_to_none=True)
    values = TASK.validate(method, data, METRICS)
    evaluator = Evaluator((data.train.users, data.train.items), (data.valid.users, data.valid.items))
    expected_values = evaluator.evaluate(model)
    found["metric"] = max(abs(values[name] - expected_values[name]) for name in METRICS)
    for kind, tolerance in (("loss", LOSS), ("gradient", GRADIENT), ("metric", METRIC)):
        if not found[kind] <= tolerance:
            raise DifferentError(f"{case.title}: {kind} differs by {found[kind]:.3g}, at most {tolerance:g} is allowed")
    return found


def narrow(inputs: Inputs) -> Inputs:
    """Returns the inputs with the first `COLUMNS` columns of each modality."""
    modalities = {
        name: replace(modality, features=modality.features[:, :COLUMNS])
        for name, modality in inputs.data.modalities.items()
    }
    return replace(inputs, data=replace(inputs.data, modalities=modalities, digest=f"{inputs.data.digest}:{COLUMNS}"))


def main() -> None:
    """Checks the cases named on the command line and prints the differences as JSON."""
    folder, cases = Path(sys.argv[1]), sys.argv[2:]
    inputs = narrow(load(folder))
    print(json.dumps({name: check(sides.CASES[name], inputs, folder) for name in cases}))


if __name__ == "__main__":
    main()
