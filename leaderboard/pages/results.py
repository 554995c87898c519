"""Results: one table per task, dataset, protocol and budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from bench.analysis.report import (
    ABSENT,
    GENERATED,
    INTERVAL,
    method_text,
    render,
    seeds_text,
    status_text,
    trials_text,
)
from bench.analysis.summary import summarise
from leaderboard.source import load, show_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.analysis.summary import Row, Table
    from bench.store.records import RunRecord

SHOWN_METRICS = 2
ROW_HEIGHT = 35
# Translucent, so that they read on a light and on a dark page.
BEST = "font-weight: 700; background-color: rgba(42, 111, 151, 0.24)"
SECOND = "background-color: rgba(42, 111, 151, 0.10)"


def main() -> None:
    """Draws the page."""
    content = load()
    st.title("Leaderboard")
    if not content.runs:
        show_empty(content.address)
        return
    st.caption(f"Mean over seeds of the test metric, and the half width of its Student-t interval ({INTERVAL}).")
    runs = pick(content.runs)
    tables = summarise(runs, trials=content.trials, current=content.current)
    for number, table in enumerate(tables):
        show(table, number)
    st.divider()
    st.text(f"{len(content.runs)} runs in {content.address}")


def pick(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Asks for task, dataset, protocol and budget; each list holds what the picks before it leave."""
    columns = st.columns(4)
    left = list(runs)
    for column, name in zip(columns, ("task", "dataset", "protocol", "budget"), strict=True):
        options = _by_interest(left, lambda run, name=name: str(getattr(run, name)))
        chosen = column.selectbox(name.capitalize(), options, key=name)
        left = [run for run in left if getattr(run, name) == chosen]
    return left


def _by_interest(runs: Sequence[RunRecord], value: Callable[[RunRecord], str]) -> list[str]:
    """Orders the values: real data before generated, then by the number of finished runs."""
    finished: dict[str, tuple[int, int]] = {}
    for run in runs:
        real, done = finished.get(value(run), (0, 0))
        finished[value(run)] = (real + (not run.generated), done + (run.status == "done"))
    return sorted(finished, key=lambda name: (finished[name][0] == 0, -finished[name][1], name))


def show(table: Table, number: int) -> None:
    """Draws one table with its marks, metric picker and download."""
    st.text(table.title)
    if table.generated:
        st.warning(GENERATED, icon=":material/science:")
    names = st.multiselect(
        "Metrics", table.metrics, default=_first_metrics(table), key=f"metrics {number} {table.title}"
    )
    frame, styles = layout(table, names)
    st.dataframe(
        frame.style.apply(lambda _: styles, axis=None),
        hide_index=True,
        width="stretch",
        height=ROW_HEIGHT * (len(frame) + 1) + 3,
        column_config=_columns(names),
        placeholder=ABSENT,
        key=f"table {number} {table.title}",
    )
    left, right = st.columns([5, 1], vertical_alignment="top")
    done = sum(row.status == "done" for row in table.rows)
    left.caption(
        f"{done} of {len(table.rows)} rows finished. Best and second best are shaded, among rows with all their seeds. "
        f"{INTERVAL} needs at least two seeds. Older code: the method's source has changed since the run."
    )
    key = table.key
    right.download_button(
        "Download CSV",
        render([table], "csv"),
        file_name="_".join((key.task, key.dataset, key.protocol, key.budget)).replace("/", "-") + ".csv",
        mime="text/csv",
        icon=":material/download:",
        key=f"csv {number}",
        width="stretch",
    )

    unfinished = [row for row in table.rows if row.status != "done"]
    if unfinished:
        st.markdown("**Not finished**")
        st.text("\n".join(f"{method_text(row)} · {status_text(row)}" for row in unfinished))


def _first_metrics(table: Table) -> list[str]:
    """Returns the selection metric and, at the same cut-off, one of another family."""
    if table.primary is None:
        return list(table.metrics[:SHOWN_METRICS])
    family, _, cutoff = table.primary.partition("@")
    others = [name for name in table.metrics if name != table.primary]
    others.sort(key=lambda name: (name.partition("@")[0] == family, name.partition("@")[2] != cutoff))
    return [table.primary, *others][:SHOWN_METRICS]


def layout(table: Table, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the cells to draw and, for each, its style."""
    cells = pd.DataFrame([_cells(row, names) for row in table.rows])
    styles = pd.DataFrame("", index=cells.index, columns=cells.columns)
    for name in names:
        ranking = table.ranking(name)[:2]
        for index, row in enumerate(table.rows):
            score = row.scores.get(name)
            if score is not None and row.complete and score.mean in ranking:
                styles.loc[index, name] = (BEST, SECOND)[ranking.index(score.mean)]
    return cells, styles


def _cells(row: Row, names: Sequence[str]) -> dict[str, object]:
    cells: dict[str, object] = {"method": method_text(row)}
    for name in names:
        score = row.scores.get(name)
        cells[name] = None if score is None else score.mean
        cells[f"{INTERVAL} {name}"] = None if score is None else score.half_width
    minutes = None if row.seconds is None or row.status != "done" else row.seconds / 60
    return cells | {
        "seeds": seeds_text(row),
        "best epoch": row.best_epoch,
        "s/epoch": row.seconds_per_epoch,
        "minutes": minutes,
        "trials": trials_text(row),
        "data": "generated" if row.generated else "real",
        "code": {None: "unknown", True: "older", False: "current"}[row.older],
        "status": row.status,
    }


def _columns(names: Sequence[str]) -> dict[str, object]:
    number = st.column_config.NumberColumn
    text = st.column_config.TextColumn
    columns: dict[str, object] = {"method": text("method", width="medium")}
    for name in names:
        columns[name] = number(name, format="%.4f")
        columns[f"{INTERVAL} {name}"] = number(
            INTERVAL, format="%.4f", help="Half width over seeds; empty for one seed."
        )
    return columns | {
        "seeds": text("seeds", width=60, help="Seeds the mean is over."),
        "best epoch": number("best epoch", format="%g", width=85, help="Median over seeds."),
        "s/epoch": number("s/epoch", format="%.1f", width=75, help="Training seconds per epoch."),
        "minutes": number("min/run", format="%.1f", width=75, help="Whole time of one run, compiling to testing."),
        "trials": text("trials", help="Trials of the search that chose the configuration."),
        "data": text("data", width=85, help="Whether the data is real or generated."),
        "code": text("code", width=75, help="Whether the method's source is still the one that made the result."),
        "status": text("status", help="Why a cell did not finish is said below the table."),
    }


main()
