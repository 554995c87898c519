"""Charts of metrics over commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from leaderboard.components.charts import BEST, MUTED, show_chart

if TYPE_CHECKING:
    from bench.analysis.history import Allowed
    from bench.metrics.base import Direction

VERDICTS = {"pass": "#2a9d63", "improve": "#1f77b4", "regress": "#d1495b", "unknown": MUTED}
_HEIGHT = 340
_FLAT = 9
"""Commits whose labels stand beside each other, in two lines."""
_BETTER = {"maximize": "higher is better", "minimize": "lower is better", None: "nobody knows which way is better"}


def draw_history(
    frame: pl.DataFrame, metric: str, direction: Direction | None, expected: Allowed | None, *, key: str
) -> None:
    """Draws one cell at each commit, and the band that the gate lets through.

    Args:
        frame: See `leaderboard.views.gate.history_frame`.
        metric: Its name.
        direction: Which way it is better.
        expected: Mean and tolerance of the baseline.
        key: Of the widgets, and the file name.
    """
    title = f"{metric} ({_BETTER[direction]})"
    commits = frame["commit"].to_list()
    # A band as wide as the chart, however many commits there are.
    layers: list[alt.Chart] = []
    scale = alt.Scale(zero=False, nice=True)
    if expected is not None:
        tolerance = expected.tolerance or 0.0
        band = pl.DataFrame(
            {"low": [expected.mean - tolerance], "high": [expected.mean + tolerance], "mean": [expected.mean]}
        )
        base = alt.Chart(band, height=_HEIGHT)
        layers += [
            base.mark_rect(opacity=0.16, color=BEST).encode(y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q"),
            base.mark_rule(color=BEST, strokeDash=[5, 4]).encode(y=alt.Y("mean:Q", scale=scale)),
        ]
    x = _commits(commits)
    y = alt.Y("mean:Q", scale=scale, title=title)
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())),
        legend=alt.Legend(orient="bottom", title=None),
    )
    shape = alt.Shape(
        "verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=["circle", "triangle-up", "triangle-down", "square"])
    )
    points = alt.Chart(frame, height=_HEIGHT)
    layers += [
        points.mark_line(color=MUTED, strokeWidth=1).encode(x=x, y=y),
        points.mark_rule(color=MUTED).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        points.mark_point(filled=True, size=110, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=["commit", "mean", "low", "high", "seeds", "verdict"]
        ),
    ]
    chart = alt.layer(*layers)
    show_chart(chart, frame, name=key, alt=f"{metric} at each commit, with the baseline and what it allows")


def draw_methods(
    frame: pl.DataFrame, methods: list[str], metric: str, direction: Direction | None, *, key: str
) -> None:
    """Draws the methods of a table at each commit.

    Args:
        frame: See `leaderboard.views.gate.table_history`.
        methods: Its methods, in the order of the legend.
        metric: Its name.
        direction: Which way it is better.
        key: Of the widgets, and the file name.
    """
    commits = frame.sort("when")["commit"].unique(maintain_order=True).to_list()
    chart = (
        alt.Chart(frame, height=max(_HEIGHT, 28 * len(methods) + 40))
        .mark_line(point=alt.OverlayMarkDef(size=60))
        .encode(
            x=_commits(commits),
            y=alt.Y("mean:Q", title=f"{metric} ({_BETTER[direction]})", scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color(
                "method:N",
                sort=methods,
                scale=alt.Scale(domain=methods, scheme="tableau20"),
                title=None,
                legend=alt.Legend(orient="right", labelLimit=180),
            ),
            tooltip=["commit", "method", "mean", "seeds"],
        )
    )
    show_chart(chart, frame, name=key, alt=f"{metric} of each method at each commit")


def _commits(commits: list[str]) -> alt.X:
    """Returns the axis of commits, oldest first."""
    if len(commits) > _FLAT:
        axis = alt.Axis(labelAngle=-50, labelLimit=110, labelExpr="split(datum.label, ' ')[0]")
    else:
        axis = alt.Axis(labelAngle=0, labelAlign="center", labelLimit=140, labelExpr="split(datum.label, ' · ')")
    return alt.X("commit:N", sort=commits, title=None, axis=axis)
