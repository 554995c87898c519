"""The work on one entry of the grid, its search and then its runs: which job comes next, and what came of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bench.errors import BenchError
from bench.execution.display import Activity
from bench.execution.outcomes import kept_trials, run_record, study_record, trial_record, unit_scores
from bench.search.study import Study, StudySettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.execution.entries import Entry
    from bench.execution.jobs import Job, Outcome
    from bench.execution.plan import Cell
    from bench.search.study import Suggestion
    from bench.store import Store
    from bench.store.records import CurvePoint, RunRecord, SampleRecord, Status


class Assignment(NamedTuple):
    """A job and what it is for."""

    job: Job
    activity: Activity
    trial: Suggestion | None
    cell: Cell | None


class Surroundings(Protocol):
    """What the work on an entry needs of the driver."""

    store: Store
    environment: str
    spec_digest: str
    fresh: bool

    def compile(self, entry: Entry, config: Mapping[str, Any]) -> float:
        """Makes the graphs of a configuration; returns the seconds that took."""
        ...

    def units(self, job: Job, outcome: Outcome) -> bytes | None:
        """Returns a run's per-unit scores."""
        ...

    def samples(self, job: Job, outcome: Outcome) -> list[SampleRecord]:
        """Returns what a run left for people to look at."""
        ...

    def report(self, cell: Cell, record: RunRecord) -> None:
        """Notes how a cell ended."""

    def fewer_jobs(self, jobs: int) -> None:
        """Notes that jobs will not be needed."""


