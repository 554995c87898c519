"""The gate: did a change make a method worse? Each cell of a spec against a baseline kept in git.

What counts as worse is measured, not guessed. The baseline holds mean and standard deviation over its seeds; a new mean
of n' seeds is compared with the prediction interval for the mean of n' further runs of the same code,
`t_{n-1, 1-α/m} · s · sqrt(1/n + 1/n')`, one-sided, with the level α shared by all m values of the baseline
(Bonferroni). The baseline's s alone is used: a fault may also change the noise. Below a floor relative to the mean,
which covers other processors and libraries, nothing counts.

A value that cannot be judged (missing on one side, other data, other effort, a run that failed, too few seeds to know
the noise) is unknown, and unknown is not a pass.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.analysis.baseline import key_of, measure
from bench.analysis.seeds import MIN_SEEDS
from bench.analysis.summary import metric_direction
from bench.errors import EXIT_FAILED, EXIT_GATE, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from bench.analysis.baseline import Baseline, CellBaseline, CellKey, MetricBaseline, Rule
    from bench.metrics.base import Direction
    from bench.store.records import RunRecord

Outcome = Literal["pass", "regress", "improve", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("regress", "unknown", "improve", "pass")
"""Worst first."""
_TINY = 1e-9
"""Scores closer than this are equal, whatever the mean: rounding of a sum."""


class Verdict(NamedTuple):
    """What the gate says about one metric of one cell."""

    key: CellKey
    metric: str
    outcome: Outcome
    reason: str
    """One sentence."""
    baseline: float | None
    """Mean of the baseline."""
    value: float | None
    """Mean of the new runs."""
    tolerance: float | None
    """How much worse it may be; None where that is not known."""
    n_baseline: int
    """Seeds of the baseline."""
    n: int
    """Seeds of the new runs."""

    @property
    def change(self) -> float | None:
        """New mean minus the baseline's."""
        return None if self.value is None or self.baseline is None else self.value - self.baseline


