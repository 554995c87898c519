"""Result tables as a person reads them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.summary import Table

LONGEST_CELL = 120


def print_tables(tables: Sequence[Table], *, name: str | None = None) -> None:
    """Prints tables, best row first.

    Args:
        tables: What `bench.analysis.summary.summarise` returned.
        name: The spec's name, put before every title.
    """
    from bench.analysis.report import sheet

    for number, table in enumerate(tables):
        drawn = sheet(table)
        if number:
            output.say()
        output.say(title(table, name=name), style="bold")
        left = [column for column, is_text in enumerate(drawn.left) if is_text]
        output.print_table(drawn.headers, [[_cut(cell.text) for cell in row] for row in drawn.rows], left=left)
        for note in drawn.notes:
            output.say(f" {note}")


def title(table: Table, *, name: str | None = None) -> str:
    """Returns what all rows of a table share: task, data, rules of scoring, effort."""
    key = table.key
    seeds = max((len(row.planned) for row in table.rows), default=0)
    effort = ", ".join(part for part in (key.effort, output.count(seeds, "seed")) if part)
    generated = ", generated data" if table.generated else ""
    data = f"{key.dataset} ({rules(key.protocol)}{generated})" + (f" · data {table.version}" if table.version else "")
    return " · ".join(part for part in (name, key.task, data, f"budget {key.budget}: {effort}") if part)


def rules(protocol: str) -> str:
    """Returns a protocol's name and its rules in a few words."""
    from bench.data.protocols import PROTOCOLS

    if protocol not in PROTOCOLS:
        return protocol
    return f"{protocol}: {PROTOCOLS[protocol].short}"


def _cut(text: str) -> str:
    text = text.split("\n", 1)[0]
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
