"""Result tables as one HTML file that needs nothing else: no script, no font, no address is loaded."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from bench.analysis.cost import cost_of, tradeoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.report import Cell, Sheet
    from bench.analysis.summary import Row, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --ground: #ffffff;
  --head: #f6f8fa; --best: #dafbe1; --second: #eef6ff; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --ground: #0d1117;
  --head: #151b23; --best: #12361d; --second: #14263d; --warn: #d29922; } }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 0; }
p, li { color: var(--soft); margin: .25rem 0; }
section { margin: 2.25rem 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); font-weight: 600; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 500; }
.left { text-align: left; }
td.wrap { white-space: normal; min-width: 8rem; max-width: 24rem; overflow-wrap: anywhere; }
.best { background: var(--best); font-weight: 700; }
.second { background: var(--second); text-decoration: underline; }
.spread { color: var(--soft); font-weight: 400; text-decoration: none; display: inline-block; }
.warn { color: var(--warn); font-weight: 600; }
a { color: inherit; }
a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--warn); outline-offset: 2px; }
@media print { body { margin: 0; max-width: none; } .scroll { border: 0; } section { break-inside: avoid; } }
"""
_CLASSES = ("", "best", "second")


def to_html(tables: Sequence[Table], drawn: Sequence[Sheet], *, title: str = "bench report") -> str:
    """Writes tables as a page: scores with intervals, marks, cost and the Pareto front of cost and the first metric.

    Args:
        tables: Result tables.
        drawn: The same, laid out.
        title: Heading of the page.
    """
    body = [f"<h1>{escape(title)}</h1>"]
    if not tables:
        body.append("<p>Nothing is stored that fits.</p>")
    else:
        body.append("<p>Mean over seeds; ± is Student's t at 95 %. Best bold, second best underlined.</p>")
    if len(tables) > 1:
        links = (f'<li><a href="#t{i}">{escape(sheet.title)}</a></li>' for i, sheet in enumerate(drawn))
        body.append(f"<nav><ul>{''.join(links)}</ul></nav>")
    for number, (table, sheet) in enumerate(zip(tables, drawn, strict=True)):
        body.append(_section(number, table, sheet))
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        # Even if a name slipped through unescaped, a browser would run and load nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _section(number: int, table: Table, sheet: Sheet) -> str:
    from bench.analysis.report import GENERATED, INTERVAL

    kept = [index for index, header in enumerate(sheet.headers) if header != INTERVAL]
    # The status is long text and stays last; cost goes before it.
    *most, last = kept
    front = _front(table)
    titles = [_header(sheet.headers[index], left=sheet.left[index]) for index in most]
    titles += [_header(text) for text in ("s/run", "memory", "parameters")]
    titles.append(_header(sheet.headers[last], left=True))
    rows = []
    for row, cells in zip(table.rows, sheet.rows, strict=True):
        drawn = [
            _entry(cells, index, first=place == 0, left=sheet.left[index], spread=_follows(sheet, index))
            for place, index in enumerate(most)
        ]
        drawn += _cost_cells(row, on_front=any(row is best for best in front))
        drawn.append(f'<td class="left wrap">{escape(cells[last].text)}</td>')
        rows.append(f"<tr>{''.join(drawn)}</tr>")
    notes = [f'<p class="warn">{escape(n)}</p>' if n == GENERATED else f"<p>{escape(n)}</p>" for n in sheet.notes]
    if front:
        notes.append(f"<p>◆ no row is as good on {escape(table.primary or '')} in less time.</p>")
    return (
        f'<section id="t{number}"><h2>{escape(sheet.title)}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(sheet.title)}"><table>'
        f"<thead><tr>{''.join(titles)}</tr></thead>\n<tbody>{chr(10).join(rows)}</tbody></table></div>"
        f"{''.join(notes)}</section>"
    )


def _front(table: Table) -> list[Row]:
    if table.primary is None:
        return []
    points = tradeoff(table, table.primary, "seconds")
    return [point.row for point in points if point.best] if len(points) > 1 else []


def _follows(sheet: Sheet, index: int) -> bool:
    from bench.analysis.report import INTERVAL

    return index + 1 < len(sheet.headers) and sheet.headers[index + 1] == INTERVAL


def _header(text: str, *, left: bool = False) -> str:
    return f'<th scope="col"{_class("left" if left else "")}>{escape(text)}</th>'


def _entry(cells: Sequence[Cell], index: int, *, first: bool, left: bool, spread: bool) -> str:
    from bench.analysis.report import ABSENT

    cell = cells[index]
    text = escape(cell.text)
    if cell.mark:
        text += f'<sup title="{escape(cell.about)}">{escape(cell.mark)}</sup>'
    if spread and cells[index + 1].text != ABSENT:
        text += f' <span class="spread">± {escape(cells[index + 1].text)}</span>'
    if first:
        return f'<th scope="row" class="left">{text}</th>'
    return f"<td{_class('left' if left else '', _CLASSES[cell.place])}>{text}</td>"


def _cost_cells(row: Row, *, on_front: bool) -> list[str]:
    from bench.analysis.report import ABSENT

    if row.status != "done":
        return [f"<td>{ABSENT}</td>"] * 3
    cost = cost_of(row)
    seconds = ABSENT if cost.seconds is None else f"{cost.seconds:,.1f}{' ◆' if on_front else ''}"
    memory = ABSENT if cost.memory_bytes is None else f"{cost.memory_bytes / 1e6:,.0f} MB"
    parameters = ABSENT if cost.parameters is None else f"{cost.parameters:,.0f}"
    if cost.frozen_parameters:
        parameters += f" + {cost.frozen_parameters:,.0f} frozen"
    return [f"<td>{text}</td>" for text in (seconds, memory, parameters)]


def _class(*names: str) -> str:
    used = " ".join(name for name in names if name)
    return f' class="{used}"' if used else ""
