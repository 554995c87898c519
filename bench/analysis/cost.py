"""What a row costs, beside how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.analysis.summary import frozen_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.summary import Row, Table
    from bench.metrics.base import Direction
    from bench.store.records import RunRecord

CostName = Literal["seconds", "memory_bytes", "parameters"]


class Cost(NamedTuple):
    """What one run of a row takes, mean over its seeds; None where no run says."""

    seconds: float | None
    """Wall time of a run, searching not included."""
    memory_bytes: float | None
    """Peak memory."""
    parameters: float | None
    """Trainable parameters."""
    frozen_parameters: float | None = None
    """Those that training leaves as they are."""


class Point(NamedTuple):
    """A row in the plane of cost and quality."""

    row: Row
    cost: float | None
    quality: float
    best: bool
    """On the Pareto front: none is as good for less, or better for as much. False where the cost is unknown."""


def parameters_text(run: RunRecord) -> str | None:
    """Puts a run's parameters into words: "1,200 learned, 18,800 frozen (6.0 % learned)"; None where it has none.

    What is frozen is what a pretrained part brings and training leaves as it is.
    """
    learned, frozen = run.parameters, frozen_parameters(run)
    if not frozen:
        return f"{learned:,}" if learned else None
    return f"{learned:,} learned, {frozen:,} frozen ({100 * learned / (learned + frozen):.1f} % learned)"


def cost_of(row: Row) -> Cost:
    """Returns what one run of a row takes."""
    return Cost(row.seconds, row.memory_bytes, row.parameters, row.frozen_parameters)


def tradeoff(table: Table, metric: str, cost: CostName = "seconds") -> list[Point]:
    """Places the complete rows of a table in the plane of a cost and a metric; marks the Pareto front.

    Returns:
        Points, cheapest first, those of unknown cost last. No metric direction, no front: nothing is marked.
    """
    scored = [
        (row, getattr(cost_of(row), cost), row.scores[metric].mean)
        for row in table.rows
        if row.complete and metric in row.scores and row.scores[metric].mean == row.scores[metric].mean
    ]
    known = [(price, quality) for _, price, quality in scored if price is not None]
    direction = table.directions.get(metric)
    marks = dict(zip(known, pareto_front(known, direction), strict=True)) if direction is not None else {}
    points = [Point(row, price, quality, marks.get((price, quality), False)) for row, price, quality in scored]
    return sorted(points, key=lambda point: (point.cost is None, point.cost or 0.0, point.row.method))


def pareto_front(points: Sequence[tuple[float, float]], direction: Direction) -> list[bool]:
    """Returns which of some (cost, quality) pairs no other pair dominates; equal pairs do not dominate each other."""
    sign = 1.0 if direction == "maximize" else -1.0
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1]))
    front = [False] * len(points)
    best: tuple[float, float] | None = None
    for index in order:
        cost, quality = points[index][0], sign * points[index][1]
        # Cheapest first: a point is on the front when it is better than all cheaper ones, or the twin of one that is.
        if best is None or quality > best[1] or (cost, quality) == best:
            front[index] = True
            best = (cost, quality)
    return front
