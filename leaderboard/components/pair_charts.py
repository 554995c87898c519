"""Charts of two methods: differences over units, units beside each other, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import polars as pl
import streamlit as st

from leaderboard.components.charts import BEST, MUTED, PAIR, show_chart
from leaderboard.components.downloads import file_stem
from leaderboard.components.text import plain

if TYPE_CHECKING:
    from bench.analysis.paired import PairedUnits
    from bench.analysis.summary import Table

BINS = 41
GRID = 40
"""Cells per side of a plane with more different points than `POINTS`."""
POINTS = 2_000


def difference_bins(paired: PairedUnits) -> pl.DataFrame:
    """Counts the differences that are not zero, in equal bins around zero: `low`, `high`, `units`."""
    differences = paired.b - paired.a
    moved = differences[differences != 0]
    # Symmetric, and with an odd number of bins, so that zero is the middle of one.
    reach = float(np.abs(moved).max()) if moved.size else 1.0
    counts, edges = np.histogram(moved, bins=BINS, range=(-reach, reach))
    return pl.DataFrame({"low": edges[:-1], "high": edges[1:], "units": counts.astype(np.int64)})


def draw_differences(table: Table, a: str, b: str, metric: str, paired: PairedUnits) -> None:
    """Draws how the paired differences are distributed."""
    st.subheader("Differences over units", anchor=False)
    frame = difference_bins(paired)
    equal = int(np.count_nonzero(paired.a == paired.b))
    share = 100 * equal / len(paired.a)
    st.caption(f"Equal on {equal:,} of {len(paired.a):,} units ({share:.0f} %), which are not drawn.")
    mean = pl.DataFrame({"mean": [float((paired.b - paired.a).mean())]})
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", bin="binned", title=f"{b} minus {a}, {metric}"),
            x2="high:Q",
            y=alt.Y("units:Q", title="units"),
            color=alt.condition("datum.low + datum.high >= 0", alt.value(PAIR[1]), alt.value(PAIR[0])),
            tooltip=["low", "high", "units"],
        )
    )
    line = alt.Chart(mean).mark_rule(color=MUTED, strokeDash=[5, 3], size=2).encode(x="mean:Q", tooltip=["mean"])
    show_chart(
        alt.layer(bars, line).properties(height=320),
        frame,
        name=file_stem("differences", table.key.dataset, a, b, metric),
        alt=f"How {plain(metric)} differs unit by unit; the dashed line is the mean difference.",
        key="differences",
    )


def scatter_cells(paired: PairedUnits) -> pl.DataFrame:
    """Counts units at each pair of scores, `a`, `b`, `units`; in a grid where there are too many different pairs."""
    frame = pl.DataFrame({"a": paired.a, "b": paired.b})
    points = frame.group_by("a", "b").agg(pl.len().alias("units"))
    if points.height > POINTS:
        low = min(float(paired.a.min()), float(paired.b.min()))
        step = (max(float(paired.a.max()), float(paired.b.max())) - low) / GRID or 1.0
        cell = ((pl.col("a", "b") - low) / step).floor().clip(0, GRID - 1)
        points = frame.select((cell + 0.5) * step + low).group_by("a", "b").agg(pl.len().alias("units"))
    return points.with_columns(pl.col("units").cast(pl.Int64)).sort("a", "b")


def draw_scatter(table: Table, a: str, b: str, metric: str, paired: PairedUnits) -> None:
    """Draws every unit at its two scores."""
    st.subheader("Unit by unit", anchor=False)
    st.caption(f"A point's size is its number of units; above the line {plain(b)} scores higher.")
    frame = scatter_cells(paired)
    ends = [float(min(frame["a"].min(), frame["b"].min())), float(max(frame["a"].max(), frame["b"].max()))]  # type: ignore[type-var, arg-type]
    diagonal = (
        alt.Chart(pl.DataFrame({"a": ends, "b": ends}))
        .mark_line(color=MUTED, strokeDash=[4, 3])
        .encode(x="a:Q", y="b:Q")
    )
    points = (
        alt.Chart(frame)
        .mark_circle(color=BEST, opacity=0.55)
        .encode(
            x=alt.X("a:Q", title=f"{a}, {metric}", scale=alt.Scale(padding=12)),
            y=alt.Y("b:Q", title=f"{b}, {metric}", scale=alt.Scale(padding=12)),
            size=alt.Size(
                "units:Q", scale=alt.Scale(type="sqrt", range=[12, 500]), legend=alt.Legend(orient="top", title="units")
            ),
            tooltip=["a", "b", "units"],
        )
    )
    show_chart(
        alt.layer(diagonal, points).properties(height=320),
        frame.rename({"a": f"score of {a}", "b": f"score of {b}"}),
        name=file_stem("scatter", table.key.dataset, a, b, metric),
        alt=f"{plain(metric)} of each unit under both methods, with the line of equal scores.",
        key="scatter",
    )


def draw_curves(table: Table, a: str, b: str, name: str, frame: pl.DataFrame) -> None:
    """Draws one value over the epochs of every run."""
    frame = frame.with_columns(pl.format("{} seed {}", "method", "seed").alias("run"))
    colour = alt.Color(
        "method:N", scale=alt.Scale(domain=[a, b], range=list(PAIR)), legend=alt.Legend(title=None, orient="top")
    )
    lines = (
        alt.Chart(frame)
        .mark_line(opacity=0.8, strokeWidth=1.6)
        .encode(
            x=alt.X("epoch:Q", title="epoch"),
            y=alt.Y("value:Q", title=name, scale=alt.Scale(zero=False)),
            color=colour,
            detail="run:N",
            tooltip=["method", "seed", "epoch", "value"],
        )
    )
    show_chart(
        lines.properties(height=320),
        frame.select("method", "seed", "epoch", pl.col("value").alias(name)),
        name=file_stem("curves", table.key.dataset, a, b, name),
        alt=f"{plain(name)} over epochs, a line per seed of each method.",
        key="curves",
    )
