"""Classification metrics: per image where a metric is a mean over images, of a whole split where it is not.

A name may carry a test condition in brackets: `top1[viewpoint]`. Without one it is the metric under the condition
`clean`; `[shifted]` takes the images of all other conditions together. Classes with equal logits are ordered by their
number, the lower one first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from bench.data.classification import CLEAN
from bench.errors import UserError, did_you_mean
from bench.metrics.base import Metric, MetricFamily
from bench.metrics.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHIFTED = "shifted"
"""In brackets: the images of all test conditions but `clean`, together."""
ECE_BINS = 15
_PATTERN = re.compile(r"([a-z0-9_]+)(?:\[(.+)\])?")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier said about some images.

    Attributes:
        logits: (n, C) finite.
        labels: (n,) int64 true classes, 0..C-1.
    """

    logits: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n,) int64 rank of the true class, from 1."""
        own = self.logits[np.arange(len(self)), self.labels][:, None]
        lower = np.arange(self.logits.shape[1])[None, :] < self.labels[:, None]
        ahead = (self.logits > own) | ((self.logits == own) & lower)
        ranks: np.ndarray = ahead.sum(axis=1) + 1
        return ranks

    @cached_property
    def classes(self) -> np.ndarray:
        """(n,) int64 predicted classes."""
        predicted: np.ndarray = self.logits.argmax(axis=1)
        return predicted

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """(n, C) float64 log-softmax of the logits."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return shifted


@dataclass(frozen=True)
class ImageMetric(MetricFamily):
    """A family of metrics that are means over images.

    Attributes:
        compute: From predictions to (n,) float64 values.
        bracket: What the brackets hold: a test condition, or a class, of whose images alone it is the mean.
    """

    compute: Callable[[Predictions], np.ndarray]
    bracket: Literal["condition", "class"] = field(default="condition", kw_only=True)


@dataclass(frozen=True)
class SplitMetric(MetricFamily):
    """A family of metrics of all images together.

    Attributes:
        compute: From predictions to the value.
    """

    compute: Callable[[Predictions], float]


class Parsed(NamedTuple):
    """A metric name taken apart.

    Attributes:
        name: As written.
        family: Its definition.
        bracket: What stands in brackets, or None.
    """

    name: str
    family: ImageMetric | SplitMetric
    bracket: str | None

    @property
    def condition(self) -> str:
        """The test condition it is computed on."""
        return CLEAN if self.by_class or self.bracket is None else self.bracket

    @property
    def by_class(self) -> bool:
        """Whether it is about one class."""
        return isinstance(self.family, ImageMetric) and self.family.bracket == "class"


def parse(name: str) -> Metric:
    """Reads a metric name such as `top1` or `top1[viewpoint]`; whether the condition or class exists, data tells.

    Raises:
        UserError: The family is unknown, or the brackets are empty or missing where they must not be.
    """
    parsed = take_apart(name)
    family = parsed.family
    if parsed.by_class:
        suffix = f" ({parsed.bracket})"
    elif parsed.bracket == SHIFTED:
        suffix = " (all test conditions but clean)"
    else:
        suffix = f" (test condition {parsed.bracket})" if parsed.bracket is not None else ""
    return Metric(name=name, direction=family.direction, summary=family.summary + suffix)


def take_apart(name: str) -> Parsed:
    """Reads a metric name.

    Raises:
        UserError: See `parse`.
    """
    match = _PATTERN.fullmatch(name)
    wanted = match.group(1) if match else name.partition("[")[0]
    known = {key: family for key, family in METRICS.items() if isinstance(family, ImageMetric | SplitMetric)}
    if wanted not in known:
        forms = ", ".join(family.form or family.name for family in known.values())
        raise UserError(
            f"unknown metric {name!r}.{did_you_mean(wanted, known)}",
            hint=f"Known: {forms}; [CONDITION] is optional: a test condition of the dataset, or {SHIFTED} for all.",
        )
    family, bracket = known[wanted], match.group(2) if match else None
    by_class = isinstance(family, ImageMetric) and family.bracket == "class"
    if match is None or (by_class and bracket is None):
        inside = "a class" if by_class else "a test condition"
        raise UserError(
            f"metric {name!r} needs {inside} in the brackets.",
            hint=f"Write for example {wanted}[{'Lemon' if by_class else SHIFTED}].",
        )
    return Parsed(name, family, bracket)


