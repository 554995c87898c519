"""The driver's end of one worker process: start it, talk to it without blocking, and learn how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from pydantic import ValidationError

from bench.execution.jobs import EVENT, Heartbeat

if TYPE_CHECKING:
    from bench.execution.jobs import JobEvent
    from bench.execution.slots import Slot
    from bench.store.records import Record

STDERR_TAIL = 4000
_READ = 1 << 20


class Death(NamedTuple):
    """How a worker process ended by itself."""

    oom: bool
    """Whether the system killed it for want of memory, as far as one can tell."""
    infrastructure: bool
    """Whether it was killed from outside, which is worth another try; a crash of its own is not."""
    message: str


def _oom_kills() -> int:
    """Returns how many processes of this container were killed for want of memory, 0 where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/sys/fs/cgroup/memory.events").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def memory_limit_bytes() -> int:
    """Returns the memory this process may use: the machine's, or the container's limit when that is lower."""
    total = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


class WorkerProcess:
    """One worker process and its pipes.

    Args:
        slot: Where it runs; decides its environment.
        work_dir: Where jobs have their folders and the process its stderr.
        runner: "module:function" that does a job.
        heartbeat_s: Seconds between its signs of life.
    """

    def __init__(self, slot: Slot, *, work_dir: Path, runner: str, heartbeat_s: float) -> None:
        self.slot = slot
        self.ready = False
        self.heard_at = time.monotonic()
        self._rss = 0
        self._kills_before = _oom_kills()
        self._buffer = b""
        self._garbled: str | None = None
        self.stderr_path = work_dir / f"worker-{os.getpid()}-{slot.index}.log"
        command = [sys.executable, "-m", "bench.execution.worker"]
        command += ["--work-dir", str(work_dir), "--runner", runner, "--heartbeat", str(heartbeat_s)]
        with self.stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **slot.environment},
                # Ctrl-C on the terminal is for the driver alone.
                start_new_session=True,
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("subprocess.Popen gave no pipes although they were asked for")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)

    def fileno(self) -> int:
        """Returns the descriptor to wait on for events."""
        return self._stdout.fileno()

    def send(self, record: Record) -> None:
        """Sends a line; a worker that has died is noticed when it is read from, not here."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(record.model_dump_json().encode() + b"\n")
            self._stdin.flush()

    def receive(self) -> tuple[list[JobEvent], bool]:
        """Returns the events that have arrived, heartbeats left out, and whether the process has ended."""
        ended = False
        while True:
            try:
                chunk = os.read(self.fileno(), _READ)
            except BlockingIOError:
                break
            if not chunk:
                ended = True
                break
            self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        events: list[JobEvent] = []
        for line in lines:
            self.heard_at = time.monotonic()
            if not line.startswith(b'{"event"'):
                # A site's start-up code may print before the worker takes the descriptor over.
                continue
            try:
                event = EVENT.validate_json(line)
            except ValidationError as error:
                self._garbled = f"the worker process sent an event that cannot be read: {error}"
                self._process.kill()
                return events, True
            if isinstance(event, Heartbeat):
                self._rss = event.rss_bytes
            else:
                events.append(event)
        return events, ended

    def death(self) -> Death:
        """Returns how the process ended; call it after `receive` said so."""
        code = self._wait(5.0)
        if self._garbled is not None:
            return Death(oom=False, infrastructure=False, message=self._garbled)
        tail = self.stderr_tail()
        said = f"; last lines of its output:\n{tail}" if tail else ""
        if code is None or code >= 0:
            message = f"the worker process ended with exit code {code}{said}"
            return Death(oom=False, infrastructure=False, message=message)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        starved = _oom_kills() > self._kills_before or self._rss > memory_limit_bytes() // 2
        if -code == signal.SIGKILL and starved:
            message = f"the system ran out of memory and killed the job, which held {self._rss / 2**30:.1f} GiB"
            return Death(oom=True, infrastructure=False, message=message)
        outside = -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
        return Death(oom=False, infrastructure=outside, message=f"the worker process was killed by {name}{said}")

    def stderr_tail(self) -> str:
        """Returns the end of what the process printed."""
        try:
            with self.stderr_path.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - STDERR_TAIL))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return ""

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self.close()

    def close(self, *, wait_s: float = 5.0) -> None:
        """Ends an idle process: closes its stdin, and kills it if that is not enough."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        if self._wait(wait_s) is None:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self.stderr_path.unlink(missing_ok=True)

    def _wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
