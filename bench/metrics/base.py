"""What a metric is: a name, a direction, and what it is averaged over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

Direction = Literal["maximize", "minimize"]


class Metric(NamedTuple):
    """A metric as a spec names it."""

    name: str
    """As a spec names it, e.g. `recall@20`; what it may leave out is filled in."""
    direction: Direction
    """Which way is better."""
    summary: str
    """One sentence: what it measures."""
    checkpoint: str | None = None
    """The pretrained network it looks through, where that is read from a disk; `name` is then `family[checkpoint…]`,
    and a stored run has the name and the digest of the network's content in its place."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the targets of each user landed, sorted by user and rank.

    Attributes:
        rows: (targets,) int64 user of each target, 0..n-1.
        ranks: (targets,) float64 rank from 1 among all candidates; a huge value for a target that cannot be hit.
        places: (targets,) int64 place of the target among the user's own targets, from 1.
        targets: (n,) int64 number of targets of each user, at least 1.
    """

    rows: np.ndarray
    ranks: np.ndarray
    places: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class MetricFamily:
    """Metrics that share a definition and differ in a parameter.

    Attributes:
        name: The part before `@` or `[`.
        summary: What it measures, for `bench metrics`.
        form: How it is written, e.g. `recall@K`, `top1` or `accuracy[TYPE]`; by default the name alone.
        direction: Which way is better.
    """

    name: str
    summary: str
    form: str = field(default="", kw_only=True)
    direction: Direction = field(default="maximize", kw_only=True)


@dataclass(frozen=True)
class RankingMetric(MetricFamily):
    """A family of ranking metrics with a cut-off, such as recall@K.

    Attributes:
        compute: From where the targets landed and the cut-off K to (users,) float64 values.
    """

    compute: Callable[[Hits, int], np.ndarray]


def family_name(metric: str) -> str:
    """Returns the part of a metric's name before `@` or `[`: `recall@20` and `top1[viewpoint]` give recall and top1."""
    return metric.partition("[")[0].partition("@")[0]
