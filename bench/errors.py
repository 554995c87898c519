"""Every error `bench` raises on purpose.

One tree. A `UserError` is something the user must fix: the command line prints it without a traceback and exits 2.
Any other `BenchError` is a failure of the work itself (exit 1). Anything else is a bug and keeps its traceback.

An error says what was read, what is allowed, and the way out.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_GATE = 3
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
"""As a shell says of what the end of its pipe ended."""


class BenchError(Exception):
    """A failure `bench` understands.

    Args:
        message: What happened, with the offending value in quotes.
        hint: The way out: the flag, command or edit that mends it. Printed on a line of its own.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class UserError(BenchError):
    """Something only the user can mend: a spec, an argument, a file. Exit code 2."""

    exit_code = EXIT_USER


class SpecError(UserError):
    """A spec that is malformed or does not fit the world; carries every problem of the file at once."""


class UnknownNameError(UserError):
    """A name that no registry knows. The message holds the nearest known names."""


class PluginError(UserError):
    """A third party's entry point that cannot be loaded or is of the wrong kind."""


class DataError(UserError):
    """A data file that is missing, damaged or contradicts its card."""


class DatasetUnavailableError(DataError):
    """A dataset that is neither under `$BENCH_DATA`, nor in the cache, nor downloadable."""


class DownloadError(DataError):
    """A download that failed or whose checksum is not the card's."""


class DeviceError(UserError):
    """A device that does not exist on this machine."""


class StoreError(UserError):
    """A store that cannot be opened, read or written."""


class StoreSchemaError(StoreError):
    """A store written by a newer (or unknown) version of `bench`."""


class DivergedError(BenchError):
    """A loss or a score that is not finite.

    Args:
        message: What was not finite.
        epoch: The epoch, from 1, in which it was seen.
    """

    def __init__(self, message: str, *, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Returns the known names that look most like `name`, best first."""
    names = sorted(set(known))
    folded = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.lower(), folded, n=limit, cutoff=0.5)
    return [folded[match] for match in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest known name, or "" when none is near."""
    matches = nearest(name, known, limit=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
