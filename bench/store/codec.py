"""Arrow blobs: per-unit scores and training curves, compressed with zstd."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.errors import StoreError
from bench.store.records import CurvePoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike


def _write(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # The oldest layout is the one every Arrow reader understands (no string views).
    frame.write_ipc(buffer, compression="zstd", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def _read(blob: bytes, what: str) -> pl.DataFrame:
    try:
        return pl.read_ipc(io.BytesIO(blob))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(f"{what} cannot be read: {error}", hint="The store is damaged; run the cell again.") from error


def encode_units(units: ArrayLike | Sequence[str], scores: Mapping[str, ArrayLike]) -> bytes:
    """Packs per-unit scores for `UnitScores.arrow`.

    Args:
        units: Identifiers of the units (users, images, …), (n,), integers or strings, all different.
        scores: Metric name to values, (n,) each, stored as float64.

    Returns:
        An Arrow IPC file: column `unit` (int64 or string), then one float64 column per metric.

    Raises:
        StoreError: Lengths differ, a unit occurs twice, or a metric is called "unit".
    """
    ids = np.asarray(units)
    columns: dict[str, pl.Series] = {}
    if ids.dtype.kind in "iu":
        columns["unit"] = pl.Series("unit", ids.astype(np.int64))
    else:
        columns["unit"] = pl.Series("unit", [str(unit) for unit in ids.tolist()], dtype=pl.String)
    if columns["unit"].n_unique() != len(ids):
        raise StoreError(
            f"unit scores must hold each unit once, but {len(ids)} rows hold {columns['unit'].n_unique()}."
        )
    for name, values in scores.items():
        array = np.asarray(values, dtype=np.float64)
        if name == "unit" or array.shape != (len(ids),):
            raise StoreError(f"unit scores of {name!r} must have shape ({len(ids)},), but got {array.shape}.")
        columns[name] = pl.Series(name, array)
    return _write(pl.DataFrame(columns))


def decode_units(blob: bytes) -> pl.DataFrame:
    """Unpacks what `encode_units` packed.

    Raises:
        StoreError: The blob is damaged.
    """
    frame = _read(blob, "a blob of unit scores")
    if "unit" not in frame.columns:
        raise StoreError(f"unit scores must have a column 'unit', but have {frame.columns}.")
    return frame


def encode_curve(points: Sequence[CurvePoint]) -> bytes:
    """Packs a training curve; a value that an epoch lacks becomes null (a NaN stays NaN)."""
    names = list(dict.fromkeys(name for point in points for name in point.values))
    columns = {"epoch": pl.Series("epoch", [point.epoch for point in points], dtype=pl.Int64)}
    for name in names:
        # The prefix keeps a value that is itself called "epoch" apart.
        columns[f"v:{name}"] = pl.Series(f"v:{name}", [point.values.get(name) for point in points], dtype=pl.Float64)
    return _write(pl.DataFrame(columns))


def decode_curve(blob: bytes) -> list[CurvePoint]:
    """Unpacks what `encode_curve` packed.

    Raises:
        StoreError: The blob is damaged.
    """
    points = []
    for row in _read(blob, "a blob of a training curve").iter_rows(named=True):
        epoch = row.pop("epoch")
        values = {name.removeprefix("v:"): value for name, value in row.items() if value is not None}
        points.append(CurvePoint(epoch=epoch, values=values))
    return points
