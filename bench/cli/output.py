"""What reaches the screen: results on stdout, everything else on stderr; plain text when it is not a terminal."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_atomic
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from bench.errors import BenchError

ABSENT = "–"
STATUS_STYLES = {
    "done": "green",
    "stored": "green",
    "to do": "cyan",
    "older": "yellow",
    "skipped": "yellow",
    "pruned": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "diverged": "red",
    "oom": "red",
    "timeout": "red",
    "lost": "red",
}


def console(*, stderr: bool = False) -> Console:
    """Returns a console that neither re-wraps, nor interprets, nor decorates what it is given."""
    from rich.console import Console

    made = Console(
        file=sys.stderr if stderr else sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    made.on_broken_pipe = _reader_left  # type: ignore[method-assign]
    return made


def _reader_left() -> None:
    # Rich would exit with 1, which here means that a cell failed.
    raise BrokenPipeError


def say(text: str = "", *, style: str | None = None) -> None:
    """Prints a line on stdout."""
    console().print(text, style=style)


def note(text: str) -> None:
    """Prints a line on stderr."""
    console(stderr=True).print(text)


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    console(stderr=True).print(f"warning: {text}", style="yellow")


def write(path: Path, text: str) -> None:
    """Writes what is asked for as a file, whole or not at all; what a link leads to, and into a pipe or a device.

    Raises:
        UserError: The folder does not exist or cannot be written.
    """
    check_writable(path)
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device is written into; a new file would take its place.
            path.write_bytes(text.encode())
        else:
            write_atomic(path.resolve(), text.encode())
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {why(error)}.", hint="Name another file.") from error


def check_writable(path: Path) -> None:
    """Checks what can be told of a file before there is something to write.

    Raises:
        UserError: It is a folder, or its own folder does not exist or cannot be written.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"'{path}' cannot be written: it is a folder.", hint="Name a file in it.")
    if not folder.is_dir():
        raise UserError(f"'{path}' cannot be written: the folder '{folder}' does not exist.", hint="Make it first.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"'{path}' cannot be written: no permission.", hint="Name another file.")


def why(error: OSError) -> str:
    """Returns what an operating system's error says, without its number and the names of our temporary files."""
    return (error.strerror or str(error)).lower()


def error(problem: BenchError) -> None:
    """Prints an error and its way out on stderr."""
    out = console(stderr=True)
    many = getattr(problem, "problems", None)
    # One problem per line, each beginning with file:line:column, is what editors and CI annotate from.
    message = f"{count(len(many), 'problem')} in the spec\n{problem.message}" if many else problem.message
    out.print(f"error: {message}", style="red")
    if problem.hint:
        out.print(f"hint: {problem.hint}")


def emit(value: Any) -> None:
    """Prints `value` as JSON on stdout; nothing else may be printed there by the same command."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Returns `value` in the types of JSON: records become objects, times ISO strings, non-finite numbers null."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    return plain(value.item()) if hasattr(value, "item") else str(value)


def layout(headers: Sequence[str], rows: Iterable[Sequence[str]], *, left: Iterable[int] = (0,)) -> list[str]:
    """Returns aligned lines, the header first; a cell that holds a line break is cut there.

    Args:
        headers: One title per column.
        rows: Cells, one per column.
        left: Columns aligned to the left; numbers want the right. The last column is never padded.
    """
    table = [list(headers), *([cell.split("\n", 1)[0] for cell in row] for row in rows)]
    left = set(left)
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    lines = []
    for row in table:
        cells = [
            cell.ljust(widths[column]) if column in left else cell.rjust(widths[column])
            for column, cell in enumerate(row)
        ]
        lines.append((" " + "  ".join(cells)).rstrip())
    return lines


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, left: Iterable[int] = (0,)) -> None:
    """Prints aligned columns, the header in bold and statuses in colour where there are colours."""
    from rich.text import Text

    out = console()
    for number, line in enumerate(layout(headers, rows, left=left)):
        text = Text(line, style="bold" if number == 0 else "")
        if number:
            for word, style in STATUS_STYLES.items():
                text.highlight_regex(rf"(?<=  ){word}(?=$|:|\s)", style)
        out.print(text)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Prints `name  value` lines, values aligned; empty values are left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        say(f" {name.ljust(width)}  {inline(value)}")


def inline(value: Any, *, nested: bool = False) -> str:
    """Returns a value on one line, without quotes; only containers inside others have brackets."""
    if isinstance(value, dict):
        text = ", ".join(f"{key}={inline(item, nested=True)}" for key, item in value.items())
        return f"{{{text}}}" if nested else text or ABSENT
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        text = ", ".join(inline(item, nested=True) for item in items)
        return f"[{text}]" if nested else text or ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return ABSENT if value is None else str(value)


def duration(seconds: float) -> str:
    """Returns a time span as a person says it: `4.2 s`, `6 min 12 s`, `3 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(number: int, noun: str) -> str:
    """Returns `1 seed`, `2 seeds`, `0 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Returns a number of bytes as `12 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit in ("B", "kB") else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
