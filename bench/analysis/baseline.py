"""The file a gate compares with: what each cell of a spec scored, and how much that varies over seeds.

It is JSON, sorted, and the same bytes for the same results, so that a change of it reads well in a review.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.analysis.summary import effort_text
from bench.atomic import write_atomic
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import polars as pl

    from bench.store.records import RunRecord

_DIGEST = 16
"""Hexadecimal digits of a digest that are kept: enough that two results never share one by chance."""


class CellKey(NamedTuple):
    """What makes a cell of a gate."""

    task: str
    protocol: str
    dataset: str
    method: str

    def __str__(self) -> str:
        return f"{self.task} · {self.dataset} ({self.protocol}) · {self.method}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Rule(_Part):
    """How much worse is worse."""

    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that code which did not change makes any value of the gate regress, shared by all values (Bonferroni)."""
    floor: float = Field(default=0.005, ge=0)
    """A change below this share of the mean is never a regression: other processors and libraries round otherwise."""


class MetricBaseline(_Part):
    """One metric of one cell."""

    mean: float
    """Mean over seeds."""
    sd: float = Field(ge=0)
    """Standard deviation over seeds (divisor n - 1); 0 for one seed."""
    n: int = Field(ge=1)
    """Number of seeds."""
    digests: dict[str, str]
    """Seed to a digest of the scores of all units; "" where they were not kept."""


class CellBaseline(_Part):
    """One method on one dataset."""

    task: str
    protocol: str
    dataset: str
    method: str
    dataset_digest: str
    """Content of the data."""
    effort: str
    """Trials, epochs and patience in words."""
    units: str
    """Digest of the ids of the tested units; "" where they were not kept."""
    seeds: list[int]
    """Seeds, sorted."""
    metrics: dict[str, MetricBaseline]

    @property
    def key(self) -> CellKey:
        """What makes the cell."""
        return CellKey(self.task, self.protocol, self.dataset, self.method)


class Baseline(_Part):
    """What a spec is expected to score."""

    format: Literal[1] = 1
    """Version of this file's layout."""
    spec: str
    """Name of the spec."""
    rule: Rule = Rule()
    cells: list[CellBaseline]
    """Sorted by task, protocol, dataset and method."""


def key_of(run: RunRecord) -> CellKey:
    """Returns the cell a run is a seed of."""
    return CellKey(run.task, run.protocol, run.dataset, run.method)


def measure(
    runs: Iterable[RunRecord], units: Callable[[str], pl.DataFrame | None], metrics: Sequence[str]
) -> list[CellBaseline]:
    """Summarises finished runs, one cell per task, protocol, dataset and method.

    Args:
        runs: Runs of one spec; those that are not done are left out, and of one seed the newest counts.
        units: Fingerprint to unit scores (`Store.unit_scores`).
        metrics: Which metrics to keep; one that a seed lacks, or that is not finite there, is left out.
    """
    cells: dict[CellKey, dict[int, RunRecord]] = {}
    for run in sorted(runs, key=lambda run: run.created):
        if run.status == "done":
            cells.setdefault(key_of(run), {})[run.seed] = run
    return [_cell(key, [by_seed[seed] for seed in sorted(by_seed)], units, metrics) for key, by_seed in _sorted(cells)]


def _sorted(cells: dict[CellKey, dict[int, RunRecord]]) -> list[tuple[CellKey, dict[int, RunRecord]]]:
    return sorted(cells.items(), key=lambda item: item[0])


def _cell(
    key: CellKey, runs: list[RunRecord], units: Callable[[str], pl.DataFrame | None], metrics: Sequence[str]
) -> CellBaseline:
    frames = [units(run.fingerprint) for run in runs]
    found = {}
    for name in sorted(metrics):
        values = [run.metrics.get(name, math.nan) for run in runs]
        if not all(map(math.isfinite, values)):
            continue
        digests = {str(run.seed): _scores_digest(frame, name) for run, frame in zip(runs, frames, strict=True)}
        # Equal values have no spread, whatever the rounding of their mean.
        sd = 0.0 if min(values) == max(values) else float(np.std(values, ddof=1))
        mean = values[0] if sd == 0 else math.fsum(values) / len(values)
        found[name] = MetricBaseline(mean=mean, sd=sd, n=len(values), digests=digests)
    ids = {_digest(frame["unit"].sort().to_list()) if frame is not None else "" for frame in frames}
    return CellBaseline(
        **key._asdict(),
        dataset_digest=runs[0].dataset_digest,
        effort=effort_text(runs[0].budget_detail),
        units=ids.pop() if len(ids) == 1 else "",
        seeds=[run.seed for run in runs],
        metrics=found,
    )


def _scores_digest(frame: pl.DataFrame | None, metric: str) -> str:
    if frame is None or metric not in frame.columns:
        return ""
    ordered = frame.sort("unit")
    return _digest([ordered["unit"].to_list(), [float(value).hex() for value in ordered[metric].to_list()]])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_DIGEST]


def read_baseline(path: Path) -> Baseline:
    """Reads a baseline file.

    Raises:
        UserError: It is missing, or not a baseline.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"there is no baseline '{path}'.", hint=f"Make it: `bench gate SPEC --baseline {path} --update`."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"baseline '{path}' cannot be read: {error}.",
            hint="Name the JSON file that `bench gate SPEC --baseline FILE --update` wrote.",
        ) from error
    try:
        baseline = Baseline.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"'{path}' is no baseline of a gate: {place}: {first['msg']}.",
            hint=f"Restore it, or remove it and make it anew: `bench gate SPEC --baseline {path} --update`.",
        ) from error
    keys = [cell.key for cell in baseline.cells]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        hint = "A merge went wrong: restore the file, or remove it and make it anew."
        raise UserError(f"'{path}' holds {twice} twice.", hint=hint)
    return baseline


def write_baseline(path: Path, baseline: Baseline) -> bool:
    """Writes a baseline file, whole or not at all; equal content leaves the file as it is.

    Returns:
        Whether the file changed.

    Raises:
        UserError: The file cannot be written.
    """
    text = json.dumps(baseline.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        write_atomic(path, text.encode())
    except OSError as error:
        raise UserError(f"baseline '{path}' cannot be written: {error}.") from error
    return True
