"""`execute` carries a plan out: graphs first, then searches and runs side by side on the machine's slots.

Every finished trial and cell is in the store at once, so a run that is killed loses only what was in progress, and the
next run takes up what its workers still finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, UserError
from bench.execution.display import SilentDisplay
from bench.execution.local import LocalExecutor, Patience
from bench.execution.outcomes import now, run_record, view_record
from bench.execution.plan import STATE_WORDS
from bench.execution.provenance import environment_record
from bench.execution.results import (
    BESIDE,
    LOCK,
    forget_result,
    jobs_folder,
    keep_weights,
    read_result,
    read_samples,
    read_units,
)
from bench.execution.slots import make_slots
from bench.execution.work import EntryWork
from bench.execution.worker import RUNNER
from bench.graph.compile import compile_view, view_digest
from bench.graph.stages import pipeline_to_yaml
from bench.store.records import ExperimentRecord, RunRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from bench.execution.display import Display
    from bench.execution.entries import Entry
    from bench.execution.jobs import Job, Outcome
    from bench.execution.local import Ended
    from bench.execution.plan import Cell, Plan
    from bench.execution.slots import Slot
    from bench.execution.work import Assignment
    from bench.store import Store
    from bench.store.records import CurvePoint, SampleRecord


@dataclass(frozen=True)
class Options:
    """How to carry a plan out; nothing here changes a result.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        jobs: Jobs side by side; None derives it from the machine.
        work_dir: Where jobs have their folders; None means the cache.
        runner: "module:function" that does a job.
        patience: How long to wait for what.
    """

    device: str = "auto"
    jobs: int | None = None
    work_dir: Path | None = None
    runner: str = RUNNER
    patience: Patience = field(default_factory=Patience)


class CellResult(NamedTuple):
    """How a cell ended."""

    cell: Cell
    record: RunRecord
    computed: bool
    """False for what the store already had."""


@dataclass(frozen=True)
class Report:
    """What came of a plan.

    Attributes:
        plan: The plan.
        cells: A result per cell, in the order of the plan; cells that an interrupt left unstarted are absent.
        seconds: Wall time.
        interrupted: Whether the user stopped it.
    """

    plan: Plan
    cells: tuple[CellResult, ...]
    seconds: float
    interrupted: bool

    @property
    def counts(self) -> dict[str, int]:
        """Status to number of cells."""
        return dict(Counter(result.record.status for result in self.cells))

    @property
    def computed(self) -> int:
        """How many cells were run now."""
        return sum(result.computed for result in self.cells)

    @property
    def exit_code(self) -> int:
        """0 all done or skipped; 1 some cell failed; 2 no cell could run at all; 130 interrupted."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.cells and all(result.cell.status == "failed" for result in self.cells):
            return EXIT_USER
        failed = any(result.record.status not in ("done", "skipped") for result in self.cells)
        return EXIT_FAILED if failed else EXIT_OK


def execute(plan: Plan, store: Store, options: Options | None = None, display: Display | None = None) -> Report:
    """Carries a plan out and stores what comes of it.

    Ctrl-C once finishes the jobs that run and starts no others; twice stops at once.

    Args:
        plan: From `build_plan`, with the same store.
        store: Open for writing.
        options: How.
        display: Where progress is shown.

    Raises:
        UserError: The device does not exist, or no cell of the plan can run (the message says why, once per dataset).
        StoreError: The store cannot be written.
    """
    options = options or Options()
    display = display or SilentDisplay()
    if plan.cells and all(cell.status == "failed" for cell in plan.cells):
        raise UserError("\n".join(dict.fromkeys(cell.reason or "" for cell in plan.cells)))
    resources = plan.loaded.spec.resources
    slots = make_slots(
        device=options.device,
        gpus_per_job=resources.gpus_per_job,
        cpus_per_job=resources.cpus_per_job,
        jobs=options.jobs,
    )
    with _work_dir(options.work_dir, store) as work_dir:
        return _Driver(plan, store, options, display, slots, work_dir).run()


@contextlib.contextmanager
def _work_dir(chosen: Path | None, store: Store) -> Iterator[Path]:
    """Yields the folder of the jobs: the same for every run on a store, so that what a killed run left is found again.

    A second run at the same time gets a folder of its own.
    """
    root = chosen or jobs_folder(store.address)
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with tempfile.TemporaryDirectory(prefix=BESIDE, dir=root) as own:
                yield Path(own)
            return
        yield root