class EntryWork:
    """State of the work on one entry.

    Args:
        entry: What to work on.
        cells: Its cells that are still to do.
        surroundings: The driver.
    """

    def __init__(self, entry: Entry, cells: Sequence[Cell], surroundings: Surroundings) -> None:
        self.entry = entry
        self._around = surroundings
        self._waiting = deque(cells)
        self._running = 0
        self._study: Study | None = None
        self._study_id = entry.study.fingerprint if entry.trials else None
        self._config: dict[str, Any] | None = None if entry.trials else dict(entry.config)
        self._compile_seconds = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return not self._waiting and not self._running

    def next(self) -> Assignment | None:
        """Returns the next job; None when there is none (for now)."""
        if not self._waiting:
            return None
        try:
            return self._next()
        except BenchError as error:
            # A graph that cannot be made, a configuration that does not validate: this entry's fault, nobody else's.
            self._give_up("failed", str(error))
            return None

    def _next(self) -> Assignment | None:
        if self._config is None:
            study = self._open_study()
            if not study.finished:
                suggestion = study.ask()
                return None if suggestion is None else self._trial(suggestion)
            self._choose(study)
            if self._config is None:
                return None
        self._compile_seconds += self._around.compile(self.entry, self._config)
        cell = self._waiting[0]
        job = self.entry.job(id=cell.fingerprint, kind="run", config=self._config, seed=cell.seed)
        self._waiting.popleft()
        self._running += 1
        activity = Activity(self.entry.title, f"seed {cell.seed}", self.entry.budget.epochs, self.entry.select)
        return Assignment(job, activity, None, cell)

    def _open_study(self) -> Study:
        if self._study is None:
            entry, search = self.entry, self.entry.search
            assert self._study_id is not None  # noqa: S101 - narrows the type; there is a study where there are trials
            settings = StudySettings(
                name=self._study_id,
                space=entry.space,
                defaults=entry.defaults(),
                select=entry.select,
                direction=entry.direction,
                trials=entry.trials,
                epochs=entry.trial_epochs,
                sampler=search["sampler"],
                pruner=search["pruner"],
                seed=search["seed"],
                parallel_trials=search["parallel_trials"],
            )
            fresh = self._around.fresh
            self._study = Study(settings, [] if fresh else kept_trials(self._around.store, self._study_id))
            self._around.fewer_jobs(entry.trials - self._study.n_trials)
            if fresh or self._around.store.study(self._study_id) is None:
                self._around.store.put_study(study_record(entry, self._study.n_trials, None))
        return self._study

    def _trial(self, suggestion: Suggestion) -> Assignment:
        entry = self.entry
        config = entry.with_params(suggestion.params)
        self._compile_seconds += self._around.compile(entry, config)
        name = f"{self._study_id}-{suggestion.number:04d}"
        job = entry.job(id=name, kind="trial", config=config, seed=entry.search["seed"])
        total = self._open_study().n_trials
        activity = Activity(entry.title, f"trial {suggestion.number + 1}/{total}", entry.trial_epochs, entry.select)
        self._running += 1
        return Assignment(job, activity, suggestion, None)

    def _choose(self, study: Study) -> None:
        best = study.best()
        if best is None:
            tally = study.tally
            self._give_up("failed", f"none of the {tally.total} trials of the search came to a value")
            return
        record = study_record(self.entry, study.n_trials, best)
        stored = self._around.store.study(record.fingerprint)
        if stored is None or stored.best_trial != best.number:
            created = record.created if stored is None else stored.created
            self._around.store.put_study(record.model_copy(update={"created": created}))
        self._config = self.entry.with_params(best.params)

    def epoch(self, assignment: Assignment, point: CurvePoint) -> bool:
        """Takes in an epoch; returns whether the training should go on."""
        value = point.values.get(f"valid/{self.entry.select}")
        if assignment.trial is None or value is None or self._study is None:
            return True
        return self._study.report(assignment.trial.number, point.epoch, value)

    def ended(self, assignment: Assignment, outcome: Outcome) -> None:
        """Takes in how a job ended, and puts it into the store at once."""
        self._running -= 1
        if assignment.trial is not None:
            self._trial_ended(assignment, assignment.trial, outcome)
        elif assignment.cell is not None:
            self._run_ended(assignment, assignment.cell, outcome)

    def adopt(self, assignment: Assignment, outcome: Outcome) -> None:
        """Takes in a result that an earlier driver asked for and did not live to see."""
        for point in outcome.curve:
            self.epoch(assignment, point)
        self.ended(assignment, outcome)

    def _trial_ended(self, assignment: Assignment, trial: Suggestion, outcome: Outcome) -> None:
        study = self._open_study()
        if outcome.status != "interrupted":
            assert self._study_id is not None  # noqa: S101 - narrows the type
            record = trial_record(assignment.job, self._study_id, trial.number, trial.params, outcome)
            self._around.store.put_trial(record)
        study.tell(trial.number, outcome.status, outcome.value)

    def _run_ended(self, assignment: Assignment, cell: Cell, outcome: Outcome) -> None:
        record = run_record(
            cell,
            status=outcome.status,
            environment=self._around.environment,
            spec_digest=self._around.spec_digest,
            outcome=outcome,
            job=assignment.job,
            study=self._study_id,
            compile_seconds=self._compile_seconds,
        )
        done = outcome.status == "done"
        units = unit_scores(cell, self._around.units(assignment.job, outcome) if done else None)
        samples = self._around.samples(assignment.job, outcome) if done else []
        self._around.store.put_run(record, units, samples, replace=self._around.fresh or "metrics" in cell.changed)
        self._around.report(cell, record)

    def _give_up(self, status: Status, error: str) -> None:
        """Ends all cells that wait, with an error."""
        left = len(self._waiting)
        if self._study is not None:
            left += self._study.n_trials - self._study.tally.total
        while self._waiting:
            cell = self._waiting.popleft()
            record = run_record(
                cell,
                status=status,
                reason=error.partition("\n")[0],
                environment=self._around.environment,
                spec_digest=self._around.spec_digest,
                study=self._study_id if self._study is not None else None,
            ).model_copy(update={"error": error})
            self._around.store.put_run(record, replace=self._around.fresh)
            self._around.report(cell, record)
        self._around.fewer_jobs(left)
