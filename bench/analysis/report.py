"""Result tables as text: Markdown, CSV, LaTeX, HTML, JSON, and plain cells for whoever draws them.

Rounding happens here, for display only; CSV and JSON keep full precision.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.analysis.significance import BETTER, WORSE, row_id
from bench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.analysis.significance import Mark, Significance
    from bench.analysis.summary import Row, Table

Format = Literal["md", "csv", "tex", "json", "html"]
ABSENT = "–"
INTERVAL = "±95 %"
GENERATED = "Generated data: numbers say nothing about the real data set."


@dataclass(frozen=True)
class Cell:
    """One entry of a drawn table.

    Attributes:
        text: Plain text, not yet escaped for any format.
        place: 1 for the best and 2 for the second best score of its column; else 0.
        mark: "*" for significantly better than the reference, "†" for significantly worse; else "".
        about: What the mark says, in words.
    """

    text: str
    place: int = 0
    mark: str = ""
    about: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table ready to be drawn.

    Attributes:
        title: One line.
        headers: Column names.
        left: Whether each column is text (left) or a number (right).
        rows: Cells, one per header.
        notes: Lines to print below.
    """

    title: str
    headers: tuple[str, ...]
    left: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]


def sheet(table: Table, *, digits: int = 4, significance: Significance | None = None) -> Sheet:
    """Lays a table out: method, mean and interval of each metric, seeds, best epoch, s/epoch, trials, status.

    Args:
        table: One result table.
        digits: Decimals of scores.
        significance: How the rows compare with a reference.
    """
    marks: Mapping[tuple[str, str], Mark] = {}
    if significance is not None:
        marks = significance.marks.get(table.key, {})
    headers: list[str] = ["method"]
    for name in table.metrics:
        headers += [name, INTERVAL]
    headers += ["seeds", "best epoch", "s/epoch", "trials", "status"]
    rankings = {name: table.ranking(name) for name in table.metrics}
    rows = []
    for row in table.rows:
        cells = [Cell(row.label)]
        for name in table.metrics:
            score = row.scores.get(name)
            place = _place(score.mean, rankings[name]) if score is not None and row.complete else 0
            cells.append(_marked(_number(None if score is None else score.mean, digits), place, marks, row, name))
            cells.append(Cell(_number(None if score is None else score.half_width, digits)))
        best = ABSENT if row.best_epoch is None else f"{row.best_epoch:g}"
        pace = _number(row.seconds_per_epoch, 1)
        cells += [Cell(text) for text in (seeds_text(row), best, pace, trials_text(row), status_text(row))]
        rows.append(tuple(cells))
    left = (True, *[False] * (2 * len(table.metrics) + 3), True, True)
    notes = _notes(table) + (significance.notes_of(table.key) if significance is not None else ())
    return Sheet(table.title, tuple(headers), left, tuple(rows), notes)


def _marked(text: str, place: int, marks: Mapping[tuple[str, str], Mark], row: Row, metric: str) -> Cell:
    mark = marks.get((row_id(row), metric))
    if mark is None:
        return Cell(text, place)
    sign = "" if mark.better is None or not mark.significant else BETTER if mark.better else WORSE
    return Cell(text, place, sign, mark.about)


def render(tables: Sequence[Table], form: str, *, digits: int = 4, significance: Significance | None = None) -> str:
    """Writes tables in one of the formats "md", "csv", "tex", "json" and "html".

    Args:
        tables: Result tables.
        form: The format.
        digits: Decimals of scores in "md", "tex" and "html"; the others keep full precision.
        significance: How the rows compare with a reference; None marks nothing.

    Raises:
        UserError: The format is unknown.
    """
    from bench.analysis.report_html import to_html
    from bench.analysis.report_latex import to_latex

    drawn = [sheet(table, digits=digits, significance=significance) for table in tables]
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: "\n".join(map(_markdown, drawn)),
        "tex": lambda: "\n".join(map(to_latex, drawn)),
        "csv": lambda: _csv(tables, significance),
        "json": lambda: json.dumps([_plain(t, significance) for t in tables], indent=2, allow_nan=False) + "\n",
        "html": lambda: to_html(tables, drawn),
    }
    if form not in writers:
        raise UserError(
            f"unknown report format {form!r}.{did_you_mean(form, writers)}",
            hint=f"Known: {', '.join(get_args(Format))}.",
        )
    return writers[form]()


def seeds_text(row: Row) -> str:
    """Returns how many seeds a row's mean is over, and of how many when some are missing."""
    if row.status != "done":
        return ABSENT
    return str(len(row.seeds)) if row.complete else f"{len(row.seeds)} of {len(row.planned)}"


def trials_text(row: Row) -> str:
    """Returns how many trials chose a row's configuration."""
    if row.trials is None:
        return ABSENT
    return f"{row.trials} ({row.pruned} pruned)" if row.pruned else str(row.trials)


def status_text(row: Row) -> str:
    """Returns a row's status, its reason, which seeds it befell, and whether its source is older than today's."""
    text = f"{row.status}: {row.reason}" if row.reason else row.status
    if row.status != "done" and not row.complete:
        text += f" (seed {', '.join(map(str, row.seeds))})"
    return f"{text} (older code)" if row.older and row.status == "done" else text


