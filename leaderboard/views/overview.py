"""Overview: every task, its methods by datasets, where each stands and how much of the grid it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import streamlit as st

from bench.analysis.index import tables, task_grid
from bench.analysis.ranks import ranking
from leaderboard.components.downloads import csv_button, file_stem
from leaderboard.components.tables import height
from leaderboard.components.text import ABSENT, count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.index import TableSummary, TaskGrid
    from leaderboard.components.board import Board

FAMILIES = ("recommendation", "classification", "generation", "vqa")
SPECS = {
    "recommendation": "baby_all",
    "classification": "classification_all",
    "generation": "generation_all",
    "vqa": "vqa_all",
}
DATA = ("Real data", "Generated data")
CELLS = ("Rank", "Score")
ANY = "All"
COLUMNS = 6
"""Datasets that fit beside each other."""
ROWS = 10
"""Methods of a task on one page, where there are more than `ONE_PAGE`."""
ONE_PAGE = 15
CRITICAL = "Mean ranks over the datasets shown, and which methods Nemenyi's test tells apart (Demšar 2006)."


class Filters(NamedTuple):
    """What is shown."""

    families: tuple[str, ...]
    datasets: tuple[str, ...]
    budget: str
    data: str
    method: str
    cells: str


def render(board: Board) -> None:
    """Draws the page below its title, which the router draws at once."""
    index = board.rows()
    every = tables(index)
    st.caption(
        f"{count(int(index['runs'].sum()), 'run')} of {count(index['method'].n_unique(), 'method')} on "
        f"{count(len({table.key.dataset for table in every}), 'dataset')}. Methods are ranked on each dataset by their "
        "mean test score over seeds, 1 is best; a method that lacks a dataset or a seed is counted, and not ranked."
    )
    filters = _filters(every)
    shown = [table for table in every if _fits(table, filters)]
    index = index.filter(pl.col("method").str.to_lowercase().str.contains(filters.method.lower(), literal=True))
    for family in filters.families:
        mine = [table for table in shown if table.family == family]
        if not mine:
            _nothing(family, any(table.family == family for table in every))
            continue
        for task in dict.fromkeys(table.key.task for table in mine):
            _task(board, index.filter(pl.col("task") == task), [t for t in mine if t.key.task == task], filters)


def _filters(every: list[TableSummary]) -> Filters:
    known = list(dict.fromkeys([*FAMILIES, *(table.family for table in every)]))
    columns = st.columns([3, 3, 2, 2, 2, 2])
    families = columns[0].multiselect("Family", known, key="family", bind="query-params", placeholder="All families")
    names = sorted({table.key.dataset for table in every})
    datasets = columns[1].multiselect("Dataset", names, key="datasets", bind="query-params", placeholder="All datasets")
    budgets = [ANY, *sorted({table.key.budget for table in every})]
    budget = columns[2].selectbox("Budget", budgets, key="budget", bind="query-params")
    data = columns[3].selectbox("Data", [ANY, *DATA], key="data", bind="query-params")
    method = columns[4].text_input(
        "Method", key="find", bind="query-params", placeholder="part of a name", type="search"
    )
    cells = columns[5].segmented_control(
        "Cells show", CELLS, default=CELLS[0], key="cells", bind="query-params", required=True
    )
    return Filters(
        tuple(families or known), tuple(datasets), budget or ANY, data or ANY, method or "", cells or CELLS[0]
    )


def _fits(table: TableSummary, filters: Filters) -> bool:
    return (
        table.family in filters.families
        and (not filters.datasets or table.key.dataset in filters.datasets)
        and filters.budget in (ANY, table.key.budget)
        and filters.data in (ANY, DATA[table.generated])
    )


def _nothing(family: str, filtered: bool) -> None:
    st.subheader(plain(family.capitalize()) if family != "vqa" else "VQA", anchor=False)
    if filtered:
        st.text("Nothing fits the filters.")
        return
    st.text("No results yet. A spec that makes some:")
    st.code(f"bench run specs/{SPECS.get(family, 'quickstart')}.yaml", language="sh")


def _task(board: Board, index: pl.DataFrame, mine: list[TableSummary], filters: Filters) -> None:
    task = mine[0].key.task
    st.subheader(plain(title(task)), anchor=False)
    counted = one_each(mine)
    laid = task_grid(index, counted)
    if not laid.tables:
        st.text("Nobody knows which way the metrics of these results are better, so nothing is ranked.")
        return
    visible = _visible(laid)
    frame = standing(laid, filters.cells == "Rank", visible)
    metrics = ", ".join(dict.fromkeys(table.select for table in laid.tables))
    hidden = len(laid.tables) - len(visible)
    more = f" {count(hidden, 'more dataset')} beyond those shown: choose by Dataset." if hidden else ""
    if others := len(mine) - len(counted):
        more += f" {count(others, 'table')} of other settings left out, as a dataset counts once: choose by Budget."
    st.caption(f"By {plain(metrics)} on {count(len(laid.tables), 'dataset')}; {count(frame.height, 'method')}.{more}")
    page = _page(frame, task)
    st.dataframe(
        # As Arrow, so that pandas is not imported before the first table is drawn.
        page.to_arrow(compat_level=pl.CompatLevel.oldest()),
        hide_index=True,
        width="stretch",
        height=height(page.height, most=ONE_PAGE),
        column_config=_columns(laid, visible, filters.cells == "Rank"),
        placeholder=ABSENT,
        key=f"grid {task}",
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        first = laid.tables[0].key
        board.link("task", "Open the tables", icon=":material/table:", task=task, dataset=first.dataset)
        csv_button(lambda: everything(laid), name=file_stem("overview", task), key=f"csv {task}")
        wanted = st.toggle("Critical difference", key=f"cd-{task}", bind="query-params", help=CRITICAL)
    if wanted:
        _critical(laid, task)


def one_each(mine: Sequence[TableSummary]) -> list[TableSummary]:
    """Returns the first table of every dataset: two settings of one are not two datasets to rank over.

    Args:
        mine: Tables of one task, those most methods finished first.
    """
    first: dict[str, TableSummary] = {}
    for table in mine:
        first.setdefault(table.key.dataset, table)
    return list(first.values())


def _critical(laid: TaskGrid, task: str) -> None:
    # Here, so that the first table needs neither scipy nor altair.
    from bench.analysis.ranks import TooFew, critical_difference
    from leaderboard.components.rank_charts import draw_critical_difference

    found = critical_difference(laid.grid)
    if isinstance(found, TooFew):
        st.text(f"Too few: {found.reason}.")
        return
    p_value = f"= {found.p_value:.3f}" if found.p_value >= 0.001 else "< 0.001"
    verdict = "the methods differ" if found.p_value < found.alpha else "nothing says that the methods differ"
    st.caption(
        f"{count(len(found.methods), 'method')} that have all {count(found.datasets, 'dataset')} shown. "
        f"Friedman's test: p {p_value}, {verdict}. Mean ranks closer than {found.critical:.2f} are not told apart "
        f"(Nemenyi, level {found.alpha:g})."
    )
    draw_critical_difference(found, task)
    _pairs(laid, task)


def _pairs(laid: TaskGrid, task: str) -> None:
    """Shows every pair of methods over the datasets: wins, losses, Wilcoxon's signed-rank test."""
    from bench.analysis.ranks import TooFew, pairs_over_datasets

    tests = pairs_over_datasets(laid.grid)
    refused = next((test.corrected for test in tests if isinstance(test.corrected, TooFew)), None)
    numbers = [None if isinstance(test.corrected, TooFew) else float(test.corrected) for test in tests]
    st.caption(
        f"Every pair over {count(len(laid.tables), 'dataset')}: Wilcoxon's signed-rank test, Holm's correction over "
        f"{count(len(tests), 'pair')}." + (f" Without a p: too few, {refused.reason}." if refused is not None else "")
    )
    frame = pl.DataFrame(
        {
            "first": [test.a for test in tests],
            "second": [test.b for test in tests],
            "second is better": [test.wins for test in tests],
            "first is better": [test.losses for test in tests],
            "p (Holm)": pl.Series(numbers, dtype=pl.Float64),
        }
    )
    st.dataframe(
        frame.sort("p (Holm)", nulls_last=True).to_arrow(compat_level=pl.CompatLevel.oldest()),
        hide_index=True,
        width="content",
        height=height(frame.height, most=ONE_PAGE),
        column_config={"p (Holm)": st.column_config.NumberColumn(format="%.4f")},
        placeholder=ABSENT,
        key=f"pairs {task}",
    )


