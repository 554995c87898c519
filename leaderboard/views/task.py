"""Task: one result table with intervals, significance against a reference, and published numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import streamlit as st

from bench.analysis.published import published
from bench.analysis.report import GENERATED, INTERVAL, seeds_text, status_text, trials_text
from bench.analysis.report import render as render_text
from bench.analysis.significance import row_id, significance
from bench.analysis.summary import summarise
from bench.methods.registry import current_digests
from leaderboard.components import pick
from leaderboard.components.downloads import button, file_stem
from leaderboard.components.tables import PAGE, height
from leaderboard.components.text import ABSENT, count, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.analysis.published import Published
    from bench.analysis.significance import Mark, Significance
    from bench.analysis.summary import Row, Table
    from bench.store import Store
    from leaderboard.components.board import Board
    from leaderboard.components.pick import TableChoice

NOBODY = "None"
ORDERS = ("Score", "Method", "Seconds", "Newest")
SHOWN_METRICS = 2
DRAWN = 25
"""Rows a chart can hold."""
LONG_LABEL = 26
"""Characters of a row's label that fit a column of the usual width."""
ROOMY = 10
"""Columns of a table that leave room for a wide first one."""
# Translucent, so that they read on a light and on a dark page.
BEST = "font-weight: 700; background-color: rgba(42, 111, 151, 0.26)"
SECOND = "background-color: rgba(42, 111, 151, 0.11)"


class View(NamedTuple):
    """What is shown of a table."""

    metrics: tuple[str, ...]
    reference: str
    everything: bool
    order: str


def load_table(store: Store, choice: TableChoice) -> Table:
    """Returns the table that was picked, with every row."""
    names = ("task", "dataset", "protocol", "budget")
    runs = store.runs(**{name: getattr(choice, name) for name in names})
    current = current_digests(run.method for run in runs)
    return next(t for t in summarise(runs, trials=store.trial_counts(), current=current) if t.key == choice.key)


def load_significance(
    store: Store, choice: TableChoice, reference: str, metrics: tuple[str, ...], rows: tuple[str, ...]
) -> Significance:
    """Compares the rows that are shown with the reference's."""
    table = load_table(store, choice)
    shown = [row for row in table.rows if row_id(row) in rows or row == table.row(reference)]
    return significance(store, [replace(table, rows=tuple(shown), metrics=metrics)], reference)


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Task")
    choice = pick.table(board)
    table = board.query(load_table, choice)
    _heading(table)
    view = _view(table)
    rows = ordered(chosen(table, everything=view.everything), view)
    finished = [row for row in rows if row.status == "done"]
    if not finished:
        st.info("No row of this table is finished.")
    else:
        _table(board, choice, table, finished, view)
    _unfinished([row for row in table.rows if row.status != "done"])
    if finished:
        _charts(table, finished[:DRAWN], view)


def _heading(table: Table) -> None:
    st.text(table.title)
    if table.generated:
        st.warning(GENERATED, icon=":material/science:")


def _view(table: Table) -> View:
    columns = st.columns([4, 2, 2, 2], vertical_alignment="bottom")
    # A table of other metrics is another widget: what was picked there says nothing here.
    metrics = columns[0].multiselect(
        "Metrics", table.metrics, default=first_metrics(table), key="metrics", bind="query-params"
    )
    known = [metric for metric in metrics if metric in table.metrics] or first_metrics(table)
    about = "Every other row is tested against it, unit by unit, with Holm's correction over the rows shown."
    reference = pick.choose("Reference", [NOBODY, *table.names()], key="reference", help=about, container=columns[1])
    order = pick.choose("Order", ORDERS, key="order", container=columns[2])
    about = "Also rows of code that has changed since."
    everything = columns[3].toggle("Older code too", key="rows", bind="query-params", help=about)
    return View(tuple(known), reference, everything, order)


def first_metrics(table: Table) -> list[str]:
    """Returns the selection metric and, at the same cut-off, one of another family."""
    if table.primary is None:
        return list(table.metrics[:SHOWN_METRICS])
    family, _, cutoff = table.primary.partition("@")
    others = [name for name in table.metrics if name != table.primary]
    others.sort(key=lambda name: (name.partition("@")[0] == family, name.partition("@")[2] != cutoff))
    return [table.primary, *others][:SHOWN_METRICS]


def chosen(table: Table, *, everything: bool) -> list[Row]:
    """Returns all rows, or those of present code; of a method that has none, the newest."""
    if everything:
        return list(table.rows)
    done = [row for row in table.rows if row.status == "done"]
    return [row for row in done if not row.older or row is table.row(row.method)]


def ordered(rows: Sequence[Row], view: View) -> list[Row]:
    """Returns rows in the order asked for; the table's own is by score."""
    if view.order == "Method":
        return sorted(rows, key=lambda row: (row.method, row.detail))
    if view.order == "Seconds":
        return sorted(rows, key=lambda row: (row.seconds is None, row.seconds or 0.0))
    if view.order == "Newest":
        return sorted(rows, key=lambda row: row.created, reverse=True)
    return list(rows)


