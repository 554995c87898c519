"""MovieLens 100K as cold-start data: posters are what a new film shows, genres are privileged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import derived_array
from bench.data.readers.cold_start import cold_start_content, drawn, standardised, words_of
from bench.data.readers.movielens import read_rated
from bench.data.types import Modality, ModalityInfo

if TYPE_CHECKING:
    from bench.data.content import Content, Request

READER_VERSION = 1
DERIVED = "mean+deviation(24 patches), standardised"


def read(request: Request) -> Content:
    """Reads ratings of every height as taken, poster vectors and genres.

    The vector of a film is the mean and the standard deviation of its poster's patches, value by value, every column
    standardised over the films with a poster; a film without one has the mean vector, which is 0.

    Raises:
        DataError: A file is missing or damaged, or the files disagree about the number of items.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    table, raw, genres, digests = read_rated(request.folder)
    n_items = len(raw)
    split, origin = drawn(request, table, n_items=n_items)
    shape = (n_items, 2 * raw.shape[2])
    key = f"poster vectors {digests['posters']} {DERIVED} v{READER_VERSION}"
    info = ModalityInfo("features", shape[1], DERIVED)

    def load() -> dict[str, Modality]:
        return {"image": Modality(info, derived_array(key, shape, lambda target: np.save(target, poster_vectors(raw))))}

    return cold_start_content(
        request,
        table.users,
        table.items,
        split,
        n_users=int(table.users.max()) + 1,
        origin=origin,
        identity={**digests, "reader": READER_VERSION},
        content={"image": info},
        load=load,
        annotations=words_of(genres, split),
    )


def poster_vectors(patches: np.ndarray) -> np.ndarray:
    """Returns (items, 2 values) float32 from (items, patches, values); a film whose patches are all 0 has no poster."""
    raw = np.asarray(patches, dtype=np.float32)
    known = np.asarray(raw.any(axis=(1, 2)))
    return standardised(np.concatenate([raw.mean(axis=1), raw.std(axis=1)], axis=1), known)