def title(task: str) -> str:
    """Returns a task's name as a heading."""
    return "VQA" if task == "vqa" else task.replace("_", " ").capitalize()


def _visible(laid: TaskGrid) -> list[int]:
    """Returns the tables that are shown: those most methods finished come first."""
    return list(range(min(COLUMNS, len(laid.tables))))


def standing(laid: TaskGrid, ranks: bool, visible: list[int]) -> pl.DataFrame:
    """Returns a row per method, best first: coverage, place and its cells.

    Args:
        laid: The task's methods by tables.
        ranks: Whether cells are ranks among the methods of the table, else scores.
        visible: Numbers of the tables that get a column.
    """
    order = ranking(laid.grid)
    frame = pl.DataFrame(
        {
            "method": [rank.method for rank in order],
            "place": [rank.place for rank in order],
            "mean_rank": [rank.mean_rank for rank in order],
            "borda": [rank.borda for rank in order],
            "wins": [rank.wins if rank.place is not None else None for rank in order],
            "coverage": [f"{rank.have} of {rank.of}" for rank in order],
        },
        schema={
            **{"method": pl.String, "place": pl.Float64, "mean_rank": pl.Float64, "borda": pl.Float64},
            **{"wins": pl.Int64, "coverage": pl.String},
        },
    )
    for place in visible:
        means = [laid.means.get((rank.method, place)) for rank in order]
        column = pl.Series(f"table {place}", means, dtype=pl.Float64)
        if ranks:
            signed = pl.Series([laid.grid.values[laid.grid.methods.index(rank.method)][place] for rank in order])
            column = signed.cast(pl.Float64).rank("average", descending=True).alias(f"table {place}")
        frame = frame.with_columns(column)
    return frame


