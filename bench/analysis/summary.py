"""From runs to the rows of result tables.

A table holds one (task, protocol, dataset, effort): two protocols, datasets or budgets never share one. A row holds the
seeds of one method with one source and one configuration. A mean is over cells that exist: a cell that failed is a row
of its own with its status, and a metric that one of the seeds lacks has no mean.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.analysis.intervals import t_interval
from bench.errors import UserError
from bench.metrics.base import family_name
from bench.metrics.registry import METRICS
from bench.store.records import is_current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from bench.metrics.base import Direction
    from bench.store.counts import TrialCounts
    from bench.store.records import RunRecord, Status


@dataclass(frozen=True)
class Score:
    """One metric of one row.

    Attributes:
        mean: Mean over the row's seeds, full precision.
        half_width: Half the 95 % interval; None means too few seeds.
        values: One value per seed, in the order of the row's seeds.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """The cells of one method that ended alike.

    Attributes:
        method: Label: `mgcn`, `befa[mgcn]`.
        detail: What sets it apart from other rows of the same method in the table; "" when there is none.
        status: How its cells ended.
        reason: Why they did not finish.
        seeds: Their seeds.
        planned: Seeds of this method that are on record or were asked for; more than `seeds` when some are missing.
        scores: Metric to score; empty unless `status` is "done".
        best_epoch: Median over seeds.
        seconds_per_epoch: Training time per epoch, mean over seeds.
        seconds: Whole time of a run, mean over seeds.
        trials: Trials of the search; None when nothing was searched.
        pruned: Those of them that were pruned.
        generated: Whether the data was generated.
        older: Whether the method's source has changed since; None when that is not known.
        method_digest: Digest of the source it was made by.
        fingerprints: Seed to fingerprint.
        created: When the newest of its runs ended (UTC).
        memory_bytes: Peak memory, mean over seeds.
        parameters: Trainable parameters, mean over seeds; 0 for a closed form.
        frozen_parameters: Those that training leaves as they are, mean over seeds.
    """

    method: str
    detail: str
    status: Status
    reason: str | None
    seeds: tuple[int, ...]
    planned: tuple[int, ...]
    scores: Mapping[str, Score]
    best_epoch: float | None
    seconds_per_epoch: float | None
    seconds: float | None
    trials: int | None
    pruned: int | None
    generated: bool
    older: bool | None
    method_digest: str
    fingerprints: Mapping[int, str]
    created: datetime
    memory_bytes: float | None = None
    parameters: float | None = None
    frozen_parameters: float | None = None

    @property
    def label(self) -> str:
        """The method, with what sets the row apart from others of the same method: `dualvgr (units=4)`."""
        return f"{self.method} ({self.detail})" if self.detail else self.method

    @property
    def complete(self) -> bool:
        """Whether no planned seed is missing."""
        return set(self.planned) <= set(self.seeds)


@dataclass(frozen=True)
class TableKey:
    """What all rows of a table share."""

    task: str
    protocol: str
    dataset: str
    budget: str
    effort: str
    """Trials, epochs and patience in words: two specs may give one budget name two meanings."""
    dataset_digest: str

    @classmethod
    def of(cls, run: RunRecord) -> TableKey:
        """Returns the key of the table that a run belongs to."""
        effort = effort_text(run.budget_detail)
        return cls(run.task, run.protocol, run.dataset, run.budget, effort, run.dataset_digest)


@dataclass(frozen=True)
class Table:
    """One result table.

    Attributes:
        key: What its rows share.
        metrics: Columns, in order.
        directions: Metric to its direction; a metric nobody knows has none.
        rows: Rows, best first by `primary`, then those without numbers.
        primary: The metric the rows are ordered by: the selection metric where it was tested.
        generated: Whether the data was generated.
        version: Short digest of the data, when another table shows other data of the same name; else "".
    """

    key: TableKey
    metrics: tuple[str, ...]
    directions: Mapping[str, Direction]
    rows: tuple[Row, ...]
    primary: str | None
    generated: bool
    version: str = ""

    @property
    def title(self) -> str:
        """One line of plain text: `recommendation · baby (mmrec-v1) · budget full: 20 trials, 1000 epochs`."""
        data = f"{self.key.dataset} ({self.key.protocol}{', generated data' if self.generated else ''})"
        version = f" · data {self.version}" if self.version else ""
        effort = f": {self.key.effort}" if self.key.effort else ""
        return f"{self.key.task} · {data}{version} · budget {self.key.budget}{effort}"

    def row(self, name: str) -> Row:
        """Returns a finished row.

        Args:
            name: A row's label. A method's bare name is the label of its first row with present source (else with the
                newest); settings that were tried later are told by where they differ from it.

        Raises:
            UserError: The table has no finished row of it.
        """
        done = [row for row in self.rows if row.status == "done"]
        found = [row for row in done if row.label == name] or [row for row in done if row.method == name]
        if not found:
            known = ", ".join(dict.fromkeys(row.label for row in done))
            raise UserError(f"{self.title} has no finished row of {name!r}; it has {known or 'none'}.")
        return max(found, key=lambda row: (not row.older, row.created))

    def names(self) -> list[str]:
        """Returns what finished rows are called, best first: a method, or the labels of its rows of present code."""
        done = [row for row in self.rows if row.status == "done"]
        present = Counter(row.method for row in done if not row.older)
        spoken = [row for row in done if not row.older or not present[row.method]]
        return list(dict.fromkeys(row.label if present[row.method] > 1 else row.method for row in spoken))

    def ranking(self, metric: str) -> list[float]:
        """Returns the distinct means of a metric over complete rows, best first.

        [] when it has no direction, or where all of several rows agree: what is the same for every method (the score of
        the unedited images, say) has no best.
        """
        if metric not in self.directions:
            return []
        scored = [row.scores[metric].mean for row in self.rows if metric in row.scores and row.complete]
        means = {mean for mean in scored if mean == mean}
        if len(means) == 1 and len(scored) > 1:
            return []
        return sorted(means, reverse=self.directions[metric] == "maximize")


def metric_direction(name: str) -> Direction | None:
    """Returns which way a metric is better; None when no metric of that name is known any more."""
    family = family_name(name)
    return METRICS.get(family).direction if family in METRICS else None


def summarise(
    runs: Iterable[RunRecord],
    *,
    trials: Mapping[str, TrialCounts] | None = None,
    metrics: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    current: Mapping[str, str | None] | None = None,
    direction: Callable[[str], Direction | None] = metric_direction,
) -> list[Table]:
    """Makes tables of runs.

    Args:
        runs: Stored runs of any kind.
        trials: Study fingerprint to its trials (`Store.trial_counts`).
        metrics: Metrics to show, in order, where a table has them; None shows all, in the order of the specs.
        order: Method labels in the order wanted for rows; None orders by the primary metric.
        current: Method label to the digest of its source today (None: no such method any more). Labels that are not in
            it are not marked.
        direction: Which way a metric is better.

    Returns:
        Tables sorted by task, dataset, protocol and budget.
    """
    groups: dict[TableKey, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(TableKey.of(run), []).append(run)
    _attach_dataless(groups)
    digests: dict[tuple[str, str], set[str]] = {}
    for key in groups:
        digests.setdefault((key.dataset, key.protocol), set()).add(key.dataset_digest)
    tables = []
    for key in sorted(groups, key=lambda k: (k.task, k.dataset, k.protocol, k.budget, k.effort, k.dataset_digest)):
        table = _table(key, groups[key], trials or {}, metrics, order, current or {}, direction)
        ambiguous = len(digests[key.dataset, key.protocol]) > 1
        tables.append(replace(table, version=key.dataset_digest[:8] if ambiguous else ""))
    return tables


def effort_text(detail: Mapping[str, Any]) -> str:
    """Puts a budget into words: "20 trials, 1000 epochs, patience 20". Seeds and timeouts are no part of it."""
    parts = []
    if detail.get("trials") is not None:
        parts.append(_count(detail["trials"], "trial"))
    if detail.get("trial_epochs") is not None:
        parts.append(f"{_count(detail['trial_epochs'], 'epoch')} per trial")
    if detail.get("epochs") is not None:
        parts.append(_count(detail["epochs"], "epoch"))
    if "patience" in detail:
        parts.append("no early stop" if detail["patience"] is None else f"patience {detail['patience']}")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _attach_dataless(groups: dict[TableKey, list[RunRecord]]) -> None:
    """Moves cells whose data could not be opened (no digest) to the newest table of the same name."""
    for key in [key for key in groups if not key.dataset_digest]:
        alike = [other for other in groups if other.dataset_digest and replace(other, dataset_digest="") == key]
        if alike:
            newest = max(alike, key=lambda other: max(run.created for run in groups[other]))
            groups[newest] += groups.pop(key)


def _table(
    key: TableKey,
    runs: list[RunRecord],
    trials: Mapping[str, TrialCounts],
    metrics: Sequence[str] | None,
    order: Sequence[str] | None,
    current: Mapping[str, str | None],
    direction: Callable[[str], Direction | None],
) -> Table:
    variants: dict[tuple[str, str], list[RunRecord]] = {}
    for run in runs:
        variants.setdefault((run.method, _variant(run)), []).append(run)
    details = _details(variants, current)
    rows = [row for name, group in variants.items() for row in _rows(group, details[name], trials, current)]
    tested = tuple(dict.fromkeys(name for run in runs for name in run.metrics))
    shown = tested
    if metrics is not None:
        # A spec with several tasks asks for metrics that only one of them knows; where nothing was scored, what would
        # have selected is known to be of this one.
        selecting = {run.select for run in runs}
        shown = tuple([n for n in metrics if n in tested] or [n for n in metrics if n in selecting] or metrics)
    known = {name: way for name in tested if (way := direction(name)) is not None}
    selected = [run.select for run in runs if run.select in tested]
    primary = next(iter([*selected, *shown]), None)
    rows.sort(key=lambda row: _position(row, primary, known, order))
    return Table(key, shown, known, tuple(rows), primary, any(run.generated for run in runs))


def _variant(run: RunRecord) -> str:
    """Returns what runs must share to be seeds of one row."""
    identity = {name: value for name, value in run.identity.items() if name != "seed"}
    return json.dumps([run.method_digest, identity], sort_keys=True, default=str)


def _rows(
    runs: list[RunRecord], detail: str, trials: Mapping[str, TrialCounts], current: Mapping[str, str | None]
) -> list[Row]:
    newest = {run.seed: run for run in sorted(runs, key=lambda run: run.created)}
    asked = {seed for run in runs for seed in run.budget_detail.get("seeds") or ()}
    planned = tuple(sorted(asked | set(newest)))
    outcomes: dict[tuple[Status, str | None], list[RunRecord]] = {}
    for seed in sorted(newest):
        run = newest[seed]
        outcomes.setdefault((run.status, None if run.status == "done" else _reason(run)), []).append(run)
    rows = []
    for (status, reason), group in outcomes.items():
        last = max(group, key=lambda run: run.created)
        searched = trials.get(last.study) if last.study is not None else None
        older = None
        if last.method in current:
            older = not is_current(last, current[last.method])
        paces = [run.seconds["train"] / run.epochs for run in group if run.epochs and "train" in run.seconds]
        totals = [run.seconds["total"] for run in group if "total" in run.seconds]
        peaks = [run.peak_memory_bytes for run in group if run.peak_memory_bytes is not None]
        epochs = [run.best_epoch for run in group if run.best_epoch is not None]
        rows.append(
            Row(
                method=last.method,
                detail=detail,
                status=status,
                reason=reason,
                seeds=tuple(run.seed for run in group),
                planned=planned,
                scores=_scores(group) if status == "done" else {},
                best_epoch=statistics.median(epochs) if epochs else None,
                seconds_per_epoch=statistics.fmean(paces) if paces else None,
                seconds=statistics.fmean(totals) if totals else None,
                trials=None if searched is None else searched.total,
                pruned=None if searched is None else searched.pruned,
                generated=last.generated,
                older=older,
                method_digest=last.method_digest,
                fingerprints={run.seed: run.fingerprint for run in group},
                created=last.created,
                memory_bytes=statistics.fmean(peaks) if peaks else None,
                parameters=statistics.fmean(run.parameters for run in group) if status == "done" else None,
                frozen_parameters=statistics.fmean(map(frozen_parameters, group)) if status == "done" else None,
            )
        )
    return rows


def frozen_parameters(run: RunRecord) -> int:
    """Returns how many parameters a run's method has that training leaves as they are."""
    return int(run.notes.get("frozen_parameters", 0))


