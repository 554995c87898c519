"""The plan: what a spec asks for, what the store already has, what is left to do, and roughly how long that takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bench.data.dataset import open_dataset
from bench.data.registry import resolve_dataset
from bench.errors import UserError
from bench.execution.checkpoints import find_pretrained
from bench.execution.entries import Entry, missing_floors, resolve, twin_warning, unfit, view_pipelines
from bench.execution.outcomes import kept_trials
from bench.execution.slots import detect_gpus, resolve_device
from bench.methods.registry import METHODS
from bench.spec.expand import WRAPPED, expand
from bench.spec.fingerprint import explain_difference, fingerprint
from bench.tasks.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.spec.expand import GridEntry
    from bench.spec.loader import LoadedSpec
    from bench.spec.models import Budget
    from bench.store import Store
    from bench.store.records import RunRecord

CellStatus = Literal["todo", "older", "stored", "skipped", "failed"]
STATE_WORDS = {"todo": "to do", "older": "to do", "stored": "stored", "skipped": "skipped", "failed": "failed"}
"""How a person reads the status of a planned cell."""
FINAL = ("done", "diverged")
"""Statuses of a stored run that a repetition would only confirm."""

_SECONDS_PER_ROW = 2e-5
_SECONDS_PER_SCORE = 5e-9
_SECONDS_PER_EXAMPLE = 4e-3
"""An image or a question, forth and back through a small network on one core."""
_SECONDS_PER_CELL = 1e-8
_START_SECONDS = 4.0
_TYPICAL_EPOCHS = 60
"""With early stopping few trainings of a long budget are longer than this; only a guess depends on it."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One entry of the grid with a seed.

    Attributes:
        entry: What it belongs to.
        seed: Its seed.
        fingerprint: Its identity, hashed.
        status: `todo`; `older` (to do, although the store has a result of an earlier identity); `stored`; `skipped`;
            `failed` (cannot run).
        reason: Why it is skipped or cannot run, or why what is stored does not do.
        changed: The fields on which the newest stored result of the same name differs.
        stored: The stored run that answers the cell, or the older one.
    """

    entry: Entry
    seed: int
    fingerprint: str
    status: CellStatus
    reason: str | None = None
    changed: tuple[str, ...] = ()
    stored: RunRecord | None = None

    @property
    def open(self) -> bool:
        """Whether there is something to run."""
        return self.status in ("todo", "older")


class Estimate(NamedTuple):
    """Seconds of work on one slot. Always an estimate."""

    seconds: float
    basis: Literal["stored runs", "guess"]
    """`guess`: from the sizes of the data alone."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything `bench run` is about to do.

    Attributes:
        loaded: The spec.
        budget: The effort, seeds resolved.
        budget_reason: Why this budget.
        entries: The grid without seeds, in the order of the spec.
        cells: The grid.
        trials_stored: Study fingerprint to the number of its trials in the store.
        estimates: Study fingerprint to the work left for it.
        warnings: What the user should know before it starts.
        fresh: Whether stored results are to be computed anew.
    """

    loaded: LoadedSpec
    budget: Budget
    budget_reason: str
    entries: tuple[Entry, ...]
    cells: tuple[Cell, ...]
    trials_stored: dict[str, int]
    estimates: dict[str, Estimate]
    warnings: tuple[str, ...]
    fresh: bool

    @property
    def resolved(self) -> dict[str, Any]:
        """The spec after `extends` and defaults, with the budget that was chosen."""
        spec = self.loaded.spec.model_dump(mode="json")
        return {"spec": spec, "budget": self.budget.model_dump(mode="json")}

    @property
    def spec_digest(self) -> str:
        """Hash of `resolved`."""
        return fingerprint(self.resolved)

    def cells_of(self, entry: Entry) -> list[Cell]:
        """Returns an entry's cells, one per seed."""
        return [cell for cell in self.cells if cell.entry is entry]

    def trials_left(self, entry: Entry) -> int:
        """Returns how many trials an entry still needs."""
        if not any(cell.open for cell in self.cells_of(entry)):
            return 0
        return max(0, entry.trials - self.trials_stored.get(entry.study.fingerprint, 0))

    @property
    def jobs(self) -> int:
        """Trials and runs still to do; a grid smaller than its budget may need fewer."""
        return sum(self.trials_left(entry) for entry in self.entries) + sum(cell.open for cell in self.cells)

    @property
    def estimate(self) -> Estimate:
        """All the work left, on one slot."""
        parts = list(self.estimates.values())
        basis: Literal["stored runs", "guess"] = "guess"
        if parts and all(part.basis == "stored runs" for part in parts):
            basis = "stored runs"
        return Estimate(sum(part.seconds for part in parts), basis)

    def describe_budget(self) -> str:
        """Returns the effort in a line: the same for every method that searches."""
        budget = self.budget
        epochs = f"{budget.epochs} epochs" + (f", patience {budget.patience}" if budget.patience else "")
        trials = f"{budget.trials} trials" + (f" of {budget.trial_epochs} epochs" if budget.trial_epochs else "")
        seeds = f"{len(budget.seeds)} seed{'s' if len(budget.seeds) != 1 else ''}"
        return f"budget {budget.name} ({self.budget_reason}): {trials}, {epochs}, {seeds}, for every method alike"

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as JSON values, for `bench plan --json`."""
        counts = Counter(cell.status for cell in self.cells)
        return {
            "name": self.loaded.spec.name,
            "spec_digest": self.spec_digest,
            "budget": {**self.budget.model_dump(mode="json"), "reason": self.budget_reason},
            "warnings": list(self.warnings),
            "counts": {"cells": len(self.cells), **counts, "jobs": self.jobs},
            "estimate": {**self.estimate._asdict(), "note": "seconds on one slot; an estimate, not a promise"},
            "cells": [
                {
                    "task": cell.entry.task.name,
                    "protocol": cell.entry.protocol,
                    "dataset": cell.entry.dataset,
                    "generated": cell.entry.generated,
                    "method": cell.entry.label,
                    "seed": cell.seed,
                    "fingerprint": cell.fingerprint,
                    "status": cell.status,
                    "reason": cell.reason,
                    "changed": list(cell.changed),
                    "stored": cell.stored.fingerprint if cell.stored is not None else None,
                }
                for cell in self.cells
            ],
            "studies": [
                {
                    "fingerprint": entry.study.fingerprint,
                    "method": entry.label,
                    "dataset": entry.dataset,
                    "trials": entry.trials,
                    "left": self.trials_left(entry),
                }
                for entry in self.entries
                if entry.trials
            ],
            "views": [
                {"method": entry.label, "dataset": entry.dataset, "name": name, "digest": digest}
                for entry in self.entries
                for name, digest in (entry.study.views if entry.data is not None else {}).items()
            ],
        }


def build_plan(
    loaded: LoadedSpec,
    store: Store | None,
    *,
    budget: str | None = None,
    only: set[str] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    fresh: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plan:
    """Works out what a spec asks for and what is left of it.

    Args:
        loaded: A spec that was checked against the world.
        store: Where results are; None when there is no store yet.
        budget: Name of the budget in place of the spec's.
        only: Methods to keep.
        seeds: Seeds in place of the budget's.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; whether that is a GPU decides what budget `auto` means.
        fresh: Whether stored results count for nothing.
        progress: Called with (what, done, total) while generated data is being made.

    Raises:
        UserError: The budget, a method of `only`, a seed, the device or a pretrained model does not exist. What is
            wrong with one dataset or method only is that cell's error.
    """
    gpu = bool(resolve_device(device, detect_gpus() if device != "cpu" else ()))
    expansion = expand(loaded.spec, budget=budget, gpu=gpu, only=only, seeds=seeds)
    warnings: dict[str, None] = {}
    made = (_entry(grid, loaded, expansion.budget, progress, warnings) for grid in _distinct(expansion.grid))
    entries = _merged(made)
    if only is None:
        warnings |= dict.fromkeys(missing_floors(entries))
    cells = [_cell(entry, seed, store, fresh) for entry in entries for seed in expansion.budget.seeds]
    trials_stored: dict[str, int] = {}
    if store is not None and not fresh:
        for entry in entries:
            if entry.trials:
                study = entry.study.fingerprint
                trials_stored[study] = len(kept_trials(store, study))
    plan = Plan(
        loaded, expansion.budget, expansion.reason, entries, tuple(cells), trials_stored, {}, tuple(warnings), fresh
    )
    for entry in entries:
        runs = sum(cell.open for cell in plan.cells_of(entry))
        if runs:
            plan.estimates[entry.study.fingerprint] = _estimate(entry, runs, plan.trials_left(entry), store)
    return plan


def _distinct(grid: Sequence[GridEntry]) -> Iterator[GridEntry]:
    """Yields grid entries, those written twice once."""
    seen: set[str] = set()
    for entry in grid:
        experiment = entry.experiment.model_dump(mode="json", exclude={"datasets", "methods"})
        key = fingerprint([experiment, entry.dataset.model_dump(mode="json"), entry.method.model_dump(mode="json")])
        if key not in seen:
            seen.add(key)
            yield entry


def _merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Returns entries, those that ask for the same training once: a twin may stand in for several datasets.

    The metrics of all of them are kept.
    """
    found: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        key = (entry.dataset, entry.study.fingerprint)
        known = found.get(key)
        metrics = entry.metrics if known is None else tuple(dict.fromkeys((*known.metrics, *entry.metrics)))
        found[key] = replace(known or entry, metrics=metrics)
    return tuple(found.values())


