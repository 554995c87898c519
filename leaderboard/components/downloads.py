"""Downloads, made when they are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMULA = r"^[=+\-@\t\r]"


def file_stem(*parts: str) -> str:
    """Returns a file name without suffix that every system takes."""
    words = (re.sub(r"[^\w.+@-]+", "-", part).strip("-.") for part in parts)
    return "_".join(word for word in words if word)[:120] or "bench"


def csv_text(frame: pl.DataFrame) -> str:
    """Writes a frame as CSV: numbers in full precision, and no text that a spreadsheet would take for a formula."""
    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    quoted = [pl.concat_str(pl.lit("'"), text) for text in texts]
    inert = [
        pl.when(text.str.contains(_FORMULA)).then(mark).otherwise(text).alias(text.meta.output_name())
        for text, mark in zip(texts, quoted, strict=True)
    ]
    return frame.with_columns(inert).write_csv()


def csv_button(
    frame: pl.DataFrame | Callable[[], pl.DataFrame], *, name: str, label: str = "Download CSV", key: str | None = None
) -> None:
    """Draws a button that downloads a frame as CSV.

    Args:
        frame: Plain columns, or what makes them on click.
        name: File name without suffix.
        label: What the button says.
        key: Key of the widget.
    """
    button(
        lambda: csv_text(frame() if callable(frame) else frame),
        name=f"{name}.csv",
        mime="text/csv",
        label=label,
        key=key or f"csv {name}",
    )


def button(
    make: Callable[[], str | bytes], *, name: str, mime: str, label: str, key: str, help: str | None = None
) -> None:
    """Draws a small download button whose file is made on click."""
    st.download_button(
        label,
        make,
        file_name=name,
        mime=mime,
        key=key,
        help=help,
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )
