"""Arrays of the world, drawn once and memory-mapped: a function of the generator's version and a few parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import derived_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import DTypeLike

GENERATOR_VERSION = 1
"""Raised whenever the same seed and index would give other pixels, labels, words or features."""

_ROWS_PER_BLOCK = 512


def stored(
    what: str,
    rows: int,
    row_shape: tuple[int, ...],
    draw: Callable[[np.ndarray], np.ndarray],
    *,
    dtype: DTypeLike = np.uint8,
    per_block: int = _ROWS_PER_BLOCK,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Returns a read-only memory map of rows that are drawn block by block when the cache does not hold them.

    Args:
        what: All that the rows are a function of besides the generator's version and `rows`.
        rows: Number of rows.
        row_shape: Shape of each.
        draw: From (m,) row numbers to (m, *row_shape) values.
        dtype: Type of the values.
        per_block: Rows drawn at once.
        progress: Called with (rows done, rows).

    Raises:
        DataError: The cache cannot be written.
    """
    kind = np.dtype(dtype)

    def build(path: Path) -> None:
        with path.open("wb") as stream:
            header = {"descr": kind.str, "fortran_order": False, "shape": (rows, *row_shape)}
            np.lib.format.write_array_header_1_0(stream, header)
            for start in range(0, rows, per_block):
                block = draw(np.arange(start, min(rows, start + per_block)))
                stream.write(np.ascontiguousarray(block, dtype=kind).data)
                if progress is not None:
                    progress(start + len(block), rows)

    key = f"scenes/{GENERATOR_VERSION}/{what}/{rows}"
    return derived_array(key, (rows, *row_shape), build, dtype=kind)