def _reason(run: RunRecord) -> str | None:
    text = run.reason or run.error
    return text.strip().splitlines()[0] if text and text.strip() else None


def _scores(runs: list[RunRecord]) -> dict[str, Score]:
    scores = {}
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        if all(name in run.metrics for run in runs):
            values = tuple(run.metrics[name] for run in runs)
            interval = t_interval(values)
            scores[name] = Score(interval.mean, interval.half_width, values)
    return scores


def _details(
    variants: Mapping[tuple[str, str], list[RunRecord]], current: Mapping[str, str | None]
) -> dict[tuple[str, str], str]:
    """Says what sets variants of one method apart: where their identities differ from that which speaks for it."""
    details = dict.fromkeys(variants, "")
    for method in {name for name, _ in variants}:
        alike = {name: runs for name, runs in variants.items() if name[0] == method}
        base = _speaking(alike, current.get(method))
        usual = dict(_flat(variants[base][0].identity))
        for name, runs in alike.items():
            if name == base:
                continue
            flat = dict(_flat(runs[0].identity))
            fields = [path for path in {**usual, **flat} if path.split(".")[0] not in _UNSPOKEN]
            apart = [path for path in fields if str(flat.get(path)) != str(usual.get(path))]
            said = [f"{path.removeprefix('config.')}={flat.get(path, '–')}" for path in apart]
            if not said or runs[0].method_digest != variants[base][0].method_digest:
                said.append(f"source {runs[0].method_digest[:7]}")
            details[name] = ", ".join(said)
    return details


