"""What a user sees while jobs run: a live view on a terminal, one line per event in a pipe, nothing for `--json`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from bench.execution.slots import Slot


@dataclass(frozen=True)
class Activity:
    """A job as the user knows it.

    Attributes:
        title: Method and dataset: `mgcn · baby`.
        part: `trial 3/20`, `seed 0`.
        epochs: Most epochs of the training.
        select: The validation metric that is shown.
    """

    title: str
    part: str
    epochs: int
    select: str


class Display:
    """Where progress is shown; what a display does not override shows nothing."""

    def begin(self, header: list[str], jobs: int) -> None:
        """The work starts: `jobs` trials and runs."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, text: str) -> None:
        """Something the user should know."""

    def started(self, slot: Slot, activity: Activity) -> None:
        """A job runs on a slot."""

    def epoch(self, slot: Slot, activity: Activity, epoch: int, value: float | None) -> None:
        """An epoch of the slot's job is over."""

    def ended(self, slot: Slot | None, activity: Activity, status: str, summary: str) -> None:
        """A job is over; `slot` is None for a result an earlier driver left behind."""

    def fewer(self, jobs: int) -> None:
        """That many jobs will not be needed after all."""

    def finish(self) -> None:
        """The work is over."""


class SilentDisplay(Display):
    """Shows nothing."""


class PlainDisplay(Display):
    """One line per event, for pipes and logs; a long training says where it is every now and then.

    Args:
        stream: Where to write.
        every_s: Seconds between two lines about the epochs of one slot.
    """

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._every = every_s
        self._said: dict[int, float] = {}
        self._started = time.monotonic()
        self._jobs = self._over = 0

    def begin(self, header: list[str], jobs: int) -> None:
        """Prints the header."""
        self._started, self._jobs = time.monotonic(), jobs
        for line in header:
            self._line(line)

    def note(self, text: str) -> None:
        """Prints a line."""
        self._line(text)

    def warn(self, text: str) -> None:
        """Prints a warning."""
        self._line(f"warning: {text}")

    def started(self, slot: Slot, activity: Activity) -> None:
        """Prints which job starts."""
        self._said[slot.index] = time.monotonic()
        self._line(f"{self._clock()} {activity.title} · {activity.part}: started")

    def epoch(self, slot: Slot, activity: Activity, epoch: int, value: float | None) -> None:
        """Prints the epoch when the slot has been quiet for a while."""
        now = time.monotonic()
        if now - self._said.get(slot.index, 0.0) >= self._every:
            self._said[slot.index] = now
            self._line(f"{self._clock()} {activity.title} · {activity.part}: {epoch_text(activity, epoch, value)}")

    def ended(self, slot: Slot | None, activity: Activity, status: str, summary: str) -> None:
        """Prints how the job ended."""
        self._over += 1
        said = f", {summary}" if summary else ""
        self._line(f"{self._clock()} {activity.title} · {activity.part}: {status}{said} [{self._over}/{self._jobs}]")

    def fewer(self, jobs: int) -> None:
        """Lowers the total."""
        self._jobs -= jobs

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"[{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}]"

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def epoch_text(activity: Activity, epoch: int, value: float | None) -> str:
    """Returns `epoch 12/1000, valid recall@20 0.0712`."""
    shown = "" if value is None else f", valid {activity.select} {value:.4f}"
    return f"epoch {epoch}/{activity.epochs}{shown}"


def make_display(*, json: bool = False, stream: TextIO | None = None) -> Display:
    """Returns the display that suits where the output goes.

    Args:
        json: Whether stdout is for a machine; nothing is shown then.
        stream: Where to show progress; stderr by default.
    """
    if json:
        return SilentDisplay()
    stream = stream or sys.stderr
    dumb = os.environ.get("TERM") == "dumb" or "NO_COLOR" in os.environ or "CI" in os.environ
    if dumb or not stream.isatty():
        return PlainDisplay(stream)
    from bench.execution.live import LiveDisplay

    return LiveDisplay(stream)
