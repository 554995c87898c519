"""Charts of one result table: scores with intervals, and quality beside cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import altair as alt
import polars as pl
import streamlit as st

from bench.analysis.cost import tradeoff
from leaderboard.components.charts import BEST, MUTED, show_chart
from leaderboard.components.downloads import file_stem
from leaderboard.components.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.cost import CostName
    from bench.analysis.summary import Row, Table

COSTS = {"Seconds": "seconds", "Memory": "memory_bytes", "Parameters": "parameters"}
UNITS = {"Seconds": "seconds of one run", "Memory": "peak memory, GiB", "Parameters": "trainable parameters"}


def draw_intervals(table: Table, rows: Sequence[Row], metric: str) -> None:
    """Draws each row's mean, its interval and its seeds."""
    st.subheader("Scores over seeds", anchor=False)
    scored = [(row, row.scores[metric]) for row in rows if metric in row.scores]
    frame = pl.DataFrame(
        {
            "method": [row.label for row, _ in scored],
            "mean": [score.mean for _, score in scored],
            "low": [score.mean - (score.half_width or 0.0) for _, score in scored],
            "high": [score.mean + (score.half_width or 0.0) for _, score in scored],
            "seeds": [len(score.values) for _, score in scored],
        }
    )
    values = pl.DataFrame(
        {
            "method": [row.label for row, score in scored for _ in score.values],
            "seed": [seed for row, _ in scored for seed in row.seeds],
            "value": [value for _, score in scored for value in score.values],
        }
    )
    y = alt.Y("method:N", sort=None, title=None, axis=alt.Axis(labelLimit=300))
    scale = alt.Scale(zero=False, nice=True)
    bars = (
        alt.Chart(frame)
        .mark_rule(color=BEST, strokeWidth=2)
        .encode(y=y, x=alt.X("low:Q", scale=scale, title=metric, axis=alt.Axis(tickCount=8)), x2="high:Q")
    )
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, color=BEST, size=70, opacity=1)
        .encode(
            y=y,
            x=alt.X("mean:Q", scale=scale, title=metric),
            tooltip=["method", "mean", "low", "high", "seeds"],
        )
    )
    ticks = (
        alt.Chart(values)
        .mark_tick(color=MUTED, thickness=1.5, size=9)
        .encode(y=y, x=alt.X("value:Q", scale=scale), tooltip=["method", "seed", "value"])
    )
    show_chart(
        alt.layer(bars, ticks, points).properties(height=max(160, 26 * frame.height + 70)),
        frame,
        name=file_stem("intervals", table.key.task, table.key.dataset, metric),
        alt=f"Mean {metric} of each method with its 95 % interval over seeds; ticks are single seeds.",
        key="intervals",
    )


def readable_labels(frame: pl.DataFrame, cost: str) -> list[str]:
    """Returns each point's label, or "" where it would lie on another: those on the front first."""
    width, height, letter, line = 1000.0, 300.0, 6.5, 13.0
    x, y = frame[cost].log(), frame["quality"]

    def spread(values: pl.Series, size: float) -> list[float]:
        low, high = cast("float", values.min()), cast("float", values.max())
        return [(value - low) / ((high - low) or 1.0) * size for value in values]

    places = list(zip(spread(x, width), spread(y, height), strict=True))
    labels, points = [""] * frame.height, [(left - 5, left + 5, top) for left, top in places]
    written: list[tuple[float, float, float]] = []
    order = sorted(range(frame.height), key=lambda i: (frame["front"][i] != "on the front", -frame["quality"][i]))
    for i in order:
        left, top = places[i][0] + 8, places[i][1]
        right = left + letter * len(frame["method"][i])
        # A label of the front may lie on another point, the others may not.
        others = written if frame["front"][i] == "on the front" else [*written, *points]
        if all(right < other[0] or left > other[1] or abs(top - other[2]) >= line for other in others):
            labels[i] = frame["method"][i]
            written.append((left, right, top))
    return labels


def draw_cost(table: Table, rows: Sequence[Row], metric: str) -> None:
    """Draws quality beside cost, with the Pareto front."""
    st.subheader("Quality and cost", anchor=False)
    points = {name: tradeoff(replace(table, rows=tuple(rows)), metric, cast("CostName", COSTS[name])) for name in COSTS}
    kinds = [name for name in COSTS if any(point.cost for point in points[name])]
    if not kinds:
        st.text("No run says what it cost.")
        return
    kind = st.segmented_control(
        "Cost", kinds, default=kinds[0], key="cost", bind="query-params", required=True, label_visibility="collapsed"
    )
    kind = kind if kind in kinds else kinds[0]
    known = [point for point in points[kind] if point.cost]
    unit = 2**30 if kind == "Memory" else 1
    frame = pl.DataFrame(
        {
            "method": [point.row.label for point in known],
            kind.lower(): [(point.cost or 0.0) / unit for point in known],
            metric: [point.quality for point in known],
            "front": ["on the front" if point.best else "dominated" for point in known],
        }
    ).rename({metric: "quality"})
    frame = frame.with_columns(pl.Series("label", readable_labels(frame, kind.lower()), dtype=pl.String))
    prices = frame[kind.lower()].to_list()
    # Room on the right for the last label.
    scale = alt.Scale(type="log", nice=False, domain=[min(prices) / 1.3, max(prices) * 1.8])
    x = alt.X(f"{kind.lower()}:Q", title=UNITS[kind], scale=scale, axis=alt.Axis(tickCount=6, format="~s"))
    y = alt.Y("quality:Q", title=metric, scale=alt.Scale(zero=False, padding=16))
    colour = alt.Color(
        "front:N",
        scale=alt.Scale(domain=["on the front", "dominated"], range=[BEST, MUTED]),
        legend=alt.Legend(title=None, orient="top"),
    )
    base = alt.Chart(frame)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=x, y=y, color=colour, tooltip=["method", f"{kind.lower()}:Q", "quality:Q", "front"]
    )
    labels = base.mark_text(align="left", dx=5, dy=-9, fontSize=11).encode(x=x, y=y, text="label:N", color=colour)
    front = (
        base.transform_filter("datum.front == 'on the front'")
        .mark_line(color=BEST, interpolate="step-after", strokeDash=[4, 3])
        .encode(x=x, y=y)
    )
    show_chart(
        alt.layer(front, dots, labels).properties(height=380),
        frame.drop("label").rename({"quality": metric}),
        name=file_stem("cost", table.key.task, table.key.dataset, metric, kind.lower()),
        alt=f"{plain(metric)} of each method beside its {UNITS[kind]}; a line joins those that nothing dominates.",
        key="cost chart",
    )
