"""What a gate would have said at each commit: the runs of a store, commit by commit, against a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.analysis.baseline import key_of
from bench.analysis.gate import judge, tolerance_of
from bench.analysis.summary import effort_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import polars as pl

    from bench.analysis.baseline import Baseline, CellKey
    from bench.analysis.gate import GateReport
    from bench.store.records import EnvironmentRecord, RunRecord

NOT_IN_GIT = "not in git"


class Moment(NamedTuple):
    """The runs that one state of the code made."""

    commit: str
    """Full hash, or `NOT_IN_GIT`."""
    dirty: bool
    """Whether there were uncommitted changes."""
    created: datetime
    """When the newest run ended."""
    runs: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        """Seven digits of the commit, a plus for uncommitted changes, and the day and time."""
        short = self.commit if self.commit == NOT_IN_GIT else self.commit[:7]
        return f"{short}{'+' if self.dirty else ''} · {self.created:%Y-%m-%d %H:%M}"


class Allowed(NamedTuple):
    """What one metric of one cell is expected to be."""

    mean: float
    tolerance: float | None
    """How much worse the mean of as many new seeds may be; None where too few seeds tell the noise."""


def belonging(baseline: Baseline, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns the runs of the cells of a baseline: same task, protocol, dataset, method, content and effort."""
    cells = {(cell.key, cell.dataset_digest, cell.effort) for cell in baseline.cells}
    return [run for run in runs if (key_of(run), run.dataset_digest, effort_text(run.budget_detail)) in cells]


def moments(runs: Iterable[RunRecord], environments: Mapping[str, EnvironmentRecord]) -> list[Moment]:
    """Groups runs by the state of the code that made them, oldest first; runs of an unknown state are left out.

    Args:
        runs: Any runs.
        environments: By digest.
    """
    found: dict[tuple[str, bool], list[RunRecord]] = {}
    for run in runs:
        environment = environments.get(run.environment or "")
        if environment is not None:
            state = (environment.git_commit or NOT_IN_GIT, bool(environment.git_dirty))
            found.setdefault(state, []).append(run)
    every = [
        Moment(commit, dirty, max(run.created for run in made), tuple(made)) for (commit, dirty), made in found.items()
    ]
    return sorted(every, key=lambda moment: (moment.created, moment.commit, moment.dirty))


def verdicts(
    baseline: Baseline, moment: Moment, units: Callable[[str], pl.DataFrame | None], *, metrics: Sequence[str] = ()
) -> GateReport:
    """Judges the runs of one moment.

    Args:
        baseline: What is expected.
        moment: From `moments`, of runs that belong to the baseline.
        units: Fingerprint to unit scores.
        metrics: More metrics than the baseline's.
    """
    return judge(baseline, moment.runs, units, metrics=metrics)


def allowed(baseline: Baseline, key: CellKey, metric: str, seeds: int) -> Allowed | None:
    """Returns what a metric of a cell is expected to be, for the mean of some new seeds; None where it is not known."""
    cell = next((cell for cell in baseline.cells if cell.key == key), None)
    if cell is None or metric not in cell.metrics:
        return None
    return Allowed(cell.metrics[metric].mean, tolerance_of(baseline, cell.metrics[metric], seeds))