def _table(board: Board, choice: TableChoice, table: Table, finished: list[Row], view: View) -> None:
    pages = -(-len(finished) // PAGE)
    number = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
    shown = finished[(number - 1) * PAGE : number * PAGE]
    marks = None
    if view.reference != NOBODY:
        ids = tuple(row_id(row) for row in shown)
        marks = board.query(load_significance, choice, view.reference, view.metrics, ids)
    printed = published(choice.task, choice.dataset, choice.protocol)
    frame = layout(table, shown, view.metrics, marks, printed)
    st.dataframe(
        styled(frame, table, shown, view.metrics),
        hide_index=True,
        width="stretch",
        height=height(len(shown), most=20),
        column_config=_columns(frame, view),
        placeholder=ABSENT,
        key="table",
        on_select=lambda: _follow([row.label for row in shown]),
        selection_mode="single-row",
    )
    _below(table, finished, view, marks)
    _sources(table, printed, view.metrics, shown)
    _runs(board, choice, finished)


def layout(
    table: Table,
    rows: Sequence[Row],
    metrics: Sequence[str],
    marks: Significance | None,
    printed: Mapping[tuple[str, str], Published],
) -> pl.DataFrame:
    """Returns the cells to draw, a row per row and only columns that say something."""
    columns: dict[str, pl.Series] = {"method": pl.Series([row.label for row in rows], dtype=pl.String)}
    found = marks.marks.get(table.key, {}) if marks is not None else {}
    for name in metrics:
        scores = [row.scores.get(name) for row in rows]
        columns[name] = pl.Series([score and score.mean for score in scores], dtype=pl.Float64)
        columns[f"± {name}"] = pl.Series([score and score.half_width for score in scores], dtype=pl.Float64)
        if marks is not None:
            columns[f"p {name}"] = pl.Series(
                [_mark(found, row, name, marks.reference) for row in rows], dtype=pl.String
            )
        numbers = [printed.get((row.method, name)) for row in rows]
        if any(numbers):
            columns[f"paper {name}"] = pl.Series([entry and entry.value for entry in numbers], dtype=pl.Float64)
    minutes = [None if row.seconds is None else row.seconds / 60 for row in rows]
    columns["seeds"] = pl.Series([seeds_text(row) for row in rows], dtype=pl.String)
    if marks is None and len(metrics) <= SHOWN_METRICS:
        # Else there is no room for them, and the download has them.
        if any(row.frozen_parameters for row in rows):
            columns["learned"] = pl.Series([row.parameters for row in rows], dtype=pl.Float64)
            columns["frozen"] = pl.Series([row.frozen_parameters for row in rows], dtype=pl.Float64)
        else:
            columns["best epoch"] = pl.Series([row.best_epoch for row in rows], dtype=pl.Float64)
        columns["s/epoch"] = pl.Series([row.seconds_per_epoch for row in rows], dtype=pl.Float64)
    columns["min/run"] = pl.Series(minutes, dtype=pl.Float64)
    if any(row.trials is not None for row in rows):
        columns["trials"] = pl.Series([trials_text(row) for row in rows], dtype=pl.String)
    columns["code"] = pl.Series([{None: "unknown", True: "older", False: "current"}[row.older] for row in rows])
    return pl.DataFrame(columns)


def _mark(found: Mapping[tuple[str, str], Mark], row: Row, metric: str, reference: str) -> str:
    mark = found.get((row_id(row), metric))
    if mark is None:
        return "reference" if reference in (row.method, row.label) else ABSENT
    p_value, better = mark.p_value, mark.better
    sign = "=" if not mark.significant else {True: "▲", False: "▼", None: "≠"}[better]
    return f"{sign} {p_value:.3f}" if p_value >= 0.001 else f"{sign} <.001"


def styled(frame: pl.DataFrame, table: Table, rows: Sequence[Row], metrics: Sequence[str]) -> Any:
    """Shades the best and second best score of each metric, among rows with all their seeds."""
    import pandas as pd  # type: ignore[import-untyped]

    plain_frame = frame.to_pandas()
    styles = pd.DataFrame("", index=plain_frame.index, columns=plain_frame.columns)
    for name in metrics:
        ranks = table.ranking(name)[:2]
        for place, row in enumerate(rows):
            score = row.scores.get(name)
            if score is not None and row.complete and score.mean in ranks:
                styles.loc[place, name] = (BEST, SECOND)[ranks.index(score.mean)]
    return plain_frame.style.apply(lambda _: styles, axis=None)


def _columns(frame: pl.DataFrame, view: View) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    # Settings that tell rows of one method apart must be read in full, where there is room for them.
    longest = max((len(label) for label in frame["method"]), default=0)
    wide = longest > LONG_LABEL and frame.width <= ROOMY
    columns: dict[str, Any] = {"method": text("method", width=300 if wide else 180)}
    for name in view.metrics:
        columns[name] = number(name, format="%.4f", width=82, help="Mean over seeds.")
        columns[f"± {name}"] = number(
            INTERVAL, format="%.4f", width=68, help="Half width of Student's t interval over seeds."
        )
        columns[f"p {name}"] = text(
            "against", help=f"▲ better, ▼ worse, = not told apart from {plain(view.reference)}; p."
        )
        columns[f"paper {name}"] = number("published", format="%.4f", help="As a paper prints it; its source is below.")
    columns |= {
        "seeds": text("seeds", width=60, alignment="right", help="Seeds the mean is over."),
        "best epoch": number("epoch", format="%g", width=65, help="Best epoch, median over seeds."),
        "learned": number("learned", format="compact", width=75, help="Parameters that training changes."),
        "frozen": number("frozen", format="compact", width=70, help="Parameters that training leaves as they are."),
        "s/epoch": number("s/epoch", format="%.1f", width=70, help="Training seconds per epoch."),
        "min/run": number("min/run", format="%.1f", width=70, help="Whole time of one run, compiling to testing."),
        "trials": text(
            "trials", width=100, alignment="right", help="Trials of the search that chose the configuration."
        ),
        "code": text("code", width=75, help="Whether the method's source is still the one that made the result."),
    }
    return {name: column for name, column in columns.items() if name in frame.columns}


def _follow(labels: Sequence[str]) -> None:
    """Takes over the row that was clicked."""
    rows = st.session_state["table"]["selection"]["rows"]
    if rows and rows[0] < len(labels):
        st.session_state["method"] = labels[rows[0]]


def _below(table: Table, finished: Sequence[Row], view: View, marks: Significance | None) -> None:
    said = [f"{count(len(finished), 'row')}. Best and second best are shaded, among rows with every seed."]
    if any(len(row.seeds) < 2 for row in finished):
        said.append(f"{INTERVAL} needs two seeds.")
    said += marks.notes_of(table.key) if marks is not None else ()
    if marks is not None and len(finished) > PAGE:
        said.append("The correction covers the rows of this page.")
    left, right = st.columns([6, 1], vertical_alignment="center")
    left.caption(plain(" ".join(said)).replace("\\*", "▲").replace("†", "▼"))
    full = replace(table, rows=tuple(finished))
    with right:
        button(
            lambda: render_text([full], "csv", significance=marks),
            name=f"{file_stem(table.key.task, table.key.dataset, table.key.protocol, table.key.budget)}.csv",
            mime="text/csv",
            label="Download CSV",
            key="csv table",
        )


def _sources(
    table: Table, printed: Mapping[tuple[str, str], Published], metrics: Sequence[str], rows: Sequence[Row]
) -> None:
    used = [printed[row.method, name] for row in rows for name in metrics if (row.method, name) in printed]
    if not used:
        return
    by_source: dict[tuple[str, str], list[str]] = {}
    for entry in used:
        by_source.setdefault((entry.source, entry.note), []).append(entry.method)
    with st.expander("Where the published numbers are from", icon=":material/menu_book:"):
        for (source, note), methods in by_source.items():
            st.text(f"{', '.join(dict.fromkeys(methods))}: {source}. {note}".strip())


def _runs(board: Board, choice: TableChoice, finished: Sequence[Row]) -> None:
    by_label = {row.label: row for row in reversed(finished)}
    columns = st.columns([2, 5], vertical_alignment="bottom")
    about = "A click on a row of the table chooses it, too."
    label = pick.choose("Look closer at", list(reversed(by_label)), key="method", help=about, container=columns[0])
    row = by_label[label]
    where = pick.where(board, choice.key)
    with columns[1].container(horizontal=True, gap="small", vertical_alignment="center"):
        for seed, fingerprint in row.fingerprints.items():
            board.link("run", f"Seed {seed}", icon=":material/receipt_long:", run=fingerprint)
        board.link("compare", "Compare", icon=":material/compare_arrows:", a=label, **where)
        board.link("search", "Search", icon=":material/manage_search:", method=row.method, **where)


def _unfinished(rows: Sequence[Row]) -> None:
    if not rows:
        return
    with st.expander(f"{count(len(rows), 'row')} not finished", icon=":material/error:"):
        frame = pl.DataFrame(
            {"method": [row.label for row in rows], "what happened": [status_text(row) for row in rows]}
        )
        st.dataframe(frame, hide_index=True, width="stretch", height=height(frame.height, most=10))


def _charts(table: Table, rows: Sequence[Row], view: View) -> None:
    from leaderboard.components import table_charts

    table_charts.draw_intervals(table, rows, view.metrics[0])
    table_charts.draw_cost(table, rows, view.metrics[0])