class _Listener:
    """Connects one job to the work it belongs to."""

    def __init__(self, driver: _Driver, work: EntryWork, assignment: Assignment) -> None:
        self._driver, self._work, self._assignment = driver, work, assignment
        self._slot: Slot | None = None

    def started(self, job: Job, slot: Slot) -> None:
        self._slot = slot
        self._driver.display.started(slot, self._assignment.activity)

    def epoch(self, job: Job, point: CurvePoint) -> bool:
        activity = self._assignment.activity
        if self._slot is not None:
            self._driver.display.epoch(self._slot, activity, point.epoch, point.values.get(f"valid/{activity.select}"))
        return self._work.epoch(self._assignment, point)

    def ended(self, job: Job, ended: Ended) -> None:
        self._work.ended(self._assignment, ended.outcome)
        if ended.outcome.status != "interrupted":
            self._driver.tidy(job)
        self._driver.display.ended(
            self._slot, self._assignment.activity, ended.outcome.status, _summary(self._assignment, ended.outcome)
        )


class _Driver:
    """State of one `execute`; also the `Surroundings` of the entries' work."""

    def __init__(
        self, plan: Plan, store: Store, options: Options, display: Display, slots: Sequence[Slot], work_dir: Path
    ) -> None:
        self.store = store
        self.display = display
        self.work_dir = work_dir
        self.fresh = plan.fresh
        self.spec_digest = plan.spec_digest
        self.environment = ""
        self._plan = plan
        self._options = options
        self._slots = slots
        self._results: dict[str, CellResult] = {}
        self._compiled: set[str] = set()
        self._interrupts = 0

    def run(self) -> Report:
        begun = time.monotonic()
        self._write_what_is_known()
        works = []
        for entry in self._plan.entries:
            cells = [cell for cell in self._plan.cells_of(entry) if cell.open]
            if cells:
                works.append(EntryWork(entry, cells, self))
        # The longest first: the slots then end at about the same time. What comes out does not depend on the order.
        works.sort(key=lambda work: -self._plan.estimates[work.entry.study.fingerprint].seconds)
        if works:
            self._begin_display()
            try:
                with self._signals(), self._executor() as executor:
                    self._loop(executor, works)
            finally:
                self.display.finish()
        order = [self._results[cell.fingerprint] for cell in self._plan.cells if cell.fingerprint in self._results]
        interrupted = self._interrupts > 0 and any(not work.finished for work in works)
        interrupted = interrupted or any(result.record.status == "interrupted" for result in order)
        return Report(self._plan, tuple(order), time.monotonic() - begun, interrupted)

    def compile(self, entry: Entry, config: Mapping[str, Any]) -> float:
        """See `Surroundings`; each graph is made once, in this process, and read from the cache by the workers."""
        seconds = 0.0
        for name, pipeline in entry.pipelines(config).items():
            digest = view_digest(pipeline, entry.dataset_digest)
            if digest in self._compiled or entry.data is None:
                continue
            compiled = compile_view(pipeline, entry.data.training())
            self._compiled.add(digest)
            record = view_record(name, entry.dataset, pipeline_to_yaml(pipeline), compiled)
            self.store.put_view(record)
            seconds += record.seconds
            if not compiled.cached:
                self.display.note(f"compiled view {name!r} of {entry.dataset} in {compiled.seconds:.1f} s")
        return seconds

    def units(self, job: Job, outcome: Outcome) -> bytes | None:
        """See `Surroundings`."""
        return read_units(self.work_dir, job, outcome)

    def samples(self, job: Job, outcome: Outcome) -> list[SampleRecord]:
        """See `Surroundings`."""
        return read_samples(self.work_dir, job, outcome)

    def tidy(self, job: Job) -> None:
        """Removes the folder of a job whose result is in the store; a run's weights are kept elsewhere."""
        keep_weights(self.work_dir, job)
        forget_result(self.work_dir, job.id)

    def report(self, cell: Cell, record: RunRecord) -> None:
        """See `Surroundings`."""
        self._results[cell.fingerprint] = CellResult(cell, record, computed=True)

    def fewer_jobs(self, jobs: int) -> None:
        """See `Surroundings`."""
        if jobs > 0:
            self.display.fewer(jobs)

    def _write_what_is_known(self) -> None:
        """Stores the experiment, and the cells about which there is nothing to do."""
        plan = self._plan
        if any(cell.status != "stored" for cell in plan.cells):
            environment = environment_record()
            self.environment = environment.digest
            self.store.put_environment(environment)
        self.store.put_experiment(
            ExperimentRecord(
                spec_digest=plan.spec_digest,
                name=plan.loaded.spec.name,
                spec_text=plan.loaded.text,
                resolved=plan.resolved,
                budget=plan.budget.name,
                created=now(),
            )
        )
        for cell in plan.cells:
            if cell.status == "stored" and cell.stored is not None:
                self._results[cell.fingerprint] = CellResult(cell, cell.stored, computed=False)
            elif cell.status in ("skipped", "failed"):
                self._write_closed(cell)

    def _write_closed(self, cell: Cell) -> None:
        status = "skipped" if cell.status == "skipped" else "failed"
        known = self.store.find_run(cell.fingerprint)
        if known is not None and (known.status, known.reason) == (status, cell.reason):
            self._results[cell.fingerprint] = CellResult(cell, known, computed=False)
            return
        record = run_record(
            cell,
            status="skipped" if status == "skipped" else "failed",
            reason=cell.reason,
            environment=self.environment,
            spec_digest=self.spec_digest,
        )
        self.store.put_run(record)
        self._results[cell.fingerprint] = CellResult(cell, record, computed=False)

    def _begin_display(self) -> None:
        plan, slots = self._plan, self._slots
        counts = Counter(STATE_WORDS[cell.status] for cell in plan.cells)
        have = ", ".join(f"{number} {state}" for state, number in counts.items())
        threads = slots[0].threads
        place = f"{len(slots)} {slots[0].device} slot{'s' if len(slots) != 1 else ''}"
        place += f", {threads} thread{'s' if threads != 1 else ''} each"
        self.display.begin(
            [f"{plan.loaded.spec.name} · {plan.describe_budget()}", f"{len(plan.cells)} cells: {have} · {place}"],
            plan.jobs,
        )
        for warning in plan.warnings:
            self.display.warn(warning)
        self.display.note("starting workers (importing torch takes a few seconds)")

    def _executor(self) -> LocalExecutor:
        return LocalExecutor(
            self._slots, work_dir=self.work_dir, runner=self._options.runner, patience=self._options.patience
        )

    def _loop(self, executor: LocalExecutor, works: list[EntryWork]) -> None:
        told = False
        while True:
            if self._interrupts and not told:
                told = True
                self.display.warn("interrupted: finishing the jobs that run; press Ctrl-C again to stop at once")
            if self._interrupts >= 2:
                executor.interrupt()
                return
            while not self._interrupts and executor.free and self._start_one(executor, works):
                pass
            if not executor.busy and (self._interrupts or all(work.finished for work in works)):
                return
            executor.step()

    def _start_one(self, executor: LocalExecutor, works: list[EntryWork]) -> bool:
        """Starts the first job there is, of the entry with most work first; returns whether there was one."""
        for work in works:
            assignment = work.next()
            if assignment is None:
                continue
            if self.fresh:
                forget_result(self.work_dir, assignment.job.id)
            left_behind = read_result(self.work_dir, assignment.job)
            if left_behind is None:
                executor.submit(assignment.job, _Listener(self, work, assignment))
            else:
                work.adopt(assignment, left_behind)
                self.tidy(assignment.job)
                summary = _summary(assignment, left_behind)
                self.display.ended(None, assignment.activity, left_behind.status, f"{summary} (found finished)")
            return True
        return False

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C once drains, twice stops; so does one SIGTERM."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            # Only counted here: a handler that prints could run in the middle of another print.
            self._interrupts += 1

        def on_terminate(number: int, frame: FrameType | None) -> None:
            self._interrupts = 2

        before = signal.signal(signal.SIGINT, on_interrupt), signal.signal(signal.SIGTERM, on_terminate)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])


def _summary(assignment: Assignment, outcome: Outcome) -> str:
    """Returns the one number worth showing, or the error's first line."""
    if outcome.status not in ("done", "pruned"):
        return (outcome.error or "").partition("\n")[0]
    select = assignment.activity.select
    if select in outcome.metrics:
        return f"test {select} {outcome.metrics[select]:.4f}"
    return "" if outcome.value is None else f"valid {select} {outcome.value:.4f}"
