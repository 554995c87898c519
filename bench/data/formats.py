"""Readers of the files datasets come in. Every id is checked; an error names the file and the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.data.splits import SPLIT_NAMES
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LARGEST_ID = 2**31 - 2
_VALUES_PER_BLOCK = 1 << 22
_SEPARATED = {"\t": "tab", ",": "comma"}


@dataclass(frozen=True, eq=False)
class InteractionTable:
    """All rows of an interaction file, checked.

    Attributes:
        users: (n,) int32.
        items: (n,) int32.
        times: (n,) int64 unix seconds, or None.
        labels: (n,) int8 shipped labels 0 train, 1 valid, 2 test, or None when the file ships none.
        repeats: Number of repeated (user, item) rows that were left out.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    labels: np.ndarray | None
    repeats: int = 0

    def __len__(self) -> int:
        return len(self.users)


class _Rows:
    """Names rows as an editor shows them: lines of a text file, counted from 1 with the header; else rows from 0."""

    def __init__(self, path: Path, *, text: bool) -> None:
        self.path = path
        self._text = text

    def __call__(self, row: int) -> str:
        return f"{self.path}, line {row + 2}" if self._text else f"{self.path}, row {row} (counted from 0)"

    def many(self, count: int) -> str:
        return "" if count == 1 else f" {count - 1:,} more rows have the same fault."


def read_interactions(
    path: Path,
    *,
    max_users: int = _LARGEST_ID,
    max_items: int = _LARGEST_ID,
    drop_repeats: bool = False,
    keep_repeats: bool = False,
    split_names: Sequence[str] = SPLIT_NAMES,
) -> InteractionTable:
    """Reads `interactions.parquet`: user, item and, where present, split (train, valid, test) and time (unix seconds).

    Args:
        path: The file.
        max_users: Every user id must be below this.
        max_items: Every item id must be below this.
        drop_repeats: Keep the first of repeated (user, item) rows instead of refusing them.
        keep_repeats: Keep every one of them.
        split_names: What the column split may hold; labels are places in it.

    Raises:
        DataError: The file is missing or damaged, a column is missing, or a row breaks a rule; names the row.
    """
    frame = _read_parquet(path)
    _need_columns(path, frame.columns, ("user", "item"))
    rows = _Rows(path, text=False)
    users = _integers(frame["user"], rows, max_users)
    items = _integers(frame["item"], rows, max_items)
    labels = None
    if "split" in frame.columns:
        names = frame["split"].cast(pl.String)
        mapped = names.replace_strict(
            {name: index for index, name in enumerate(split_names)}, default=None, return_dtype=pl.Int8
        )
        allowed = f"{', '.join(split_names[:-1])} or {split_names[-1]}"
        _refuse(mapped.is_null(), names, rows, f"'split' must be {allowed}")
        labels = mapped.to_numpy()
    times = _times(frame["time"], rows) if "time" in frame.columns else None
    return _finish(rows, users, items, times, labels, drop_repeats=drop_repeats, keep_repeats=keep_repeats)


def read_inter(
    path: Path,
    *,
    max_users: int = _LARGEST_ID,
    max_items: int = _LARGEST_ID,
    drop_repeats: bool = False,
    keep_repeats: bool = False,
    separator: str = "\t",
    clock: bool = True,
) -> InteractionTable:
    """Reads MMRec's `<name>.inter`: tab-separated, with a header.

    The columns userID and itemID must be there; timestamp and x_label (0 train, 1 valid, 2 test) are read where
    present, others (rating) are ignored.

    Args:
        path: The file.
        max_users: Every user id must be below this.
        max_items: Every item id must be below this.
        drop_repeats: Keep the first of repeated (user, item) rows instead of refusing them.
        keep_repeats: Keep every one of them.
        separator: Between columns.
        clock: Whether timestamp is read where present.

    Raises:
        DataError: The file is missing or damaged, a column is missing, or a row breaks a rule; names the line.
    """
    try:
        frame = pl.read_csv(path, separator=separator, infer_schema=False, quote_char=None)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        form = f"{_SEPARATED[separator]}-separated text"
        raise DataError(f"{path} cannot be read as {form}: {_first_line(error)}.") from error
    # RecBole writes `userID:token`; MMRec's readers know the bare name only.
    frame = frame.rename({name: name.partition(":")[0].strip() for name in frame.columns})
    _need_columns(path, frame.columns, ("userID", "itemID"))
    rows = _Rows(path, text=True)
    users = _integers(frame["userID"], rows, max_users)
    items = _integers(frame["itemID"], rows, max_items)
    labels = None
    if "x_label" in frame.columns:
        mapped = (
            frame["x_label"]
            .str.strip_chars()
            .replace_strict({"0": 0, "1": 1, "2": 2}, default=None, return_dtype=pl.Int8)
        )
        _refuse(mapped.is_null(), frame["x_label"], rows, "'x_label' must be 0 (train), 1 (valid) or 2 (test)")
        labels = mapped.to_numpy()
    times = _times(frame["timestamp"], rows) if clock and "timestamp" in frame.columns else None
    return _finish(rows, users, items, times, labels, drop_repeats=drop_repeats, keep_repeats=keep_repeats)


