"""Text from specs and runs, shown as it is: it may look like Markdown or HTML and is neither."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT = "–"
_MARKED = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@^=\"'/])")


def plain(value: object) -> str:
    """Returns a value as Markdown that shows it letter by letter, on one line.

    Streamlit's knows more than Markdown: formulas ($x$), colours (:red[x]), icons (:material/x:) and bare links.
    """
    return _MARKED.sub(r"\\\1", re.sub(r"\s+", " ", str(value)).strip())


def one_line(value: object) -> str:
    """Returns a value as short text: JSON for what is nested."""
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return re.sub(r"\s+", " ", str(value))


def fields(values: Mapping[str, object], *, key: str | None = None) -> None:
    """Draws names and values as two columns."""
    import polars as pl
    import streamlit as st

    frame = pl.DataFrame(
        {"field": [str(name) for name in values], "value": [one_line(value) for value in values.values()]},
        schema={"field": pl.String, "value": pl.String},
    )
    # As wide as the longest name.
    wide = min(240, 24 + 7 * max((len(name) for name in frame["field"]), default=0))
    columns = {"field": st.column_config.TextColumn(width=wide), "value": st.column_config.TextColumn(width="medium")}
    st.dataframe(frame, hide_index=True, width="stretch", height="content", column_config=columns, key=key)


def count(number: int, noun: str) -> str:
    """Returns "1 run", "1,234 runs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
