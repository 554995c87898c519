"""Charts of one run: the confusion matrix and the learning curves."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl
import streamlit as st

from bench.pictures import Confusion, confused_order, most_confused
from leaderboard.components.charts import BEST, OTHER, show_chart
from leaderboard.components.downloads import csv_button, file_stem
from leaderboard.components.tables import height

_SIDE, _LARGEST = 820, 44
_LISTED = 200
_CURVES = 320


def confusion_frame(confusion: Confusion) -> pl.DataFrame:
    """Returns the cells of a matrix that hold images: `true`, `predicted`, `images`, `share` of the true class."""
    places = np.argwhere(confusion.counts > 0)
    rows, columns = places[:, 0], places[:, 1]
    return pl.DataFrame(
        {
            "true": [confusion.classes[row] for row in rows.tolist()],
            "predicted": [confusion.classes[column] for column in columns.tolist()],
            "images": confusion.counts[rows, columns],
            "share": confusion.shares[rows, columns],
        }
    )


def draw_confusion_chart(confusion: Confusion, *, key: str) -> None:
    """Draws a matrix with the accuracy of each class beside it, and the worst confusions below."""
    ordered = confusion.taken(confused_order(confusion))
    frame = confusion_frame(ordered)
    drawn = frame.with_columns(right=pl.col("true") == pl.col("predicted"))
    names, n = list(ordered.classes), len(ordered.classes)
    cell = min(_LARGEST, _SIDE / n)
    size = max(7, min(12, cell * 0.86))
    axis = alt.Axis(labelFontSize=size, labelLimit=170, labelOverlap=cell < 7, ticks=False, domain=False)
    y = alt.Y("true:N", sort=names, title=None, axis=axis, scale=alt.Scale(domain=names))
    x = alt.X("predicted:N", sort=names, title="taken for", scale=alt.Scale(domain=names))
    crowded = cell < 7
    x = x.axis(
        labelFontSize=size,
        labelLimit=150,
        labelAngle=-90,
        labelOverlap=crowded,
        orient="top",
        ticks=False,
        domain=False,
    )
    told = ["true", "predicted", "images", alt.Tooltip("share", format=".1%")]
    matrix = (
        alt.Chart(drawn, width=cell * n, height=cell * n)
        .mark_rect()
        .encode(
            y=y,
            x=x,
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.18, 1]), legend=None),
            color=alt.Color("right:N", scale=alt.Scale(domain=[True, False], range=[BEST, OTHER]), legend=None),
            tooltip=told,
        )
    )
    accuracy = pl.DataFrame({"true": names, "accuracy": ordered.accuracy, "images": ordered.images}).fill_nan(None)
    bars = (
        alt.Chart(accuracy, width=90, height=cell * n)
        .mark_bar(color=BEST)
        .encode(
            y=alt.Y("true:N", sort=names, title=None, axis=None, scale=alt.Scale(domain=names)),
            x=alt.X(
                "accuracy:Q", title="right", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=2)
            ),
            tooltip=["true", alt.Tooltip("accuracy", format=".1%"), "images"],
        )
    )
    total, right = int(ordered.images.sum()), int(np.diag(ordered.counts).sum())
    st.caption(
        f"{total:,} test images of {n} classes, {right:,} named right (blue). A cell is as strong as its share of the "
        f"true class, which is the row. Classes that are taken for each other stand together."
    )
    chart = alt.hconcat(matrix, bars, spacing=8).resolve_scale(y="shared")
    show_chart(chart, frame, name=f"confusion {key}", alt="Confusion matrix: true classes down, predicted across")
    pairs = most_confused(ordered, _LISTED)
    if not pairs:
        return
    st.subheader("Most confused", anchor=False)
    listed = pl.DataFrame(pairs, schema=["true", "taken for", "images", "share"], orient="row")
    shares = {
        "share": st.column_config.ProgressColumn("share of the class", format="percent", min_value=0, max_value=1)
    }
    st.dataframe(listed, hide_index=True, width="stretch", height=height(len(pairs), most=10), column_config=shares)
    classes = accuracy.select("true", "images", "accuracy")
    csv_button(classes, name=file_stem("accuracy by class", key), label="CSV by class", key=f"classes {key}")


def draw_curves(frame: pl.DataFrame, *, names: list[str], best_epoch: int | None, title: str, key: str) -> None:
    """Draws some values over epochs.

    Args:
        frame: `epoch`, `name`, `value`.
        names: Values to draw.
        best_epoch: Marked with a line.
        title: Of the axis.
        key: Of the widgets, and the file name.
    """
    shown = frame.filter(pl.col("name").is_in(names) & pl.col("value").is_finite())
    # Downloads and both charts of a row are as high, with a legend or without.
    legend = alt.Legend(orient="top", labelLimit=180, columns=3, symbolSize=60) if len(names) > 1 else None
    lines = (
        alt.Chart(shown, height=_CURVES)
        .mark_line(point=alt.OverlayMarkDef(size=24) if shown["epoch"].n_unique() <= 40 else False, strokeWidth=1.6)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color("name:N", sort=names, title=None, legend=legend),
            tooltip=["epoch", "name", "value"],
        )
    )
    marks: list[alt.Chart] = [lines]
    if best_epoch is not None:
        best = alt.Chart(pl.DataFrame({"epoch": [best_epoch]}), height=_CURVES)
        marks.append(best.mark_rule(strokeDash=[4, 3], color=OTHER, strokeWidth=1.5).encode(x="epoch:Q"))
    show_chart(alt.layer(*marks), shown, name=key, alt=f"{title} over epochs")