def everything(laid: TaskGrid) -> pl.DataFrame:
    """Returns the download: a row per method and table, with its mean and its rank there."""
    rows = []
    for place, table in enumerate(laid.tables):
        signed = pl.Series([row[place] for row in laid.grid.values], dtype=pl.Float64)
        ranks = signed.rank("average", descending=True).to_list()
        for method, rank in zip(laid.grid.methods, ranks, strict=True):
            mean = laid.means.get((method, place))
            rows.append((*vars(table.key).values(), table.generated, method, table.select, mean, rank))
    names = [*vars(laid.tables[0].key), "generated", "method", "metric", "mean", "rank"]
    kinds = {"generated": pl.Boolean, "mean": pl.Float64, "rank": pl.Float64}
    return pl.DataFrame(rows, schema={name: kinds.get(name, pl.String) for name in names}, orient="row")


def _page(frame: pl.DataFrame, task: str) -> pl.DataFrame:
    if frame.height <= ONE_PAGE:
        return frame
    pages = -(-frame.height // ROWS)
    number = st.pagination(pages, key=f"page-{task}", bind="query-params")
    return frame.slice((number - 1) * ROWS, ROWS)


def _columns(laid: TaskGrid, visible: list[int], ranks: bool) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    columns: dict[str, Any] = {
        "method": text("Method", width=180),
        "place": number(
            "Place", format="%g", width=64, help="By Borda count over all datasets; equal counts share it."
        ),
        "mean_rank": number("Mean rank", format="%.2f", width=90, help="Mean of the ranks over all datasets."),
        "borda": number(
            "Borda", format="%g", width=70, help="Methods it beats, summed over datasets; draws count half."
        ),
        "wins": number("Wins", width=60, help="Datasets on which none is better."),
        "coverage": text("Coverage", width=85, help="Datasets on which it has a row with every seed."),
    }
    # What is left of 1,120 pixels, so that nothing has to be scrolled sideways.
    width = max(92, 552 // len(visible)) if len(visible) > 3 else None
    for place in visible:
        table = laid.tables[place]
        columns[f"table {place}"] = number(
            _heading(table), format="%g" if ranks else "%.4f", help=plain(about(table)), width=width
        )
    return columns


def _heading(table: TableSummary) -> str:
    return table.key.dataset + (" (generated)" if table.generated else "")


def about(table: TableSummary) -> str:
    """Returns what the numbers of a table are."""
    key = table.key
    data = "generated data" if table.generated else "real data"
    return f"{key.dataset} ({data}), {key.protocol}, budget {key.budget}: {key.effort}; {table.select}"
