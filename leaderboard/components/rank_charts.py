"""The critical-difference view: mean ranks over datasets, and which of them are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from leaderboard.components.charts import BEST, MUTED, show_chart
from leaderboard.components.downloads import file_stem

if TYPE_CHECKING:
    from bench.analysis.ranks import CriticalDifference

BAR_STEP = 0.22
"""Ranks between two bars of groups."""


def rank_frame(found: CriticalDifference) -> pl.DataFrame:
    """Returns what the chart shows: a row per method, best mean rank first.

    Intervals are half a critical difference to each side, so two methods are told apart where theirs do not touch.
    `groups` numbers the sets, as large as possible, of methods that are not told apart; it is empty for a method that
    every other differs from.
    """
    half = found.critical / 2
    member = [
        " ".join(str(number + 1) for number, (first, last) in enumerate(found.groups) if first <= place <= last)
        for place in range(len(found.methods))
    ]
    means = list(found.mean_ranks)
    return pl.DataFrame(
        {
            "method": list(found.methods),
            "mean_rank": means,
            "low": [mean - half for mean in means],
            "high": [mean + half for mean in means],
            "groups": member,
        },
        schema={
            **{"method": pl.String, "mean_rank": pl.Float64, "low": pl.Float64, "high": pl.Float64, "groups": pl.String}
        },
    )


def draw_critical_difference(found: CriticalDifference, task: str) -> None:
    """Draws mean ranks with the critical difference, and a bar along each group that is not told apart."""
    frame = rank_frame(found)
    left = min(frame["low"].min(), 1.0) - BAR_STEP  # type: ignore[type-var,operator]
    bars = pl.DataFrame(
        {
            "first": [found.methods[first] for first, _ in found.groups],
            "last": [found.methods[last] for _, last in found.groups],
            "at": [left - BAR_STEP * number for number in range(len(found.groups))],
        },
        schema={"first": pl.String, "last": pl.String, "at": pl.Float64},
    )
    # A domain, since layers with different fields do not share a sort.
    places = alt.Scale(domain=list(found.methods))
    ticks = list(range(1, len(found.methods) + 1))
    scale = alt.Scale(domain=[left - BAR_STEP * len(found.groups), float(frame["high"].max())], nice=False)  # type: ignore[arg-type]
    x = alt.X("mean_rank:Q", scale=scale, title="mean rank, 1 is best", axis=alt.Axis(values=ticks, format="d"))
    y = alt.Y("method:N", scale=places, title=None, axis=alt.Axis(labelLimit=180))
    base = alt.Chart(frame)
    spans = base.mark_rule(color=MUTED, strokeWidth=2).encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q")
    points = base.mark_point(filled=True, color=BEST, size=80, opacity=1).encode(
        y=y, x=x, tooltip=["method", alt.Tooltip("mean_rank:Q", format=".2f"), "groups"]
    )
    groups = (
        alt.Chart(bars)
        .mark_rule(color=BEST, strokeWidth=4, strokeCap="round")
        .encode(y=alt.Y("first:N", scale=places), y2="last:N", x=alt.X("at:Q", scale=scale))
    )
    show_chart(
        alt.layer(spans, groups, points).properties(height=max(140, 24 * frame.height + 60)),
        frame,
        name=file_stem("critical-difference", task),
        alt="Mean rank of each method over datasets with half the critical difference to each side; "
        "bars on the left join methods that are not told apart.",
        key=f"critical {task}",
    )
