"""Which rows of result tables differ from a reference row, with one correction over everything that is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.multiple import holm
from bench.analysis.paired import align_units, sign_flip_test, unit_scores
from bench.analysis.seeds import MIN_SEEDS
from bench.errors import UnknownNameError, UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.analysis.summary import Row, Table, TableKey
    from bench.store import Store

BETTER = "*"
WORSE = "†"
_MARGIN = 5
"""The smallest p-value of a test, corrected over everything, is to be so many times below the level."""
_UNITS = "over units; trained models as given"


class Mark(NamedTuple):
    """How a row's metric compares with the reference row's."""

    reference: str
    difference: float
    """Mean over units: the row minus the reference, on the seeds both have."""
    p_value: float
    """Two-sided, after Holm's correction."""
    better: bool | None
    """Whether the row is better; None when they are equal or the metric has no direction."""
    significant: bool
    """Whether the corrected p-value is below the level."""

    @property
    def about(self) -> str:
        """One line: what the mark says."""
        if not self.significant:
            return f"no significant difference from {self.reference} (p = {self.p_value:.2g})"
        word = "different from" if self.better is None else "better than" if self.better else "worse than"
        return f"{word} {self.reference} by {abs(self.difference):.4f} (p = {self.p_value:.2g})"

    def plain(self) -> dict[str, Any]:
        """Returns the fields that JSON adds to a score."""
        return {
            "reference": self.reference,
            "difference": self.difference,
            "p_corrected": self.p_value,
            "significant": self.significant,
        }


@dataclass(frozen=True)
class Significance:
    """Marks of several tables.

    Attributes:
        reference: Label of the method all others are compared with.
        alpha: Level.
        compared: How many comparisons the correction covers.
        marks: Table to (row, metric) to mark.
        left_out: Table to what could not be compared, and why.
    """

    reference: str
    alpha: float
    compared: int
    marks: Mapping[TableKey, Mapping[tuple[str, str], Mark]]
    left_out: Mapping[TableKey, tuple[str, ...]] = field(default_factory=dict)

    def notes_of(self, key: TableKey) -> tuple[str, ...]:
        """Returns the lines to print below a table."""
        notes = []
        if self.marks.get(key):
            notes.append(
                f"{BETTER} better, {WORSE} worse than {self.reference}: p < {self.alpha:g} (sign-flip test {_UNITS}; "
                f"Holm's correction over all {self.compared} comparisons)."
            )
        return (*notes, *self.left_out.get(key, ()))


def row_id(row: Row) -> str:
    """Returns what tells a row from all others: the fingerprint of its first run."""
    return row.fingerprints[row.seeds[0]]


def significance(
    store: Store, tables: Sequence[Table], reference: str, *, alpha: float = 0.05, resamples: int = 10_000
) -> Significance:
    """Compares every finished row with the reference row of its table, on every metric shown.

    A mark speaks about methods, so a row with fewer than three seeds gets none, whatever the number of units.

    Args:
        store: Where the unit scores are.
        tables: Result tables.
        reference: Label of a method, or of one of its rows.
        alpha: Level of the corrected p-values.
        resamples: Sign vectors per test, at least; more where so many comparisons would else leave no corrected p-value
            below the level.

    Raises:
        UnknownNameError: No table has a finished row of the reference.
    """
    done = [row for table in tables for row in table.rows if row.status == "done"]
    names = {name for row in done for name in (row.method, row.label)}
    if reference not in names:
        raise UnknownNameError(
            f"no table has a finished row of the reference {reference!r}.{did_you_mean(reference, names)}",
            hint=f"Finished: {', '.join(sorted(names)) or 'none'}.",
        )
    most = sum(len(table.rows) * len(table.metrics) for table in tables)
    resamples = max(resamples, math.ceil(_MARGIN * most / alpha))
    tests: list[tuple[TableKey, str, str, float, float, bool | None]] = []
    left_out: dict[TableKey, tuple[str, ...]] = {}
    for table in tables:
        if not any(reference in (row.method, row.label) and row.status == "done" for row in table.rows):
            left_out[table.key] = (f"Nothing is compared here: {reference} has no finished row.",)
            continue
        base = table.row(reference)
        reasons: dict[str, list[str]] = {}
        for row in table.rows:
            if row.status != "done" or row is base:
                continue
            try:
                tests += _tests(store, table, base, row, resamples)
            except UserError as error:
                reasons.setdefault(error.message.rstrip("."), []).append(row.label)
        left_out[table.key] = tuple(
            f"Not compared with {reference}: {', '.join(methods)} ({reason})." for reason, methods in reasons.items()
        )
    corrected = holm([test[4] for test in tests])
    marks: dict[TableKey, dict[tuple[str, str], Mark]] = {}
    for (key, name, metric, difference, _, better), p_value in zip(tests, corrected, strict=True):
        mark = Mark(reference, difference, p_value, better, p_value < alpha)
        marks.setdefault(key, {})[name, metric] = mark
    return Significance(reference, alpha, len(tests), marks, left_out)


def _tests(
    store: Store, table: Table, base: Row, row: Row, resamples: int
) -> list[tuple[TableKey, str, str, float, float, bool | None]]:
    common = set(base.seeds) & set(row.seeds)
    if len(common) < MIN_SEEDS:
        raise UserError(f"too few seeds: {len(common)} in common, {MIN_SEEDS} are needed")
    scores = unit_scores(store, base), unit_scores(store, row)
    found = []
    for metric in table.metrics:
        if metric not in row.scores or metric not in base.scores:
            continue
        if any(metric not in frame.columns for frames in scores for frame in frames.values()):
            # A score of the whole test set (FID, say) has no units to pair.
            continue
        paired = align_units(*scores, metric)
        differences = paired.b - paired.a
        difference = float(differences.mean())
        way = table.directions.get(metric)
        better = None if way is None or difference == 0 else (difference > 0) == (way == "maximize")
        p_value = sign_flip_test(differences, resamples=resamples)
        found.append((table.key, row_id(row), metric, difference, p_value, better))
    return found
