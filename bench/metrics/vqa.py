"""Metrics of answers, one value per question."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import UserError, did_you_mean
from bench.metrics.base import Metric, MetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ACCURACY = re.compile(r"accuracy(?:\[([^\[\]]+)\])?")
_WUPS = re.compile(r"wups@(0(?:\.\d+)?|1(?:\.0+)?)")
_BELOW = 0.1
"""What a similarity below the threshold is multiplied by."""

ACCURACY = MetricFamily(
    "accuracy", "share of questions whose answer is right; with [TYPE] of that type's alone", form="accuracy[TYPE]"
)
WUPS = MetricFamily(
    "wups", "similarity of the answer to the right one in WordNet, cut down below T; needs WordNet", form="wups@T"
)


def parse(name: str) -> Metric:
    """Reads a metric name such as `accuracy`, `accuracy[count]` or `wups@0.9`.

    Raises:
        UserError: There is no such metric, or the threshold is not from 0 to 1.
    """
    if (match := _ACCURACY.fullmatch(name)) is not None:
        about = (
            f"share of {match.group(1)!r} questions answered rightly" if match.group(1) else "share answered rightly"
        )
        return Metric(name, ACCURACY.direction, about)
    if (match := _WUPS.fullmatch(name)) is not None:
        return Metric(name, WUPS.direction, f"{WUPS.summary} (T = {match.group(1)})")
    family = name.partition("[")[0].partition("@")[0]
    if family == "wups":
        raise UserError(
            f"metric {name!r} needs a threshold from 0 to 1 after '@'.", hint="Write wups@0.9, or wups@0.0 for none."
        )
    raise UserError(
        f"unknown metric {name!r}.{did_you_mean(family, ('accuracy', 'wups'))}",
        hint="Known: accuracy, accuracy[TYPE] and wups@T.",
    )


def type_of(name: str) -> str | None:
    """Returns the TYPE of `accuracy[TYPE]`; None for any other metric."""
    match = _ACCURACY.fullmatch(name)
    return match.group(1) if match else None


def threshold_of(name: str) -> float | None:
    """Returns the T of `wups@T`; None for any other metric."""
    match = _WUPS.fullmatch(name)
    return float(match.group(1)) if match else None


def accuracy(predicted: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns (n,) float64: 1 where the predicted class is the right one; an answer of -1 is never right."""
    values: np.ndarray = ((predicted == answers) & (answers >= 0)).astype(np.float64)
    return values


def of_type(scores: np.ndarray, types: np.ndarray, names: Sequence[str], wanted: str) -> np.ndarray:
    """Returns the scores of one type of question, NaN elsewhere.

    Raises:
        UserError: The data has no such type.
    """
    if wanted not in names:
        raise UserError(
            f"no question type {wanted!r}.{did_you_mean(wanted, names)}", hint=f"The types are {', '.join(names)}."
        )
    return np.where(types == list(names).index(wanted), scores, np.nan)


def wups(predicted: str, truth: str, threshold: float, similarity: Callable[[str, str], float]) -> float:
    """Returns WUPS of one answer (Malinowski and Fritz, NIPS 2014, section 4).

    Answers are sets, written with commas. With A predicted and T true,
    min(∏_{a∈A} max_{t∈T} μ(a, t), ∏_{t∈T} max_{a∈A} μ(a, t)), μ the similarity, times 0.1 where it is below the
    threshold.

    Args:
        predicted: The answer given.
        truth: The right one.
        threshold: Below it a similarity counts a tenth.
        similarity: Symmetric, 0..1, 1 for equal words.
    """

    def measure(first: str, second: str) -> float:
        found = similarity(first, second)
        return found if found >= threshold else found * _BELOW

    given, right = items(predicted), items(truth)
    if not given or not right:
        return 0.0
    return min(
        prod(max(measure(one, other) for other in right) for one in given),
        prod(max(measure(one, other) for other in given) for one in right),
    )


def items(answer: str) -> list[str]:
    """Returns the distinct members of an answer, lower case."""
    parts = (" ".join(part.lower().split()) for part in answer.split(","))
    return list(dict.fromkeys(part for part in parts if part))
