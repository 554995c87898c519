"""The local executor: jobs on the slots of this machine, one persistent worker process per slot.

It is an event loop without threads: `submit` starts a job on a free slot, `step` waits for the workers and calls the
listeners. A worker that crashes, falls silent or runs past its time fails its job; its slot gets a new worker.
"""

from __future__ import annotations

import selectors
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bench.execution.jobs import (
    STATUS_OF,
    EpochDone,
    ErrorClass,
    Failed,
    Finished,
    Job,
    Outcome,
    Ready,
    Reply,
    Started,
)
from bench.execution.process import WorkerProcess
from bench.execution.worker import RUNNER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from bench.execution.jobs import JobEvent
    from bench.execution.slots import Slot
    from bench.store.records import CurvePoint


class Ended(NamedTuple):
    """How a job ended."""

    outcome: Outcome
    error_class: ErrorClass | None
    """None for a job that returned a result or was interrupted."""


class Listener(Protocol):
    """Who wants to know about a job."""

    def started(self, job: Job, slot: Slot) -> None:
        """The job runs; called again when it is tried again."""

    def epoch(self, job: Job, point: CurvePoint) -> bool:
        """An epoch is over; False prunes a trial (a run cannot be pruned)."""
        ...

    def ended(self, job: Job, ended: Ended) -> None:
        """The job is over, for good."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what.

    Attributes:
        heartbeat_s: Seconds between a worker's signs of life.
        silence_s: Seconds without one after which a process counts as hanging.
        start_s: Seconds a worker may take to import what it needs.
        grace_s: Seconds past its `timeout_s` before a job is killed; at the end of an epoch it stops by itself.
        stall_s: Without a `timeout_s`, seconds without an epoch after which a job counts as hanging …
        stall_epochs: … unless that is less than this many times its slowest epoch.
        retries: How often a job is tried again when the machinery failed it.
    """

    heartbeat_s: float = 5.0
    silence_s: float = 120.0
    start_s: float = 300.0
    grace_s: float = 10.0
    stall_s: float = 7200.0
    stall_epochs: float = 50.0
    retries: int = 1


@dataclass
class _Running:
    """A job on a slot."""

    job: Job
    listener: Listener
    attempt: int = 1
    started_at: float | None = None
    progress_at: float = 0.0
    slowest_epoch: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)

    def begin(self, now: float) -> None:
        self.started_at = self.progress_at = now
        self.slowest_epoch = 0.0
        self.curve = []

    def overdue(self, now: float, patience: Patience) -> str | None:
        """Returns why the job must be stopped, or None."""
        if self.started_at is None:
            return None
        if self.job.timeout_s is not None:
            if now - self.started_at > self.job.timeout_s + patience.grace_s:
                return f"the job ran longer than its {self.job.timeout_s:g} s and was stopped"
            return None
        allowed = max(patience.stall_s, patience.stall_epochs * self.slowest_epoch)
        if now - self.progress_at > allowed:
            return f"the job made no progress for {allowed:.0f} s (epoch {len(self.curve) + 1}) and was stopped"
        return None


@dataclass
class _Seat:
    """A slot, its worker and what it does."""

    slot: Slot
    worker: WorkerProcess | None = None
    running: _Running | None = None
    sent: bool = False


