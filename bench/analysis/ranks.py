"""Which method is best over several datasets: ranks, Borda count, Friedman and Nemenyi, Wilcoxon.

A mean over cells that are missing is no mean. A method without a complete row on some dataset is therefore counted
(coverage) and not ranked, and the others are ranked among themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bench.analysis.multiple import holm
from bench.analysis.seeds import TooFew
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.summary import Table
    from bench.metrics.base import Direction


@dataclass(frozen=True)
class ScoreGrid:
    """One metric of all methods on all datasets.

    Attributes:
        metric: The metric.
        direction: Which way it is better.
        methods: Rows, sorted.
        datasets: Columns: the titles of the tables.
        values: Mean over seeds per method and dataset; None where the row is missing or incomplete.
    """

    metric: str
    direction: Direction
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]

    def coverage(self, method: str) -> tuple[int, int]:
        """Returns on how many datasets a method has a score, and how many there are."""
        row = self.values[self.methods.index(method)]
        return sum(value is not None for value in row), len(row)

    def complete(self) -> ScoreGrid:
        """Returns the methods that have a score on every dataset."""
        kept = [place for place, row in enumerate(self.values) if None not in row]
        names, values = tuple(self.methods[i] for i in kept), tuple(self.values[i] for i in kept)
        return ScoreGrid(self.metric, self.direction, names, self.datasets, values)

    def ranks(self) -> np.ndarray:
        """Returns ranks on every dataset, (methods, datasets), 1 for the best, equal scores sharing their mean rank.

        Raises:
            ValueError: A cell is missing; ask `complete()`.
        """
        if any(None in row for row in self.values):
            raise ValueError("ranks need every cell, but some are missing")
        scores = np.array(self.values, dtype=np.float64).reshape(len(self.methods), len(self.datasets))
        signed = scores if self.direction == "minimize" else -scores
        columns = [_mean_ranks(signed[:, place]) for place in range(len(self.datasets))]
        return np.stack(columns, axis=1) if columns else signed


class Rank(NamedTuple):
    """Where a method stands over all datasets."""

    method: str
    have: int
    """Datasets on which it has a complete row."""
    of: int
    """All datasets."""
    mean_rank: float | None
    """Mean of its ranks, 1 the best; None when a dataset is missing."""
    borda: float | None
    """Borda count: methods it beats, draws counting half, summed over datasets; None when a dataset is missing."""
    place: float | None
    """Rank by Borda count, equal counts sharing their mean rank; None when a dataset is missing."""
    wins: int
    """Datasets on which none is better; 0 when a dataset is missing."""


class CriticalDifference(NamedTuple):
    """What a critical-difference diagram shows (Demšar, JMLR 7, 2006)."""

    methods: tuple[str, ...]
    """Best mean rank first."""
    mean_ranks: tuple[float, ...]
    """One per method."""
    critical: float
    """Mean ranks closer than this are not told apart."""
    groups: tuple[tuple[int, int], ...]
    """First and last method of each bar: sets, as large as possible, that are not told apart."""
    statistic: float
    """Friedman's chi-squared."""
    p_value: float
    """p-value of the Iman-Davenport form of Friedman's test of "all methods are alike"."""
    alpha: float
    """Level of the critical difference."""
    datasets: int
    """Number of datasets."""


class DatasetTest(NamedTuple):
    """Two methods over several datasets."""

    a: str
    b: str
    wins: int
    """Datasets on which `b` is better."""
    losses: int
    """Datasets on which `a` is better."""
    p_value: float | TooFew
    """Two-sided p-value of Wilcoxon's signed-rank test."""
    corrected: float | TooFew
    """The same after Holm's correction over all pairs of the table."""


def score_grid(tables: Sequence[Table], metric: str) -> ScoreGrid:
    """Lays one metric out, methods by tables. Only rows without a missing seed count.

    Raises:
        UserError: No table has the metric, or its direction is not known.
    """
    from bench.errors import did_you_mean

    shown = [table for table in tables if any(metric in row.scores for row in table.rows)]
    known = dict.fromkeys(name for table in tables for name in table.metrics)
    if not shown:
        raise UserError(
            f"no table has metric {metric!r}.{did_you_mean(metric, known)}",
            hint=f"Tested: {', '.join(known) or 'none'}.",
        )
    direction = shown[0].directions.get(metric)
    if direction is None:
        raise UserError(f"nobody knows whether {metric!r} is better high or low, so it cannot be ranked.")
    columns: list[dict[str, float]] = []
    for table in shown:
        column = {}
        for name in dict.fromkeys(row.method for row in table.rows if row.status == "done"):
            row = table.row(name)
            score = row.scores.get(metric)
            if row.complete and score is not None and math.isfinite(score.mean):
                column[name] = score.mean
        columns.append(column)
    methods = tuple(sorted({row.method for table in shown for row in table.rows}))
    values = tuple(tuple(column.get(method) for column in columns) for method in methods)
    return ScoreGrid(metric, direction, methods, tuple(table.title for table in shown), values)


def ranking(grid: ScoreGrid) -> list[Rank]:
    """Ranks the methods that have every cell; the others follow without a rank, with what they cover."""
    full = grid.complete()
    ranks = full.ranks()
    count = len(full.methods)
    points = (count - ranks).sum(axis=1)
    places = _mean_ranks(-points)
    best = ranks.min(axis=0) if count else ranks
    ranked = {
        method: Rank(
            method,
            *grid.coverage(method),
            float(ranks[i].mean()),
            float(points[i]),
            float(places[i]),
            int((ranks[i] == best).sum()),
        )
        for i, method in enumerate(full.methods)
    }
    rows = [ranked.get(name, Rank(name, *grid.coverage(name), None, None, None, 0)) for name in grid.methods]
    return sorted(rows, key=lambda row: (row.place is None, row.place or 0.0, -row.have, row.method))


