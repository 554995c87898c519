"""A stored table (accuracy by type) as bars."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.pictures.canvas import LIGHT, Canvas, Palette, fitted, mix

if TYPE_CHECKING:
    from bench.store.records import SampleRecord

_WIDTH, _NAME, _BAR, _LINE = 760, 190, 300, 26


def read_table(sample: SampleRecord) -> list[dict[str, Any]]:
    """Reads a stored sample of kind `table`: rows of plain values.

    Raises:
        StoreError: It is not one.
    """
    try:
        rows = json.loads(sample.data)
    except ValueError as error:
        raise StoreError(f"sample {sample.unit!r} is no table: {error}.") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise StoreError(f"sample {sample.unit!r} is no table: it must be a list of rows.")
    return rows


def draw_table(title: str, rows: list[dict[str, Any]], palette: Palette = LIGHT) -> bytes:
    """Draws a table as PNG: the first column names a row, shares (`accuracy`) become bars, other values are written."""
    columns = list(rows[0])
    canvas = Canvas(_WIDTH, 62 + _LINE * len(rows) + 12, palette)
    canvas.text(8, 10, title, size=18)
    named, *others = columns
    shares = [name for name in others if name == "accuracy"]
    plain = [name for name in others if name not in shares]
    left = 8 + _NAME + (_BAR + 70 if shares else 0)
    step = (_WIDTH - left - 8) / max(1, len(plain))
    for place, name in enumerate(plain):
        heading = name.replace("_", " ")
        canvas.text(
            left + (place + 1) * step, 44, fitted(heading, step - 8, 11), size=11, fill=palette.soft, anchor="ra"
        )
    if shares:
        canvas.text(8 + _NAME, 44, shares[0], size=11, fill=palette.soft)
    for number, row in enumerate(rows):
        y = 62 + _LINE * number
        canvas.text(8, y + _LINE / 2, fitted(str(row.get(named, "")), _NAME - 10), anchor="lm")
        for name in shares:
            share = float(row.get(name) or 0.0)
            canvas.box(8 + _NAME, y + 5, _BAR, _LINE - 10, fill=mix(palette.paper, palette.line, 0.6))
            if share > 0:
                canvas.box(8 + _NAME, y + 5, max(1.0, _BAR * min(1.0, share)), _LINE - 10, fill=palette.right)
            canvas.text(8 + _NAME + _BAR + 58, y + _LINE / 2, f"{100 * share:.1f} %", anchor="rm")
        for place, name in enumerate(plain):
            value = row.get(name)
            told = f"{value:,}" if isinstance(value, int) else str(value)
            canvas.text(left + (place + 1) * step, y + _LINE / 2, fitted(told, step - 8), anchor="rm")
    return canvas.png()