class LocalExecutor:
    """Runs jobs on this machine; use it as a context manager, so that no worker outlives it.

    Args:
        slots: Where jobs run.
        work_dir: Where jobs have their folders.
        runner: "module:function" that does a job; tests put another in its place.
        patience: How long to wait for what.
    """

    def __init__(
        self, slots: Sequence[Slot], *, work_dir: Path, runner: str = RUNNER, patience: Patience | None = None
    ) -> None:
        if not slots:
            raise ValueError("an executor needs at least one slot, but got none")
        self._seats = [_Seat(slot) for slot in slots]
        self._work_dir = work_dir
        self._runner = runner
        self._patience = patience or Patience()
        self._selector = selectors.DefaultSelector()
        work_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def free(self) -> int:
        """Slots without a job."""
        return sum(seat.running is None for seat in self._seats)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return any(seat.running is not None for seat in self._seats)

    def submit(self, job: Job, listener: Listener) -> None:
        """Starts a job on a free slot, whose device and threads it gets.

        Raises:
            RuntimeError: No slot is free.
        """
        idle = [seat for seat in self._seats if seat.running is None]
        if not idle:
            raise RuntimeError(f"all {len(self._seats)} slots are busy")
        # A slot whose worker is already up saves the import of torch.
        seat = min(idle, key=lambda seat: (seat.worker is None, seat.slot.index))
        placed = job.model_copy(update={"device": seat.slot.device, "threads": seat.slot.threads})
        self._place(seat, _Running(placed, listener))

    def step(self, timeout: float = 0.25) -> None:
        """Waits for events, at most `timeout` seconds, and calls the listeners."""
        if self._selector.get_map():
            for key, _ in self._selector.select(timeout):
                seat: _Seat = key.data
                if seat.worker is not None:
                    self._read(seat, seat.worker)
        else:
            time.sleep(timeout)
        now = time.monotonic()
        for seat in self._seats:
            self._watch(seat, now)

    def interrupt(self) -> None:
        """Stops all running jobs at once; they end as `interrupted`."""
        for seat in self._seats:
            if seat.running is not None:
                running, seat.running = seat.running, None
                self._retire(seat, kill=True)
                outcome = Outcome(status="interrupted", epochs=len(running.curve), curve=running.curve)
                running.listener.ended(running.job, Ended(outcome, None))

    def close(self) -> None:
        """Ends all workers; a job that still runs is lost without a word, so `interrupt` first."""
        for seat in self._seats:
            self._retire(seat, kill=seat.running is not None)
        self._selector.close()

    def _place(self, seat: _Seat, running: _Running) -> None:
        seat.running, seat.sent = running, False
        running.started_at = None
        if seat.worker is None:
            seat.worker = WorkerProcess(
                seat.slot, work_dir=self._work_dir, runner=self._runner, heartbeat_s=self._patience.heartbeat_s
            )
            self._selector.register(seat.worker, selectors.EVENT_READ, seat)
        self._send(seat)

    def _send(self, seat: _Seat) -> None:
        if seat.worker is not None and seat.worker.ready and seat.running is not None and not seat.sent:
            seat.sent = True
            seat.worker.send(seat.running.job)

    def _read(self, seat: _Seat, worker: WorkerProcess) -> None:
        events, dead = worker.receive()
        for event in events:
            self._handle(seat, worker, event)
            if seat.worker is not worker:
                return
        if dead:
            death = worker.death()
            self._retire(seat, kill=True)
            if seat.running is not None:
                error_class: ErrorClass = "oom" if death.oom else "lost" if death.infrastructure else "method"
                self._fail(seat, error_class, death.message)

    def _handle(self, seat: _Seat, worker: WorkerProcess, event: JobEvent) -> None:
        if isinstance(event, Ready):
            worker.ready = True
            self._send(seat)
            return
        running, now = seat.running, time.monotonic()
        if running is None or getattr(event, "job", None) != running.job.id:
            return
        if isinstance(event, Started):
            running.begin(now)
            running.listener.started(running.job, seat.slot)
        elif isinstance(event, EpochDone):
            running.slowest_epoch = max(running.slowest_epoch, now - running.progress_at)
            running.progress_at = now
            running.curve.append(event.point)
            proceed = running.listener.epoch(running.job, event.point)
            if running.job.kind == "trial":
                worker.send(Reply(proceed=proceed))
        elif isinstance(event, Finished):
            seat.running = None
            running.listener.ended(running.job, Ended(event.outcome, None))
        elif isinstance(event, Failed):
            if event.error_class in ("oom", "method"):
                # Whatever state the failure left behind (CUDA's above all) must not reach the next job.
                self._retire(seat, kill=True)
            error = event.message if event.traceback is None else f"{event.message}\n{event.traceback}"
            self._fail(seat, event.error_class, error, event.outcome)

    def _watch(self, seat: _Seat, now: float) -> None:
        worker, running = seat.worker, seat.running
        if worker is None or running is None:
            return
        allowed = self._patience.silence_s if worker.ready else self._patience.start_s
        if now - worker.heard_at > allowed:
            state = "gave no sign of life" if worker.ready else "did not start"
            self._retire(seat, kill=True)
            self._fail(seat, "lost", f"the worker process {state} for {allowed:.0f} s and was killed")
        elif (reason := running.overdue(now, self._patience)) is not None:
            self._retire(seat, kill=True)
            self._fail(seat, "timeout", reason)

    def _fail(self, seat: _Seat, error_class: ErrorClass, error: str, known: Outcome | None = None) -> None:
        running = seat.running
        if running is None:
            return
        if error_class == "lost" and running.attempt <= self._patience.retries:
            running.attempt += 1
            self._place(seat, running)
            return
        seat.running = None
        seconds = {} if running.started_at is None else {"total": time.monotonic() - running.started_at}
        outcome = known or Outcome(status="failed", epochs=len(running.curve), curve=running.curve, seconds=seconds)
        device = running.job.device if outcome.device == "auto" else outcome.device
        update = {"status": STATUS_OF[error_class], "error": error, "device": device}
        running.listener.ended(running.job, Ended(outcome.model_copy(update=update), error_class))

    def _retire(self, seat: _Seat, *, kill: bool) -> None:
        worker, seat.worker = seat.worker, None
        if worker is None:
            return
        self._selector.unregister(worker)
        if kill:
            worker.kill()
        else:
            worker.close()