def critical_difference(grid: ScoreGrid, *, alpha: float = 0.05) -> CriticalDifference | TooFew:
    """Compares all complete methods over datasets by Friedman's test and Nemenyi's critical difference.

    `CD = q_α · sqrt(k (k + 1) / (6 N))` with k methods, N datasets and q_α the Studentized range quantile by √2
    (Demšar 2006, section 3.2.2). Where even the best and the worst possible mean rank are closer than that, the
    answer is that there are too few datasets.
    """
    full = grid.complete()
    count, datasets = len(full.methods), len(full.datasets)
    if count < 3:
        return TooFew(f"{count} methods have every cell; Friedman's test needs 3", count, 3)
    from scipy.stats import f as f_distribution
    from scipy.stats import studentized_range

    factor = float(studentized_range.ppf(1 - alpha, count, np.inf)) / math.sqrt(2) * math.sqrt(count * (count + 1) / 6)
    need = max(2, math.floor((factor / (count - 1)) ** 2) + 1)
    if datasets < need:
        plural = "" if datasets == 1 else "s"
        return TooFew(
            f"{datasets} dataset{plural}; with {count} methods no difference can show below {need}", datasets, need
        )
    ranks = full.ranks()
    means = ranks.mean(axis=1)
    # Friedman's statistic with its correction for ties (Conover, Practical Nonparametric Statistics, section 5.8).
    spread = datasets * ((means - (count + 1) / 2) ** 2).sum()
    total = ((ranks - (count + 1) / 2) ** 2).sum()
    chi = float(datasets * (count - 1) * spread / total) if total else 0.0
    remainder = datasets * (count - 1) - chi
    if remainder <= 1e-12:
        p_value = 0.0
    else:
        statistic = (datasets - 1) * chi / remainder
        p_value = float(f_distribution.sf(statistic, count - 1, (count - 1) * (datasets - 1)))
    order = np.argsort(means, kind="stable")
    critical = factor / math.sqrt(datasets)
    ordered = means[order]
    return CriticalDifference(
        tuple(full.methods[i] for i in order),
        tuple(float(value) for value in ordered),
        critical,
        _groups(ordered, critical),
        chi,
        p_value,
        alpha,
        datasets,
    )


def wilcoxon(a: Sequence[float], b: Sequence[float], *, alpha: float = 0.05) -> float | TooFew:
    """Returns the exact two-sided p-value of Wilcoxon's signed-rank test over datasets.

    Datasets without a difference are left out. The distribution is counted, ties included: the sum of the ranks of
    positive differences, over all signs.

    Args:
        a: Score of the first method on each dataset.
        b: Score of the second method on each dataset.
        alpha: The level that must be within reach: with n datasets no p-value is below 2 / 2^n.
    """
    from scipy.stats import rankdata

    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    differences = differences[differences != 0]
    need = math.ceil(math.log2(2 / alpha))
    if differences.size < need:
        plural = "" if differences.size == 1 else "s"
        return TooFew(
            f"{differences.size} dataset{plural} on which they differ; {need} are needed for a p-value of {alpha:g}",
            differences.size,
            need,
        )
    # Twice the ranks are whole numbers even where ties share one.
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(int)
    observed = int(doubled[differences > 0].sum())
    total = int(doubled.sum())
    counts = np.zeros(total + 1)
    counts[0] = 1.0
    for rank in doubled:
        counts[rank:] = counts[rank:] + counts[: total + 1 - rank]
        counts /= 2
    tail = min(observed, total - observed)
    # Each of the steps halved the first count too; what is left are probabilities.
    return min(1.0, 2 * float(counts[: tail + 1].sum()))


def pairs_over_datasets(grid: ScoreGrid, *, alpha: float = 0.05) -> list[DatasetTest]:
    """Tests every pair of complete methods over datasets, with Holm's correction over all of them."""
    full = grid.complete()
    sign = -1.0 if full.direction == "minimize" else 1.0
    scores = {
        name: [sign * value for value in row if value is not None]
        for name, row in zip(full.methods, full.values, strict=True)
    }
    tests = []
    for a, b in combinations(full.methods, 2):
        gaps = [second - first for first, second in zip(scores[a], scores[b], strict=True)]
        wins, losses = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
        p_value = wilcoxon(scores[a], scores[b], alpha=alpha)
        tests.append(DatasetTest(a, b, wins, losses, p_value, p_value))
    tested = [test for test in tests if not isinstance(test.p_value, TooFew)]
    corrected = dict(zip(map(id, tested), holm([_number(test.p_value) for test in tested]), strict=True))
    return [test._replace(corrected=corrected.get(id(test), test.corrected)) for test in tests]


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Returns ranks, 1 for the smallest, equal values sharing their mean rank."""
    # Not `scipy.stats.rankdata`: its import takes longer than the leaderboard's first page.
    return pl.Series(values).rank("average").to_numpy().astype(np.float64)


def _number(value: float | TooFew) -> float:
    assert not isinstance(value, TooFew)  # noqa: S101  (the caller has left those out)
    return value


def _groups(means: np.ndarray, critical: float) -> tuple[tuple[int, int], ...]:
    """Returns the longest runs of two or more sorted mean ranks that span less than the critical difference."""
    bars: list[tuple[int, int]] = []
    for first in range(len(means)):
        last = int(np.searchsorted(means, means[first] + critical, side="left")) - 1
        if last > first and (not bars or last > bars[-1][1]):
            bars.append((first, last))
    return tuple(bars)
