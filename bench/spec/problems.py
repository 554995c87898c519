"""What is wrong with a spec, and where: positions, problems, and the one error that carries them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

Loc = tuple[str | int, ...]
"""A way into a spec: keys and list indices, outermost first."""

_LONGEST_VALUE = 60


class Position(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One thing to mend in a spec."""

    position: Position
    """Where the offending key or value was written."""
    path: str
    """The way to it from the top: `experiments[0].methods[2].set.dim`."""
    message: str
    """What was read, what is allowed, and the nearest valid name."""

    def __str__(self) -> str:
        return f"{self.position}: {self.path}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the problem as JSON-ready values."""
        return {
            "file": self.position.file,
            "line": self.position.line,
            "column": self.position.column,
            "path": self.path,
            "message": self.message,
        }


class InvalidSpecError(SpecError):
    """A spec with problems; the message has one line for each, in the order of the file.

    Attributes:
        problems: All of them, sorted by position, without repeats.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Returns distinct problems file by file, by position in each."""
    distinct = list(dict.fromkeys(problems))
    rank = {file: number for number, file in enumerate(dict.fromkeys(problem.position.file for problem in distinct))}
    return sorted(distinct, key=lambda p: (rank[p.position.file], p.position.line, p.position.column, p.path))


def format_path(loc: Loc) -> str:
    """Returns a location as text: `experiments[0].task`; the top is called `spec`."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "spec"


def shown(value: object) -> str:
    """Returns a value as a message quotes it: YAML's words, long text cut short, containers by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
