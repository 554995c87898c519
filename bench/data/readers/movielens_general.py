"""MovieLens 100K as general recommendation: who rated what, poster vectors and genres as content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.data.parts import Grid, ItemParts, standardised_parts
from bench.data.readers.movielens import posters, read_rated
from bench.data.readers.rankings import Rows, ranking_content
from bench.data.types import Modality, ModalityInfo

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content, Request
    from bench.data.dataset import Dataset

READER_VERSION = 1
GRID = Grid(6, 4)
DERIVED = "mean(24 patches), standardised"
_MEAN_RGB = slice(31, 34)
"""The first three of a patch's moments are its mean red, green and blue: they rise with its brightness bins."""
_PATCH_PIXELS = 16


def read(request: Request) -> Content:
    """Reads ratings of every height as taken; the vector of a film is the mean of its poster's patches.

    Poster columns are standardised over the films with a poster; a film without one has the mean vector, which is 0.
    Genres are a 0/1 vector.

    Raises:
        DataError: A file is missing or damaged, or the files disagree about the number of items.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    table, raw, lists, digests = read_rated(request.folder)
    genres = sorted({genre for words in lists for genre in words})
    infos = {
        "image": ModalityInfo("features", int(raw.shape[2]), DERIVED),
        "genres": ModalityInfo("features", len(genres), None),
    }

    def load() -> dict[str, Modality]:
        told = np.zeros((len(raw), len(genres)), dtype=np.float32)
        for film, words in enumerate(lists):
            told[film, [genres.index(word) for word in words]] = 1.0
        return {
            "image": Modality(infos["image"], _poster_parts(raw).mean(axis=1)),
            "genres": Modality(infos["genres"], told),
        }

    identity = {**digests, "reader": READER_VERSION}
    return ranking_content(request, Rows(table.users, table.items), identity, infos, load, n_items=len(raw))


def parts(dataset: Dataset) -> ItemParts:
    """Returns the posters in patches; nobody knows what is foreground in them.

    The posters themselves are not among the files: a picture shows the mean colour of each patch.
    """
    assert dataset.folder is not None  # noqa: S101 - published data has a folder
    raw = posters(dataset.folder / "poster_patches.npy")
    return ItemParts(
        modality="image",
        features=_poster_parts(raw),
        grid=GRID,
        pictured=_pictured(raw),
        pictures=lambda items: mosaics(raw[items]),
        titles=_titles(dataset.folder / "items.parquet"),
    )


def mosaics(patches: np.ndarray) -> np.ndarray:
    """Returns (n, 96, 64, 3) uint8 pictures of the mean colours of (n, 24, 40) patches."""
    colours = (np.clip(patches[:, :, _MEAN_RGB], 0, 1) * 255 + 0.5).astype(np.uint8)
    grid = colours.reshape(len(patches), *GRID, 3)
    return np.asarray(grid.repeat(_PATCH_PIXELS, axis=1).repeat(_PATCH_PIXELS, axis=2))


def _poster_parts(raw: np.ndarray) -> np.ndarray:
    return standardised_parts(np.asarray(raw), _pictured(raw))


def _pictured(raw: np.ndarray) -> np.ndarray:
    return np.asarray(np.any(raw, axis=(1, 2)))


def _titles(path: Path) -> list[str]:
    frame = pl.read_parquet(path).sort("item")
    return [f"{title} ({year})" if year else title for title, year in frame.select("title", "year").iter_rows()]
