"""What a search of n trials can be expected to find."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.metrics.base import Direction
    from bench.store.records import TrialRecord


class ExpectedBest(NamedTuple):
    """The best validation score of a search of so many trials."""

    trials: int
    mean: float
    """Expected best value."""
    sd: float
    """Standard deviation of the best value."""


def expected_best(
    values: Sequence[float], *, direction: Direction = "maximize", most: int | None = None
) -> list[ExpectedBest]:
    """Returns the expected best validation score after 1, 2, … trials (Dodge et al., EMNLP 2019, equations 1 to 8).

    `E[V*_n] = Σ_v v · (P(V <= v)^n - P(V < v)^n)` with the empirical distribution of the trials' values: n trials drawn
    with replacement from those that were made. It holds for random search; for a sampler that learns, the first trials
    are worse and the later ones better than this says.

    Args:
        values: One validation score per trial.
        direction: Which way is better.
        most: Up to how many trials; None and anything larger mean as many as there are values, beyond which the
            empirical distribution says nothing.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError("trial values must be a vector of finite numbers")
    if not scores.size:
        return []
    sign = 1.0 if direction == "maximize" else -1.0
    ordered, counts = np.unique(sign * scores, return_counts=True)
    at_most = np.cumsum(counts) / scores.size
    below = np.concatenate([[0.0], at_most[:-1]])
    # Moments about the mean, so that the variance of nearly equal scores does not drown in rounding.
    centre = float(ordered.mean())
    shifted = ordered - centre
    points = []
    for n in range(1, min(most or scores.size, scores.size) + 1):
        chance = at_most**n - below**n
        mean = float(chance @ shifted)
        variance = max(0.0, float(chance @ (shifted - mean) ** 2))
        points.append(ExpectedBest(n, sign * (mean + centre), math.sqrt(variance)))
    return points


def trial_values(trials: Sequence[TrialRecord]) -> list[float]:
    """Returns the validation scores of the trials that have one, in the order of their numbers.

    A pruned trial counts with the best score it reached; one that failed before it had a score is left out.
    """
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [trial.value for trial in ordered if trial.value is not None and math.isfinite(trial.value)]