def _entry(
    grid: GridEntry,
    loaded: LoadedSpec,
    budget: Budget,
    progress: Callable[[str, int, int], None] | None,
    warnings: dict[str, None],
) -> Entry:
    experiment, wanted, method = grid
    asked, card = resolve_dataset(wanted.dataset)
    task, resolved = TASKS.get(experiment.task), resolve(method, loaded.spec, budget)
    pretrained = find_pretrained(
        method, resolved["config"], resolved["space"], task, experiment.metrics, experiment.select
    )
    known: dict[str, Any] = {
        "task": task,
        "dataset": str(asked),
        "generated": card.generated,
        "protocol": wanted.protocol or card.protocols[0],
        "method": method,
        "metrics": pretrained.metrics,
        "select": pretrained.select,
        "checkpoints": pretrained.found,
        "networks": pretrained.networks,
        "budget": budget,
        "precision": loaded.spec.resources.precision,
        **resolved,
    }
    try:
        data = open_dataset(
            wanted.dataset,
            protocol=wanted.protocol,
            allow_twin=experiment.fallback == "twin",
            progress=progress,
        )
    except UserError as error:
        return Entry(**known, error=str(error))
    if data.id != str(asked):
        warnings[twin_warning(str(asked), data)] = None
    known |= {"data": data, "dataset": data.id, "generated": data.generated, "protocol": data.protocol.name}
    reason = unfit(method, data.id, data.modalities)
    if reason is not None:
        return Entry(**known, skipped=reason)
    try:
        views = view_pipelines(method, known["config"], data.modalities)
    except UserError as error:
        return Entry(**known, error=str(error))
    return Entry(**known, views=views)


