"""What a task is: which batches train a method, which protocol scores it, and what a score is averaged over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bench.data.dataset import Dataset
    from bench.methods.base import Method
    from bench.metrics.base import Metric


class Sample(NamedTuple):
    """Something a run leaves for people to look at: a picture, a table, reasoning weights.

    Attributes:
        name: What it is about (a unit, or "confusion matrix"); distinct within a run.
        media_type: `image/png`, `application/json`, `text/plain`, …
        data: The content.
        prompt: The text it answers, where there is one.
        notes: Plain JSON values worth showing beside it; `kind` names what it is.
    """

    name: str
    media_type: str
    data: bytes
    prompt: str | None = None
    notes: Mapping[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcome of the one look at the test split.

    Attributes:
        units: (n,) ids of what the metrics are averaged over.
        scores: Metric name to (n,) float64 values, unrounded; NaN where a unit is none of the metric's (another
            question type, another test condition).
        totals: Metrics of the whole split that are no mean over units (macro-F1, Fréchet distance).
        samples: What people should be able to look at.
    """

    units: np.ndarray
    scores: Mapping[str, np.ndarray]
    totals: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """Metric name to its mean over its units, or to its total; NaN for a metric without units."""
        return values_of(self.scores, self.totals)


def values_of(scores: Mapping[str, np.ndarray], totals: Mapping[str, float]) -> dict[str, float]:
    """Returns metric name to its mean over its units, or to its total; NaN for a metric without units."""
    means = {name: mean_of(values) for name, values in scores.items()}
    return means | {name: float(value) for name, value in totals.items()}


def mean_of(scores: np.ndarray) -> float:
    """Returns the mean over the units that are the metric's; NaN when there are none."""
    known = scores[~np.isnan(scores)]
    return float(np.mean(known)) if known.size else float("nan")


class Batches(Protocol):
    """A source of training batches, shuffled anew each epoch."""

    def epoch(self) -> Iterator[object]:
        """Yields the batches of one epoch."""


class Task(Protocol):
    """One task of the benchmark."""

    @property
    def name(self) -> str:
        """As specs name it."""

    @property
    def family(self) -> str:
        """One of recommendation, classification, generation, vqa."""

    @property
    def unit(self) -> str:
        """What a metric is averaged over."""

    @property
    def summary(self) -> str:
        """One sentence for `bench tasks`."""

    @property
    def default_metrics(self) -> tuple[str, ...]:
        """Metrics reported when a spec names none."""

    def metric(self, name: str) -> Metric:
        """Reads a metric name.

        Raises:
            UserError: The task has no such metric.
        """

    def batches(self, data: Any, *, batch_size: int, device: torch.device, generator: torch.Generator) -> Batches:
        """Returns the training batches of a dataset."""

    def validate(self, method: Method, data: Any, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the validation split."""

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method on it."""


@runtime_checkable
class Checking(Protocol):
    """A task whose metrics cannot judge every method."""

    def check(self, method: Method, data: Any, metrics: Sequence[str]) -> None:
        """Refuses before training what scoring would refuse after it.

        Args:
            method: Freshly built.
            data: Train and validation.
            metrics: The selecting one first.

        Raises:
            UserError: A metric cannot judge this method, or has no value for this data.
        """
