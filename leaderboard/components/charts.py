"""Charts: drawn by Vega in the browser, and as PNG, SVG or CSV for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from leaderboard.components.downloads import button, csv_text, file_stem

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

EXPORT_WIDTH = 800
BEST, OTHER, SECOND, MUTED = "#2f8bc9", "#e08214", "#2a9d63", "#8a939c"
"""Colours that read on white and on black, and with every common colour blindness."""
PAIR = (BEST, OTHER)


def show_chart(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart,
    data: pl.DataFrame,
    *,
    name: str,
    alt: str,
    key: str | None = None,
) -> None:
    """Draws a chart, and below it its downloads.

    Args:
        chart: The chart, with its height; the width is the page's.
        data: What the chart shows, for the CSV.
        name: File name of the downloads, without suffix.
        alt: What the chart shows, in a sentence for those who cannot see it.
        key: Key of the widgets; by default the name.
    """
    stem = file_stem(name)
    key = key or stem
    st.altair_chart(chart, width="stretch", key=f"chart {key}", alt=alt)
    with st.container(horizontal=True, gap="small"):
        button(lambda: to_png(chart), name=f"{stem}.png", mime="image/png", label="PNG", key=f"png {key}")
        button(lambda: to_svg(chart), name=f"{stem}.svg", mime="image/svg+xml", label="SVG", key=f"svg {key}")
        button(lambda: csv_text(data), name=f"{stem}.csv", mime="text/csv", label="CSV", key=f"data {key}")


def to_png(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> bytes:
    """Draws a chart as PNG, at twice the resolution of a screen."""
    import vl_convert

    image: bytes = vl_convert.vegalite_to_png(_spec(chart), scale=2, allowed_base_urls=[])
    return image


def to_svg(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> str:
    """Draws a chart as SVG."""
    import vl_convert

    image: str = vl_convert.vegalite_to_svg(_spec(chart), allowed_base_urls=[])
    return image


def _spec(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    if not {"hconcat", "vconcat", "concat", "facet"} & set(spec):
        spec["width"] = EXPORT_WIDTH
    # A paper is white, whatever the page was.
    spec["background"] = "white"
    return spec