def read_neighbours(path: Path, n_items: int) -> np.ndarray:
    """Reads item-to-item neighbour rows: columns item and neighbour.

    Args:
        path: A Parquet file.
        n_items: Every id must be below this.

    Returns:
        (edges, 2) int32 (item, neighbour) in file order, self-pairs as published.

    Raises:
        DataError: The file is missing, damaged, empty, or holds an id out of range or a repeated pair.
    """
    frame = _read_parquet(path)
    _need_columns(path, frame.columns, ("item", "neighbour"))
    rows = _Rows(path, text=False)
    item = _integers(frame["item"], rows, n_items)
    neighbour = _integers(frame["neighbour"], rows, n_items)
    if not len(item):
        raise DataError(f"{path} holds no rows.")
    row = _first_repeat(item, neighbour)
    if row is not None:
        first, again = row
        raise DataError(f"{rows(again)}: item {item[again]} and neighbour {neighbour[again]} repeat row {first}.")
    return np.stack([item, neighbour], axis=1)


def map_features(path: Path) -> np.ndarray:
    """Memory-maps an array of item vectors without loading it; pickled arrays are refused.

    Returns:
        (rows, dim) float16, float32 or float64.

    Raises:
        DataError: The file is missing, damaged, pickled, or not a matrix of floats.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a plain .npy array: {_first_line(error)}.") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or not array.shape[1]:
        shape, dtype = getattr(array, "shape", "?"), getattr(array, "dtype", type(array).__name__)
        raise DataError(f"{path} must hold a matrix of floats (items, dim), but holds shape {shape} of {dtype}.")
    return array


def check_features(path: Path, features: np.ndarray, n_items: int, *, why: str) -> None:
    """Checks that there is one finite vector per item, block by block.

    Args:
        path: File named in errors.
        features: (rows, dim) array.
        n_items: Number of rows there must be.
        why: Where that number comes from, for the message.

    Raises:
        DataError: Another number of rows, or a NaN or infinite value; names the row.
    """
    if features.shape[0] != n_items:
        raise DataError(f"{path} has {features.shape[0]:,} rows, but there must be one per item: {n_items:,} ({why}).")
    step = max(1, _VALUES_PER_BLOCK // features.shape[1])
    for start in range(0, n_items, step):
        block = np.asarray(features[start : start + step])
        finite = np.isfinite(block)
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            raise DataError(
                f"{path}, row {start + row} (counted from 0), column {column}: {block[row, column]} is not finite.",
                hint="Replace NaN and infinite values (MMRec uses the mean vector for items without content).",
            )


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _need_columns(path: Path, found: list[str], wanted: tuple[str, ...]) -> None:
    for name in wanted:
        if name not in found:
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(found)}.{did_you_mean(name, found)}")


def _refuse(wrong: pl.Series, values: pl.Series, rows: _Rows, rule: str) -> None:
    """Raises a DataError for the first row where `wrong` holds."""
    count = int(wrong.sum())
    if count:
        row = int(wrong.arg_true()[0])
        value = values[row]
        shown = "nothing" if value is None else repr(value)
        raise DataError(f"{rows(row)}: {rule}, but it is {shown}.{rows.many(count)}")


def _integers(column: pl.Series, rows: _Rows, limit: int) -> np.ndarray:
    rule = f"{column.name!r} must be an integer from 0 to {min(limit - 1, _LARGEST_ID):,}"
    numbers = column.str.strip_chars() if column.dtype == pl.String else column
    if numbers.dtype == pl.String or numbers.dtype.is_integer():
        numbers = numbers.cast(pl.Int64, strict=False)
    else:
        raise DataError(f"{rows.path}: column {rule}, but the file stores it as {column.dtype}.")
    _refuse(numbers.is_null(), column, rows, rule)
    _refuse((numbers < 0) | (numbers >= limit) | (numbers > _LARGEST_ID), column, rows, rule)
    return np.asarray(numbers.cast(pl.Int32).to_numpy())


def _times(column: pl.Series, rows: _Rows) -> np.ndarray:
    numbers = column.cast(pl.Float64, strict=False) if column.dtype == pl.String else column
    if not numbers.dtype.is_numeric():
        raise DataError(
            f"{rows.path}: column {column.name!r} must be unix seconds, but the file stores {column.dtype}."
        )
    whole = numbers.cast(pl.Int64, strict=False)
    _refuse(whole.is_null(), column, rows, f"{column.name!r} must be unix seconds")
    return np.asarray(whole.to_numpy())


def _first_repeat(left: np.ndarray, right: np.ndarray) -> tuple[int, int] | None:
    """Returns (earlier row, row) of the first row that repeats an earlier pair, or None."""
    codes = left.astype(np.int64) << 32 | right
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    if not same.any():
        return None
    row = int(order[1:][same].min())
    return int(np.flatnonzero(codes == codes[row])[0]), row


def _finish(
    rows: _Rows,
    users: np.ndarray,
    items: np.ndarray,
    times: np.ndarray | None,
    labels: np.ndarray | None,
    *,
    drop_repeats: bool,
    keep_repeats: bool,
) -> InteractionTable:
    if not len(users):
        raise DataError(f"{rows.path} holds no rows.")
    repeat = None if keep_repeats else _first_repeat(users, items)
    if repeat is None:
        return InteractionTable(users, items, times, labels)
    if not drop_repeats:
        earlier, row = repeat
        where = rows(earlier).removeprefix(f"{rows.path}, ")
        raise DataError(
            f"{rows(row)}: user {users[row]} and item {items[row]} repeat {where}.",
            hint="Drop the repeated rows, or give the data a card that documents them with `duplicates='first'`.",
        )
    codes = users.astype(np.int64) << 32 | items
    keep = np.sort(np.unique(codes, return_index=True)[1])
    return InteractionTable(
        users[keep],
        items[keep],
        None if times is None else times[keep],
        None if labels is None else labels[keep],
        len(users) - len(keep),
    )
