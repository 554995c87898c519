"""The worker process: `python -m bench.execution.worker --work-dir DIR`.

It reads one job per line from stdin and writes one event per line to what was its stdout; prints of libraries and
methods go to stderr. It imports torch once and does one job after another until stdin closes, or the driver dies.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.errors import BenchError, DataError, DivergedError, UserError
from bench.execution.jobs import (
    EpochDone,
    ErrorClass,
    Failed,
    Finished,
    Heartbeat,
    Job,
    Outcome,
    Ready,
    Reply,
    Started,
)
from bench.execution.results import prepare_folder, write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.store.records import CurvePoint, Record

RUNNER = "bench.execution.run_job:run_job"
TRACEBACK_CHARS = 6000


class Runner(Protocol):
    """What does a job: `bench.execution.run_job.run_job`."""

    def __call__(self, job: Job, *, work_dir: Path, on_epoch: Callable[[CurvePoint], bool]) -> Outcome:
        """Trains, evaluates, and writes per-unit scores into `work_dir`; stops when `on_epoch` answers False."""
        ...


class JobTimeoutError(BenchError):
    """A job that ran past its `timeout_s`."""


class _Channel:
    """The worker's end of the two pipes."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen(self) -> None:
        """Starts the thread that reads stdin; the process ends at once when stdin closes."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        # Nobody is left to hear the result, and a job in progress must not outlive its driver.
        os._exit(0)

    def receive(self) -> str:
        return self._lines.get()

    def send(self, event: Record) -> None:
        try:
            with self._lock:
                self._out.write(event.model_dump_json() + "\n")
                self._out.flush()
        except BrokenPipeError:
            os._exit(0)


def die_with_parent() -> None:
    """Asks Linux to kill this process when the driver dies, so that a job stuck in C code is no orphan."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)


def keep_freed_memory() -> None:
    """Tells glibc to keep large freed blocks: once returned, every big tensor would pay its page faults anew.

    Does nothing with another C library.
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Older glibc refuses more than 32 MiB.
        _ = mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)
        mallopt(trim_threshold, (1 << 31) - 1)


def resident_bytes() -> int:
    """Returns this process's resident memory, 0 where /proc does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def reset_peak_memory() -> None:
    """Starts a new measurement of peak memory: each job's own, not the process's since it began."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int:
    """Returns the peak since `reset_peak_memory`: allocated CUDA memory on a GPU, resident memory otherwise."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def classify(error: BaseException) -> ErrorClass:
    """Returns whose fault an exception is."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, JobTimeoutError):
        return "timeout"
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, UserError):
        return "user"
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return "oom"
    # Torch's CPU allocator has no exception of its own.
    if isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "not enough memory" in str(error)):
        return "oom"
    return "method"


class Worker:
    """Does jobs, one at a time.

    Args:
        work_dir: Where each job gets a folder of its own.
        runner: What does a job.
        channel: The pipes to the driver.
    """

    def __init__(self, work_dir: Path, runner: Runner, channel: _Channel) -> None:
        self._work_dir = work_dir
        self._runner = runner
        self._channel = channel

    def serve(self) -> None:
        """Does jobs until stdin closes."""
        while True:
            self.do(Job.model_validate_json(self._channel.receive()))

    def do(self, job: Job) -> None:
        """Does one job and reports it; an exception ends the job, not the process."""
        self._channel.send(Started(job=job.id))
        curve: list[CurvePoint] = []
        started = time.monotonic()

        def on_epoch(point: CurvePoint) -> bool:
            curve.append(point)
            self._channel.send(EpochDone(job=job.id, point=point))
            if job.timeout_s is not None and time.monotonic() - started > job.timeout_s:
                raise JobTimeoutError(f"the job ran longer than its {job.timeout_s:g} s (epoch {point.epoch})")
            if job.kind == "run":
                return True
            return Reply.model_validate_json(self._channel.receive()).proceed

        try:
            self._pin_threads(job.threads)
            reset_peak_memory()
            folder = prepare_folder(self._work_dir, job)
            outcome = self._runner(job, work_dir=folder, on_epoch=on_epoch)
            if job.kind == "trial" and outcome.metrics:
                raise RuntimeError("a trial reported test metrics; trials see train and validation only")
            if outcome.peak_memory_bytes is None:
                outcome = outcome.model_copy(update={"peak_memory_bytes": peak_memory_bytes(outcome.device)})
            if "total" not in outcome.seconds:
                total = {**outcome.seconds, "total": time.monotonic() - started}
                outcome = outcome.model_copy(update={"seconds": total})
            write_result(self._work_dir, job, outcome)
        except (Exception, SystemExit) as error:
            self._channel.send(self._failure(job, error, curve, time.monotonic() - started))
        else:
            self._channel.send(Finished(job=job.id, outcome=outcome))

    def _failure(self, job: Job, error: BaseException, curve: list[CurvePoint], seconds: float) -> Failed:
        error_class = classify(error)
        # A user's mistake is explained by its message; anything else may be a bug and keeps where it happened.
        expected = error_class in ("user", "data")
        text = None if expected else "".join(traceback.format_exception(error))[-TRACEBACK_CHARS:]
        message = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        known = Outcome(
            status="failed",
            epochs=len(curve),
            curve=curve,
            seconds={"total": seconds},
            peak_memory_bytes=peak_memory_bytes(job.device),
            device="cpu" if job.device == "cpu" else job.device,
        )
        return Failed(job=job.id, error_class=error_class, message=message, traceback=text, outcome=known)

    @staticmethod
    def _pin_threads(threads: int) -> None:
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(threads)


def load_runner(target: str) -> Runner:
    """Returns the function named "module:attribute"."""
    module, _, attribute = target.partition(":")
    runner: Runner = getattr(importlib.import_module(module), attribute)
    return runner


def main(argv: list[str] | None = None) -> int:
    """Runs the worker; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m bench.execution.worker")
    parser.add_argument("--work-dir", type=Path, required=True, help="folder in which every job gets a folder")
    parser.add_argument("--heartbeat", type=float, default=5.0, help="seconds between signs of life")
    parser.add_argument("--runner", default=RUNNER, help="module:function that does a job")
    arguments = parser.parse_args(argv)

    die_with_parent()
    # Ctrl-C reaches the whole terminal; what it means for the jobs is the driver's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    channel = _Channel()
    channel.listen()

    def beat() -> None:
        while True:
            channel.send(Heartbeat(rss_bytes=resident_bytes()))
            time.sleep(arguments.heartbeat)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    runner = load_runner(arguments.runner)
    channel.send(Ready(pid=os.getpid()))
    Worker(arguments.work_dir, runner, channel).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
