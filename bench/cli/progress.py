"""Progress of making or downloading data: a bar on a terminal, a line per step in a pipe; always on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """A context manager called with (what, done, total).

    Args:
        silent: Show nothing.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._progress: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Moves the bar of `what`, which appears when first named; a total of 0 is not known."""
        if self._silent:
            return
        console = output.console(stderr=True)
        if what not in self._tasks:
            if not console.is_terminal:
                self._tasks[what] = None
                output.note(f"{what} …")
                return
            if self._progress is None:
                from rich.progress import Progress

                self._progress = Progress(console=console, transient=True)
                self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=total or None)
        if self._progress is not None:
            self._progress.update(self._tasks[what], completed=done, total=total or None)
