"""MovieLens 100K with posters: `ratings.parquet`, `items.parquet` and `poster_patches.npy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bench.data.files import derived_array, file_digest
from bench.data.formats import read_interactions
from bench.data.readers.cold_start import read_word_lists
from bench.data.readers.sequences import sequence_content
from bench.data.sequential import Histories
from bench.data.types import Modality, ModalityInfo
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content, Request
    from bench.data.formats import InteractionTable

READER_VERSION = 1


def read_sequences(request: Request) -> Content:
    """Reads every user's ratings in the order of their time; equal times are ordered by item.

    The frames of a film are the patches of its poster, top left to bottom right; a film without one has zeros.

    Raises:
        DataError: A file is missing or damaged, or the files disagree about the number of items.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / "ratings.parquet"
    try:
        frame = pl.read_parquet(path).select("user", "item", "timestamp").sort("user", "timestamp", "item")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error
    user = frame["user"].to_numpy().astype(np.int64)
    if not len(user) or user.min() < 0:
        raise DataError(f"{path} must hold at least one row, and ids from 0.")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user))]).astype(np.int64)
    histories = Histories(offsets, frame["item"].to_numpy().astype(np.int32))
    patches = request.folder / "poster_patches.npy"
    frames = posters(patches)
    if int(histories.items.max()) >= len(frames):
        raise DataError(f"{patches} holds {len(frames):,} items, but {path} rates item {int(histories.items.max())}.")
    identity = {"ratings": file_digest(path), "posters": file_digest(patches), "reader": READER_VERSION}
    modality = Modality(ModalityInfo("clips", int(frames.shape[2]), None), frames)
    return sequence_content(request, histories, identity, {"frames": modality}, n_items=len(frames))


class Rated(NamedTuple):
    """Who rated what, and what is known of the films.

    Attributes:
        ratings: Rows of every height as taken.
        posters: (items, patches, values), see `posters`.
        genres: Of each item.
        digests: Of the files, by what they hold.
    """

    ratings: InteractionTable
    posters: np.ndarray
    genres: list[list[str]]
    digests: dict[str, str]


def read_rated(folder: Path) -> Rated:
    """Reads ratings without their times and heights, posters and genres.

    Raises:
        DataError: A file is missing or damaged, or the files disagree about the number of items.
    """
    ratings, films, patches = (folder / name for name in ("ratings.parquet", "items.parquet", "poster_patches.npy"))
    table = read_interactions(ratings)
    raw = posters(patches)
    if int(table.items.max()) >= len(raw):
        raise DataError(f"{patches} holds {len(raw):,} items, but {ratings} rates item {int(table.items.max())}.")
    genres = read_word_lists(films, "genres", n_items=len(raw))
    digests = {"ratings": file_digest(ratings), "items": file_digest(films), "posters": file_digest(patches)}
    return Rated(table, raw, genres, digests)


def posters(path: Path) -> np.ndarray:
    """Returns the (items, patches, values) float32 poster patches, memory-mapped.

    Raises:
        DataError: The file is missing, damaged, or not three-dimensional.
    """
    try:
        raw: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read {str(path)!r} as a plain .npy array: {error}") from error
    if raw.ndim != 3 or raw.dtype.kind != "f":
        raise DataError(f"{path} must hold floats (items, patches, values), but has the shape {raw.shape}.")
    key = f"posters {file_digest(path)} float32 v{READER_VERSION}"
    return derived_array(key, raw.shape, lambda target: np.save(target, raw.astype(np.float32)))
