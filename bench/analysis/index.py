"""The rows of all result tables at a glance: what `summarise` says of them, from counts alone.

`bench.analysis.summary` reads every run of a table; that is right for one table and slow for a thousand. This index has
the same rows, with the mean of the selection metric only, and takes its time from the number of rows, not of runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from bench.analysis.ranks import ScoreGrid
from bench.analysis.summary import TableKey, effort_text, metric_direction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.metrics.base import Direction

TABLE = list(TableKey.__dataclass_fields__)
"""Columns that make a table."""
ROW = [*TABLE, "method", "variant"]
"""Columns that make a row of a table."""


class TableSummary(NamedTuple):
    """A table, and what is in it."""

    key: TableKey
    family: str
    generated: bool
    select: str
    """The metric its rows are ordered by."""
    methods: int
    done: int
    """Methods with a finished row."""


class TaskGrid(NamedTuple):
    """One task's methods by tables."""

    tables: tuple[TableSummary, ...]
    grid: ScoreGrid
    """The selection metric of each table, signed so that higher is better: columns may differ in metric."""
    means: Mapping[tuple[str, int], float]
    """(method, number of the table) to the mean as it is."""


def result_index(groups: pl.DataFrame, current: Mapping[str, str | None] | None = None) -> pl.DataFrame:
    """Turns counts of runs into one line per row of a result table.

    Args:
        groups: What `bench.store.index.result_groups` returns.
        current: Method label to the digest of its source today; see `summarise`.

    Returns:
        The columns of `TABLE` and `ROW`, and `family`, `generated`, `select`, `study`, `method_digest`; `fingerprint`
        (of one of its runs, a finished one if there is any), `since` (of the oldest finished) and `created` (of the
        newest), `runs`, `done` and `planned` (numbers of seeds), `complete`, `mean` (of `select` over finished seeds;
        null when one lacks it), `older` (null: unknown).
    """
    details = pl.concat([groups["detail"], groups["last_detail"]]).unique().drop_nulls().to_list()
    parsed = [json.loads(text) for text in details]
    budgets = pl.DataFrame(
        {
            "detail": details,
            "effort": [effort_text(detail) for detail in parsed],
            "asked": [[str(seed) for seed in detail.get("seeds") or ()] for detail in parsed],
        },
        schema={"detail": pl.String, "effort": pl.String, "asked": pl.List(pl.String)},
    )
    last = budgets.select(last_detail="detail", last_asked="asked")
    frame = groups.join(budgets, on="detail", how="left").join(last, on="last_detail", how="left")
    frame = _attach_dataless(frame)
    done = pl.col("status") == "done"
    rows = (
        # Finished runs first, so that `first` prefers them.
        frame.sort(done, "created", descending=[True, True])
        .group_by(ROW, maintain_order=True)
        .agg(
            pl.col("family", "generated", "select", "study", "fingerprint", "method_digest").first(),
            pl.col("since").filter(done).min(),
            pl.col("created").first(),
            pl.col("runs").sum(),
            pl.col("runs").filter(done).sum().alias("done"),
            pl.col("scored").filter(done).sum().alias("scored"),
            pl.col("total").filter(done).sum().alias("total"),
            pl.col("seeds").str.split(",").list.explode().alias("seeds"),
            pl.col("asked").list.explode().alias("asked"),
            pl.col("last_asked").list.explode().alias("last_asked"),
        )
    )
    planned = pl.col("seeds").list.set_union("asked").list.set_union("last_asked").list.drop_nulls().list.len()
    rows = rows.with_columns(
        planned=planned.cast(pl.Int64),
        # Sums of equal scores may differ in their last bits with the order of the seeds, and must tie.
        mean=pl.when((pl.col("done") > 0) & (pl.col("scored") == pl.col("done")))
        .then((pl.col("total") / pl.col("done")).round_sig_figs(12))
        .otherwise(None),
    ).with_columns(complete=pl.col("done") == pl.col("planned"), older=_older(rows, current or {}))
    return rows.drop("seeds", "asked", "last_asked", "scored", "total").sort(ROW)