@dataclass(frozen=True)
class GateReport:
    """All verdicts of a gate.

    Attributes:
        name: The spec's name.
        verdicts: One per metric and cell, in the order of their names.
        rule: How tolerances were set.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    rule: Rule

    @property
    def counts(self) -> dict[Outcome, int]:
        """Outcome to number of verdicts, all four outcomes."""
        found = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def exit_code(self) -> int:
        """3 when something regressed; else 1 when something is unknown or there was nothing to judge; else 0."""
        counts = self.counts
        if counts["regress"]:
            return EXIT_GATE
        return EXIT_FAILED if counts["unknown"] or not self.verdicts else EXIT_OK


def judge(
    baseline: Baseline,
    runs: Sequence[RunRecord],
    units: Callable[[str], pl.DataFrame | None],
    *,
    metrics: Sequence[str],
    direction: Callable[[str], Direction | None] = metric_direction,
) -> GateReport:
    """Compares the runs of a spec with its baseline.

    Args:
        baseline: What is expected.
        runs: All runs of the spec, those that failed too.
        units: Fingerprint to unit scores.
        metrics: The spec's metrics.
        direction: Which way a metric is better.
    """
    expected = {cell.key: cell for cell in baseline.cells}
    names = sorted({*metrics, *(name for cell in baseline.cells for name in cell.metrics)})
    measured = {cell.key: cell for cell in measure(runs, units, names)}
    unfinished: dict[CellKey, list[RunRecord]] = {}
    for run in runs:
        if run.status != "done":
            unfinished.setdefault(key_of(run), []).append(run)
    quantiles = _Quantiles(baseline)
    verdicts: list[Verdict] = []
    for key in sorted({*expected, *measured, *unfinished}):
        cell, new = expected.get(key), measured.get(key)
        if cell is None:
            verdicts.append(_unknown(key, "*", "the baseline lacks this cell: `bench gate --update` adds it"))
            continue
        shared = _reason(cell, new, unfinished.get(key, ()))
        for metric, old in cell.metrics.items():
            now = new.metrics.get(metric) if new is not None else None
            if shared is not None or now is None:
                reason = shared or "the new runs have no finite score of this metric"
                verdicts.append(_unknown(key, metric, reason, old, now))
            else:
                verdicts.append(_compare(key, metric, old, now, direction(metric), quantiles, baseline.rule))
        if new is not None and shared is None:
            extra = [name for name in new.metrics if name in metrics and name not in cell.metrics]
            lacks = "the baseline lacks this metric: `bench gate --update` adds it"
            verdicts += [_unknown(key, name, lacks, None, new.metrics[name]) for name in extra]
    return GateReport(baseline.spec, tuple(verdicts), baseline.rule)


def tolerance(old: MetricBaseline, seeds: int, rule: Rule, quantile: float) -> float:
    """Returns how much worse the mean of some new seeds may be.

    Args:
        old: The baseline's values.
        seeds: Number of new seeds.
        rule: The floor.
        quantile: Of Student's t with n - 1 degrees of freedom.
    """
    noise = quantile * old.sd * math.sqrt(1 / old.n + 1 / seeds)
    return max(noise, rule.floor * abs(old.mean), _TINY)


def tolerance_of(baseline: Baseline, old: MetricBaseline, seeds: int) -> float | None:
    """Returns how much worse than `old`, a value of `baseline`, the mean of some new seeds may be.

    None where the baseline has too few seeds to know the noise.
    """
    return tolerance(old, seeds, baseline.rule, _Quantiles(baseline)(old.n)) if old.n >= MIN_SEEDS else None


def insensitive(baseline: Baseline, seeds: int, *, share: float = 0.25) -> list[tuple[CellKey, str, float]]:
    """Returns the values whose tolerance is more than a share of their mean: a gate that can hardly ever close.

    Args:
        baseline: A baseline.
        seeds: Seeds that a run of the gate has.
        share: Of the mean.
    """
    quantiles = _Quantiles(baseline)
    wide = []
    for cell in baseline.cells:
        for name, old in cell.metrics.items():
            if old.n < MIN_SEEDS:
                wide.append((cell.key, name, math.inf))
                continue
            allowed = tolerance(old, seeds, baseline.rule, quantiles(old.n))
            if allowed > share * abs(old.mean):
                wide.append((cell.key, name, allowed))
    return wide


class _Quantiles:
    """Student's t at the level that each of a baseline's values gets."""

    def __init__(self, baseline: Baseline) -> None:
        self._level = baseline.rule.alpha / max(1, sum(len(cell.metrics) for cell in baseline.cells))

    def __call__(self, n: int) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(n - 1, 1 - self._level))


def _reason(cell: CellBaseline, new: CellBaseline | None, unfinished: Sequence[RunRecord]) -> str | None:
    """Says why a cell as a whole cannot be judged; None when it can."""
    if unfinished:
        run = unfinished[0]
        text = (run.reason or run.error or "").strip().partition("\n")[0]
        return f"seed {run.seed}: {run.status}{': ' if text else ''}{text}"
    if new is None:
        return "the new runs lack this cell"
    if new.dataset_digest != cell.dataset_digest:
        return f"other data: {cell.dataset_digest[:8]} in the baseline, {new.dataset_digest[:8]} now"
    if new.effort != cell.effort:
        return f"other effort: {cell.effort!r} in the baseline, {new.effort!r} now"
    if new.units != cell.units:
        return "other units were tested than in the baseline"
    return None


def _compare(
    key: CellKey,
    metric: str,
    old: MetricBaseline,
    new: MetricBaseline,
    direction: Direction | None,
    quantiles: _Quantiles,
    rule: Rule,
) -> Verdict:
    if direction is None:
        return _unknown(key, metric, "nobody knows whether this metric is better high or low", old, new)
    if _same(old, new):
        return _verdict(key, metric, "pass", "the same scores on every unit", old, new, 0.0)
    if old.n < MIN_SEEDS:
        plural = "" if old.n == 1 else "s"
        reason = f"too few seeds: the baseline has {old.n} seed{plural}, {MIN_SEEDS} are needed to know the noise"
        return _unknown(key, metric, reason, old, new)
    allowed = tolerance(old, new.n, rule, quantiles(old.n))
    gain = new.mean - old.mean if direction == "maximize" else old.mean - new.mean
    if gain < -allowed:
        return _verdict(key, metric, "regress", "worse by more than the noise", old, new, allowed)
    if gain > allowed:
        return _verdict(key, metric, "improve", "better by more than the noise", old, new, allowed)
    return _verdict(key, metric, "pass", "within the noise", old, new, allowed)


def _same(old: MetricBaseline, new: MetricBaseline) -> bool:
    """Returns whether the new runs scored every unit as the baseline's seeds of the same number did.

    The means must agree too: a fault in how scores are averaged leaves every unit as it was.
    """
    if not new.digests or not all(digest and old.digests.get(s) == digest for s, digest in new.digests.items()):
        return False
    rounding = _TINY * max(1.0, abs(old.mean))
    if set(new.digests) == set(old.digests):
        return abs(new.mean - old.mean) <= rounding
    # The mean of some of n values is no farther from the mean of all than one of them can be (Samuelson 1968).
    return abs(new.mean - old.mean) <= (old.sd or 0.0) * (old.n - 1) / math.sqrt(old.n) + rounding


def _verdict(
    key: CellKey,
    metric: str,
    outcome: Outcome,
    reason: str,
    old: MetricBaseline | None,
    new: MetricBaseline | None,
    allowed: float | None,
) -> Verdict:
    return Verdict(
        key,
        metric,
        outcome,
        reason,
        old.mean if old else None,
        new.mean if new else None,
        allowed,
        old.n if old else 0,
        new.n if new else 0,
    )


def _unknown(
    key: CellKey, metric: str, reason: str, old: MetricBaseline | None = None, new: MetricBaseline | None = None
) -> Verdict:
    return _verdict(key, metric, "unknown", reason, old, new, None)