def _notes(table: Table) -> tuple[str, ...]:
    notes = [GENERATED] if table.generated else []
    if any(len(row.seeds) < 2 for row in table.rows if row.status == "done"):
        notes.append(f"{INTERVAL} needs at least two seeds.")
    if any(not row.complete for row in table.rows if row.status == "done"):
        notes.append("A row with missing seeds takes no part in best and second best.")
    if any(row.older for row in table.rows):
        notes.append("Older code: the method's source has changed since; run again to renew.")
    return tuple(notes)


def _place(mean: float, ranking: list[float]) -> int:
    return ranking.index(mean) + 1 if mean in ranking[:2] else 0


def _number(value: float | None, digits: int) -> str:
    return ABSENT if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _markdown(drawn: Sheet) -> str:
    marks = ("", "**", "_")
    lines = [
        f"**{escape_markdown(drawn.title)}**",
        "",
        "| " + " | ".join(map(escape_markdown, drawn.headers)) + " |",
        "|" + "|".join(":--" if left else "--:" for left in drawn.left) + "|",
    ]
    for row in drawn.rows:
        texts = (
            f"{marks[cell.place]}{escape_markdown(cell.text)}{marks[cell.place]}{escape_markdown(cell.mark)}"
            for cell in row
        )
        lines.append("| " + " | ".join(texts) + " |")
    for note in drawn.notes:
        lines += ["", escape_markdown(note)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Returns a text on one line that Markdown shows as it is, also inside a table."""
    text = re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)


def _csv(tables: Sequence[Table], significance: Significance | None) -> str:
    metrics = list(dict.fromkeys(name for table in tables for name in table.metrics))
    fixed = (
        "task dataset protocol budget effort dataset_digest generated method detail status reason older_code".split()
    )
    counts = "seeds planned_seeds best_epoch seconds_per_epoch seconds trials pruned peak_memory_bytes".split()
    counts += ["parameters", "frozen_parameters"]
    against = [f"{name} p against {significance.reference}" for name in metrics] if significance is not None else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*fixed, *(c for name in metrics for c in (name, f"{name} {INTERVAL}")), *counts, *against])
    for table in tables:
        key = table.key
        for row in table.rows:
            older = None if row.older is None else str(row.older).lower()
            texts = [key.task, key.dataset, key.protocol, key.budget, key.effort, key.dataset_digest]
            texts += [str(row.generated).lower(), row.method, row.detail, row.status, row.reason or "", older or ""]
            scores = [row.scores.get(name) for name in metrics]
            numbers = [v for score in scores for v in ((score.mean, score.half_width) if score else (None, None))]
            seeds = [" ".join(map(str, row.seeds)), " ".join(map(str, row.planned))]
            rest = [row.best_epoch, row.seconds_per_epoch, row.seconds, row.trials, row.pruned]
            rest += [row.memory_bytes, row.parameters, row.frozen_parameters]
            if significance is not None:
                marks = significance.marks.get(key, {})
                rest += [mark.p_value if (mark := marks.get((row_id(row), n))) else None for n in metrics]
            writer.writerow([*map(_inert, texts), *map(_exact, numbers), *seeds, *map(_exact, rest)])
    return buffer.getvalue()


def _inert(text: str) -> str:
    """Keeps a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)


def _plain(table: Table, significance: Significance | None) -> dict[str, Any]:
    key = table.key
    marks = significance.marks.get(key, {}) if significance is not None else {}
    return {
        "task": key.task,
        "dataset": key.dataset,
        "protocol": key.protocol,
        "budget": key.budget,
        "effort": key.effort,
        "dataset_digest": key.dataset_digest,
        "generated": table.generated,
        "metrics": list(table.metrics),
        "rows": [_plain_row(row, table.metrics, marks) for row in table.rows],
    }


def _plain_row(row: Row, metrics: Sequence[str], marks: Mapping[tuple[str, str], Mark]) -> dict[str, Any]:
    scores = {name: row.scores[name] for name in metrics if name in row.scores}
    return {
        "method": row.method,
        "detail": row.detail,
        "status": row.status,
        "reason": row.reason,
        "older_code": row.older,
        "seeds": list(row.seeds),
        "planned_seeds": list(row.planned),
        "scores": {
            name: {
                "mean": _finite(score.mean),
                "half_width_95": score.half_width,
                "values": [_finite(value) for value in score.values],
            }
            | (marks[row_id(row), name].plain() if (row_id(row), name) in marks else {})
            for name, score in scores.items()
        },
        "best_epoch": row.best_epoch,
        "seconds_per_epoch": row.seconds_per_epoch,
        "seconds": row.seconds,
        "trials": row.trials,
        "pruned": row.pruned,
        "peak_memory_bytes": row.memory_bytes,
        "parameters": row.parameters,
        "frozen_parameters": row.frozen_parameters,
        "runs": {str(seed): fingerprint for seed, fingerprint in row.fingerprints.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