def _older(rows: pl.DataFrame, current: Mapping[str, str | None]) -> pl.Series:
    pairs = zip(rows["method"].to_list(), rows["method_digest"].to_list(), strict=True)
    return pl.Series([None if m not in current else current[m] != digest for m, digest in pairs], dtype=pl.Boolean)


def _attach_dataless(frame: pl.DataFrame) -> pl.DataFrame:
    """Moves cells without a digest of their data to the newest table of the same name, as `summarise` does."""
    name = [column for column in TABLE if column != "dataset_digest"]
    known = (
        frame.filter(pl.col("dataset_digest") != "").sort("created").group_by(name).agg(pl.col("dataset_digest").last())
    )
    joined = frame.join(known, on=name, how="left", suffix="_newest", nulls_equal=True)
    digest = pl.when(pl.col("dataset_digest") == "").then(pl.coalesce("dataset_digest_newest", "dataset_digest"))
    return joined.with_columns(digest.otherwise("dataset_digest").alias("dataset_digest")).drop("dataset_digest_newest")


def chosen_rows(index: pl.DataFrame) -> pl.DataFrame:
    """Returns the one finished row that speaks for each method of each table, as `Table.row` chooses it."""
    group = [*TABLE, "method"]
    current = ~pl.col("older").fill_null(value=False)
    finished = index.filter(pl.col("done") > 0).sort(current, "created")
    newest = pl.col("method_digest") == pl.col("method_digest").last().over(group)
    return finished.filter(newest).sort("since").group_by(group, maintain_order=True).first()


def tables(index: pl.DataFrame) -> list[TableSummary]:
    """Returns the tables of an index: real data before generated, then those with most finished methods."""
    finished = pl.col("method").filter(pl.col("done") > 0)
    found = index.group_by(TABLE).agg(
        pl.col("family").first(),
        pl.col("generated").any(),
        pl.col("select").mode().sort().first(),
        pl.col("method").n_unique().alias("methods"),
        finished.n_unique().alias("done_methods"),
    )
    order = found.sort(["generated", "done_methods", *TABLE], descending=[False, True, *[False] * len(TABLE)])
    return [
        TableSummary(
            TableKey(**{name: row[name] for name in TABLE}),
            row["family"],
            row["generated"],
            row["select"],
            row["methods"],
            row["done_methods"],
        )
        for row in order.iter_rows(named=True)
    ]


def task_grid(
    index: pl.DataFrame,
    shown: Sequence[TableSummary],
    *,
    direction: Callable[[str], Direction | None] = metric_direction,
) -> TaskGrid:
    """Lays the selection metric out, methods by tables. Only rows without a missing seed count.

    Args:
        index: Rows of one task (`result_index`).
        shown: The tables to lay out; one whose metric has no known direction is left out.
        direction: Which way a metric is better.
    """
    ways = {table.select: direction(table.select) for table in shown}
    kept = tuple(table for table in shown if ways[table.select] is not None)
    number = {table.key: place for place, table in enumerate(kept)}
    names: set[str] = set()
    means: dict[tuple[str, int], float] = {}
    for row in index.select(*TABLE, "method").unique().iter_rows(named=True):
        if TableKey(**{name: row[name] for name in TABLE}) in number:
            names.add(row["method"])
    # Only rows that were selected by a table's metric speak in it: another one's choice is not made for it.
    wanted = pl.DataFrame(
        [{**vars(table.key), "select": table.select} for table in kept],
        schema=dict.fromkeys([*TABLE, "select"], pl.String),
    )
    whole = chosen_rows(index.join(wanted, on=[*TABLE, "select"], how="semi"))
    for row in whole.filter("complete", pl.col("mean").is_finite()).iter_rows(named=True):
        means[row["method"], number[TableKey(**{name: row[name] for name in TABLE})]] = row["mean"]
    methods = tuple(sorted(names))
    signs = [-1.0 if ways[table.select] == "minimize" else 1.0 for table in kept]
    values = tuple(
        tuple(None if (m, i) not in means else sign * means[m, i] for i, sign in enumerate(signs)) for m in methods
    )
    titles = tuple(f"{table.key.dataset} · {table.key.protocol} · {table.key.budget}" for table in kept)
    return TaskGrid(kept, ScoreGrid("selection metric", "maximize", methods, titles, values), means)
