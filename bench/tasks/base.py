"""What a task is: which batches train a method, which protocol scores it, and what a score is averaged over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bench.data.dataset import Dataset
    from bench.methods.base import Method
    from bench.metrics.base import Metric


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcome of the one look at the test split.

    Attributes:
        units: (n,) ids of what the metrics are averaged over.
        scores: Metric name to (n,) float64 values, unrounded.
    """

    units: np.ndarray
    scores: Mapping[str, np.ndarray]

    @property
    def values(self) -> dict[str, float]:
        """Metric name to its mean over units."""
        return {name: float(np.mean(scores)) for name, scores in self.scores.items()}


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