def check(metrics: Sequence[str], *, dataset: str, classes: Sequence[str], conditions: Sequence[str]) -> None:
    """Checks that a dataset has the conditions and classes that metrics name.

    Raises:
        UserError: It has not; names those it has, or the nearest.
    """
    for parsed in map(take_apart, metrics):
        if parsed.by_class:
            if parsed.bracket not in classes:
                raise UserError(
                    f"metric {parsed.name!r}: dataset {dataset!r} has no class {parsed.bracket!r}."
                    f"{did_you_mean(str(parsed.bracket), classes)}",
                    hint=f"It has {len(classes)}: {', '.join(classes[:8])}{', …' if len(classes) > 8 else ''}.",
                )
        elif parsed.condition == SHIFTED and len(conditions) < 2:
            raise UserError(
                f"metric {parsed.name!r}: dataset {dataset!r} has no test condition but {CLEAN!r}.",
                hint=f"Write {parsed.family.name}.",
            )
        elif parsed.condition not in (*conditions, SHIFTED):
            raise UserError(
                f"metric {parsed.name!r}: dataset {dataset!r} has no test condition {parsed.condition!r}."
                f"{did_you_mean(parsed.condition, (*conditions, SHIFTED))}",
                hint=f"It has {', '.join(conditions)}.",
            )


def score(
    by_condition: Mapping[str, Predictions], classes: Sequence[str], metrics: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Computes metrics of the images of all test conditions, in the order of the conditions.

    Args:
        by_condition: Predictions by test condition, `clean` among them.
        classes: Names by label.
        metrics: Names that `check` accepts.

    Returns:
        Metrics that are means over images: name to (images of all conditions,) float64, NaN where an image is none of
        the metric's; and metrics of all images together, by name.
    """
    conditions = np.repeat(list(by_condition), [len(part) for part in by_condition.values()])
    everything = _joined(list(by_condition.values()))
    scores: dict[str, np.ndarray] = {}
    totals: dict[str, float] = {}
    for parsed in map(take_apart, metrics):
        inside = conditions != CLEAN if parsed.condition == SHIFTED else conditions == parsed.condition
        if isinstance(parsed.family, SplitMetric):
            totals[parsed.name] = parsed.family.compute(
                Predictions(everything.logits[inside], everything.labels[inside])
            )
            continue
        if parsed.by_class:
            inside &= everything.labels == list(classes).index(str(parsed.bracket))
        scores[parsed.name] = np.where(inside, parsed.family.compute(everything), np.nan)
    return scores, totals


def confusion(predictions: Predictions, n_classes: int) -> np.ndarray:
    """Returns (C, C) int64 counts of images by true class (row) and predicted class (column)."""
    codes = predictions.labels * n_classes + predictions.classes
    counts = np.bincount(codes, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def _joined(parts: Sequence[Predictions]) -> Predictions:
    if len(parts) == 1:
        return parts[0]
    return Predictions(np.concatenate([part.logits for part in parts]), np.concatenate([part.labels for part in parts]))


def _top(predictions: Predictions, k: int) -> np.ndarray:
    """1 when the true class is among the k with the largest logits, else 0."""
    values: np.ndarray = (predictions.ranks <= k).astype(np.float64)
    return values


def _top1(predictions: Predictions) -> np.ndarray:
    return _top(predictions, 1)


def _top5(predictions: Predictions) -> np.ndarray:
    return _top(predictions, 5)


def _nll(predictions: Predictions) -> np.ndarray:
    """−ln of the probability of the true class."""
    own: np.ndarray = predictions.log_probabilities[np.arange(len(predictions)), predictions.labels]
    return -own


def _macro_f1(predictions: Predictions) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN); classes that are neither true nor predicted anywhere are out."""
    table = confusion(predictions, predictions.logits.shape[1])
    hits, either = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2.0 * hits[either > 0] / either[either > 0])) if len(predictions) else float("nan")


def _ece(predictions: Predictions) -> float:
    """Σ_m |B_m| / n · |accuracy(B_m) − confidence(B_m)| over bins ((m−1)/15, m/15] of the largest probability.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    if not len(predictions):
        return float("nan")
    confidence = np.exp(predictions.log_probabilities.max(axis=1))
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins, weights=(predictions.ranks == 1) - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(predictions))


TOP1 = ImageMetric("top1", "share of images whose class is named first", _top1, form="top1[CONDITION]")
TOP5 = ImageMetric("top5", "share of images whose class is among the first five", _top5, form="top5[CONDITION]")
NLL = ImageMetric(
    "nll", "mean -ln of the probability of the true class", _nll, form="nll[CONDITION]", direction="minimize"
)
MACRO_F1 = SplitMetric("macro_f1", "mean over classes of the F1 score", _macro_f1, form="macro_f1[CONDITION]")
ECE = SplitMetric(
    "ece",
    "calibration error: gap between confidence and accuracy over 15 equal bins of confidence",
    _ece,
    form="ece[CONDITION]",
    direction="minimize",
)
CLASS_ACCURACY = ImageMetric(
    "class_accuracy", "share of a class's images named right", _top1, form="class_accuracy[CLASS]", bracket="class"
)
