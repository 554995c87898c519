"""Sequences whose items are described by codes: `sequences.parquet`, and lists of codes in `items.parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bench.data.files import derived_array, file_digest
from bench.data.readers.sequences import READER_VERSION as SEQUENCES_VERSION
from bench.data.readers.sequences import read_histories, sequence_content
from bench.data.types import Modality, ModalityInfo
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1


class Codebooks(NamedTuple):
    """Where the codes of items lie.

    Attributes:
        columns: Of `items.parquet`, each with one list of codes for every item.
        levels: Codes in a list.
        size: Codes of a level, from 0.
    """

    columns: tuple[str, ...]
    levels: int
    size: int

    @property
    def frames(self) -> int:
        """Levels of all columns."""
        return len(self.columns) * self.levels

    @property
    def dim(self) -> int:
        """Codes of all levels."""
        return self.frames * self.size

    @property
    def derived(self) -> str:
        """How vectors are made of them."""
        return f"one-hot({', '.join(self.columns)}: {self.levels} x {self.size} each)"


def read(request: Request) -> Content:
    """Reads sequences, and the codes of items as the modality `frames` where `items.parquet` lies beside them.

    RECONSTRUCTED as a stand-in for the frames of a video: frame k of an item is its code at level k, the levels of the
    first column before those of the next (`options`: `columns`, `levels`, `size`). See `one_hot_frames` for the
    vectors. Without `items.parquet` there are no frames.

    Raises:
        DataError: A file is damaged, an item has no codes, or a code is out of range; names the file and the item.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path, described = request.folder / "sequences.parquet", request.folder / "items.parquet"
    histories = read_histories(path)
    identity: dict[str, object] = {"sequences": file_digest(path), "reader": SEQUENCES_VERSION}
    if not described.is_file():
        return sequence_content(request, histories, identity)
    options = request.card.options
    books = Codebooks(tuple(options["columns"]), int(options["levels"]), int(options["size"]))
    digest = file_digest(described)
    codes = read_codes(described, books, n_items=int(histories.items.max()) + 1)
    shape = (len(codes), books.frames, books.dim)
    key = f"{books.derived} {digest} v{READER_VERSION}"
    frames = derived_array(
        key, shape, lambda target: np.save(target, one_hot_frames(codes, books.size)), dtype=np.float16
    )
    modality = Modality(ModalityInfo("clips", books.dim, books.derived), frames)
    identity |= {"items": digest, "codes": f"{books.derived} v{READER_VERSION}"}
    return sequence_content(request, histories, identity, {"frames": modality}, n_items=len(codes))


def one_hot_frames(codes: np.ndarray, size: int) -> np.ndarray:
    """Returns (I, m, m · size) float16 frames of (I, m) codes: frame k has a one in column k · size + its code.

    Every level has columns of its own, because every level has a codebook of its own: code 5 of one says nothing about
    code 5 of another. A linear layer then learns a vector for each code of each level, and equal frames are equal
    codes.
    """
    items, levels = codes.shape
    frames = np.zeros((items, levels, levels * size), dtype=np.float16)
    columns = np.arange(levels) * size + codes
    np.put_along_axis(frames, columns[:, :, None], 1, axis=2)
    return frames


def read_codes(path: Path, books: Codebooks, *, n_items: int) -> np.ndarray:
    """Reads the codes of every item: column item, and columns with lists of whole numbers.

    Args:
        path: The file.
        books: Columns, and what their lists must hold.
        n_items: Items that there must be at least.

    Returns:
        (items, frames) int64, the columns side by side.

    Raises:
        DataError: The file is damaged, a column is missing or of another type, items do not count from 0, or a list has
            another length or a code out of range; names the item.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read {str(path)!r}: {str(error).splitlines()[0]}") from error
    for name in ("item", *books.columns):
        if name not in frame.columns:
            near = did_you_mean(name, frame.columns)
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(frame.columns)}.{near}")
    if not frame["item"].dtype.is_integer():
        raise DataError(f"{path}: column 'item' must hold whole numbers.")
    frame = frame.sort("item")
    if len(frame) < n_items or frame["item"].to_list() != list(range(len(frame))):
        raise DataError(f"{path}: column 'item' must hold every item from 0 to at least {n_items - 1:,} once.")
    return np.concatenate([_lists(path, frame[name], books) for name in books.columns], axis=1)


def _lists(path: Path, column: pl.Series, books: Codebooks) -> np.ndarray:
    dtype = column.dtype
    if not isinstance(dtype, pl.List) or not pl.Series([], dtype=dtype.inner).dtype.is_integer():
        raise DataError(f"{path}: column {column.name!r} must hold lists of whole numbers, but holds {dtype}.")
    wanted = f"{books.levels} codes from 0 to {books.size - 1}"
    rows: Sequence[Sequence[int | None] | None] = column.to_list()
    for item, row in enumerate(rows):
        if row is None or len(row) != books.levels or any(code is None or not 0 <= code < books.size for code in row):
            raise DataError(f"{path}: column {column.name!r} must hold {wanted}, but item {item} has {row}.")
    return np.array(rows, dtype=np.int64)