def _cell(entry: Entry, seed: int, store: Store | None, fresh: bool) -> Cell:
    identity = entry.cell(seed)
    name = identity.fingerprint
    if entry.skipped is not None:
        return Cell(entry, seed, name, "skipped", entry.skipped)
    if entry.error is not None:
        return Cell(entry, seed, name, "failed", entry.error)
    if store is None or fresh:
        return Cell(entry, seed, name, "todo", "`--fresh`" if fresh else None)
    found = store.find_run(name)
    if found is not None:
        missing = [metric for metric in entry.metrics if metric not in found.metrics]
        if found.status == "done" and missing:
            return Cell(entry, seed, name, "todo", f"the stored run lacks {', '.join(missing)}", ("metrics",), found)
        if found.status in FINAL:
            return Cell(entry, seed, name, "stored", found.reason, (), found)
        return Cell(entry, seed, name, "todo", f"the stored run is {found.status}", (), found)
    alike = store.latest_runs_like(
        task=entry.task.name, protocol=entry.protocol, dataset=entry.dataset, method=entry.label, seed=seed, limit=None
    )
    alike = [run for run in alike if run.status in FINAL]
    # Another budget is another cell; a result under this budget is the better explanation.
    same_budget = [run for run in alike if run.budget == entry.budget.name]
    if not same_budget:
        return Cell(entry, seed, name, "todo")
    changed = explain_difference(same_budget[0].identity, identity)
    reason = f"changed since the stored result: {', '.join(changed)}"
    return Cell(entry, seed, name, "older", reason, tuple(changed), same_budget[0])


def _estimate(entry: Entry, runs: int, trials: int, store: Store | None) -> Estimate:
    epochs = runs * _likely_epochs(entry, entry.budget.epochs) + trials * _likely_epochs(entry, entry.trial_epochs)
    jobs = runs + trials
    if store is not None:
        alike = store.latest_runs_like(method=entry.label, dataset=entry.dataset, status="done", limit=5)
        times = [run.seconds.get("total", 0.0) / max(1, run.epochs) for run in alike]
        if times:
            return Estimate(sum(times) / len(times) * (jobs if entry.closed_form else epochs), "stored runs")
    if entry.data is None:
        return Estimate(0.0, "guess")
    sizes = entry.data.sizes
    if entry.task.family != "recommendation":
        per_epoch = 0.0 if entry.closed_form else sizes["train"] * _SECONDS_PER_EXAMPLE
        return Estimate(jobs * _START_SECONDS + epochs * per_epoch, "guess")
    scoring = sizes["users"] * sizes["items"] * _SECONDS_PER_SCORE
    if entry.closed_form:
        return Estimate(jobs * (_START_SECONDS + scoring), "guess")
    per_epoch = sizes["train"] * _SECONDS_PER_ROW + scoring + _content_seconds(entry, entry.data)
    return Estimate(jobs * _START_SECONDS + epochs * per_epoch, "guess")


def _content_seconds(entry: Entry, data: Dataset) -> float:
    """Guesses what the products with the raw item vectors add to an epoch, where a method takes them up."""
    chain = entry.method.chain
    needs = METHODS.get(chain[-1].method).needs
    if not (needs.modalities or needs.at_least):
        return 0.0
    config = entry.config
    while WRAPPED in config:
        config = config[WRAPPED]
    batches = data.sizes["train"] / max(1, int(config.get("batch_size", data.sizes["train"])))
    cells = data.sizes["items"] * sum(info.dim for info in data.modalities.values())
    return float(batches * cells * _SECONDS_PER_CELL * (1 + (len(chain) - 1) / 2))


def _likely_epochs(entry: Entry, most: int) -> int:
    return most if entry.budget.patience is None else min(most, max(_TYPICAL_EPOCHS, 3 * entry.budget.patience))