def _speaking(alike: Mapping[tuple[str, str], list[RunRecord]], present: str | None) -> tuple[str, str]:
    """Returns the variant that a method's bare name stands for, see `Table.row`; finished ones come before others."""
    done = {name: [run for run in runs if run.status == "done"] for name, runs in alike.items()}
    found = {name: runs for name, runs in done.items() if runs} or dict(alike)

    def newest(name: tuple[str, str]) -> tuple[bool, datetime]:
        last = max(found[name], key=lambda run: run.created)
        return present is not None and is_current(last, present), last.created

    source = found[max(found, key=newest)][0].method_digest
    same = [name for name, runs in found.items() if runs[0].method_digest == source]
    return min(same, key=lambda name: min(run.created for run in found[name]))


_UNSPOKEN = frozenset({"seed", "method", "method_digest", "dataset_digest", "views"})


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, inner in value.items():
        pairs += _flat(inner, f"{prefix}{name}.") if isinstance(inner, dict) else [(f"{prefix}{name}", inner)]
    return pairs


def _position(
    row: Row, primary: str | None, directions: Mapping[str, Direction], order: Sequence[str] | None
) -> tuple[Any, ...]:
    score = row.scores.get(primary) if primary is not None else None
    ranked = score is not None and score.mean == score.mean
    value = 0.0
    if score is not None and ranked:
        value = score.mean if directions.get(primary or "") == "minimize" else -score.mean
    listed = order.index(row.method) if order is not None and row.method in order else len(order or ())
    return (listed, not ranked, value, row.method, row.detail, row.status, row.seeds)
