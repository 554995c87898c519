"""The live display on a terminal: a line per slot and a bar over all jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.execution.display import Display, epoch_text

if TYPE_CHECKING:
    from bench.execution.display import Activity
    from bench.execution.slots import Slot


class LiveDisplay(Display):
    """Rich's live view; finished jobs scroll by above it.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._slots = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(), console=self._console,
        )  # fmt: skip
        self._all = Progress(
            TextColumn("all jobs"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self._console,
        )  # fmt: skip
        self._live = Live(Group(self._slots, self._all), console=self._console, refresh_per_second=4)
        self._lines: dict[int, TaskID] = {}
        self._total = self._all.add_task("", total=None)
        self._jobs = 0

    def begin(self, header: list[str], jobs: int) -> None:
        """Prints the header and starts the view."""
        for line in header:
            self._console.print(line, markup=False)
        self._jobs = jobs
        self._all.update(self._total, total=jobs)
        self._live.start()

    def note(self, text: str) -> None:
        """Prints a line above the view."""
        self._live.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Prints a warning above the view."""
        self._live.console.print(f"warning: {text}", markup=False, style="yellow")

    def started(self, slot: Slot, activity: Activity) -> None:
        """Puts a job on its slot's line."""
        self._clear(slot)
        title = f"{activity.title} · {activity.part}".replace("[", r"\[")
        self._lines[slot.index] = self._slots.add_task(title, total=activity.epochs, state="starting")

    def epoch(self, slot: Slot, activity: Activity, epoch: int, value: float | None) -> None:
        """Moves the slot's bar."""
        if slot.index in self._lines:
            self._slots.update(self._lines[slot.index], completed=epoch, state=epoch_text(activity, epoch, value))

    def ended(self, slot: Slot | None, activity: Activity, status: str, summary: str) -> None:
        """Frees the slot's line and counts the job."""
        if slot is not None:
            self._clear(slot)
        style = None if status in ("done", "pruned") else "red"
        said = f", {summary}" if summary else ""
        self._live.console.print(f"{activity.title} · {activity.part}: {status}{said}", markup=False, style=style)
        self._all.advance(self._total)

    def fewer(self, jobs: int) -> None:
        """Lowers the total."""
        self._jobs -= jobs
        self._all.update(self._total, total=self._jobs)

    def finish(self) -> None:
        """Stops the view and leaves the terminal as it was."""
        self._live.stop()

    def _clear(self, slot: Slot) -> None:
        if slot.index in self._lines:
            self._slots.remove_task(self._lines.pop(slot.index))
