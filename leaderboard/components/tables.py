"""Long tables, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    import polars as pl

PAGE = 50
ROW_HEIGHT = 35


def height(rows: int, *, most: int = 20) -> int:
    """Returns the height in pixels of a table that shows its rows without scrolling, up to `most`."""
    return ROW_HEIGHT * (min(max(rows, 1), most) + 1) + 3


def paged(frame: pl.DataFrame, *, key: str = "page", size: int = PAGE) -> pl.DataFrame:
    """Draws a pager where a frame has more rows than fit, and returns the rows of its page.

    Args:
        frame: All rows.
        key: Name of the page's number in the URL.
        size: Rows of a page.
    """
    pages = -(-frame.height // size)
    if pages <= 1:
        return frame
    with st.container(horizontal=True, vertical_alignment="center"):
        number = st.pagination(pages, key=key, bind="query-params")
        first = (number - 1) * size
        st.caption(f"{first + 1:,} to {min(first + size, frame.height):,} of {frame.height:,} rows")
    return frame.slice(first, size)
