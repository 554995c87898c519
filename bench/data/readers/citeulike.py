"""CiteULike-a with the cold split published with GAR: papers known by their tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.cold_splits import ColdSplit, groups_of
from bench.data.files import derived_array, file_digest
from bench.data.formats import read_interactions
from bench.data.readers.cold_start import cold_start_content, drawn, fill_unknown, protocol_of, read_word_lists
from bench.data.splits import TEST, TRAIN, VALID
from bench.data.types import Modality, ModalityInfo
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.content import Content, Request

READER_VERSION = 1
PARTS = ("train", "train_map", "warm_val", "warm_test", "cold_val", "cold_test")
"""Parts of the published split."""
_LABELS = np.array([TRAIN, TRAIN, VALID, TEST, VALID, TEST], dtype=np.int8)
DIM = 128
MIN_ITEMS = 2
"""A tag of one item alone likens it to nothing."""


def read(request: Request) -> Content:
    """Reads rows, the published split or a drawn one, and tag vectors.

    Raises:
        DataError: A file is missing or damaged, or an item is both warm and cold.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path, papers = request.folder / "interactions.parquet", request.folder / "items.parquet"
    tags = read_word_lists(papers, "tags")
    n_items = len(tags)
    table = read_interactions(path, max_items=n_items, split_names=PARTS)
    if protocol_of(request).split == "shipped":
        if table.labels is None:
            raise DataError(f"{path} has no column 'split', which protocol {request.protocol.name!r} reads.")
        labels = _LABELS[table.labels]
        cold = table.labels >= PARTS.index("cold_val")
        try:
            split = ColdSplit(groups_of(table.items, labels, cold, n_items), labels)
        except DataError as error:
            raise DataError(f"{path}: {error.message}") from error
        origin = f"shipped with {path.name}; train and train_map together are the training rows"
    else:
        split, origin = drawn(request, table, n_items=n_items)
    dim = min(DIM, n_items - 2)
    derived = f"svd{dim}(tf-idf of tags)"
    key = f"tag vectors {file_digest(papers)} {derived} {MIN_ITEMS} v{READER_VERSION}"
    info = ModalityInfo("features", dim, derived)

    def load() -> dict[str, Modality]:
        vectors = derived_array(key, (n_items, dim), lambda target: np.save(target, tag_vectors(tags, dim)))
        return {"text": Modality(info, vectors)}

    return cold_start_content(
        request,
        table.users,
        table.items,
        split,
        n_users=int(table.users.max()) + 1,
        origin=origin,
        identity={"interactions": file_digest(path), "items": file_digest(papers), "reader": READER_VERSION},
        content={"text": info},
        load=load,
    )


def tag_vectors(tags: Sequence[Sequence[str]], dim: int) -> np.ndarray:
    """Embeds items by their tags: latent semantic analysis (Deerwester et al., 1990).

    With X the matrix of tag i weighed by ln(I / items with i), rows of length 1, the vectors are U S of its truncated
    singular value decomposition, again of length 1; tags of fewer than `MIN_ITEMS` items are left out. The start vector
    is fixed and the entry of largest magnitude of every singular vector is positive. Items without a tag get the mean
    vector. Tags belong to the item: nobody's behaviour enters.

    Args:
        tags: I lists of tags; repeats within an item count once.
        dim: Width, below the number of items and of tags.

    Returns:
        (I, dim) float32; columns past the number of tags are 0.
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import svds

    own = [sorted(set(words)) for words in tags]
    flat = np.array([word for words in own for word in words], dtype=object).astype(str)
    owner = np.repeat(np.arange(len(own)), [len(words) for words in own])
    _, place, counts = np.unique(flat, return_inverse=True, return_counts=True)
    stays = counts[place] >= MIN_ITEMS
    owner, place = owner[stays], (np.cumsum(counts >= MIN_ITEMS) - 1)[place[stays]]
    weights = np.log(len(own) / counts[counts >= MIN_ITEMS])
    matrix = sparse.csr_matrix((weights[place], (owner, place)), shape=(len(own), len(weights)))
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    known = lengths > 0
    matrix = sparse.diags(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=known)) @ matrix
    width = min(dim, min(matrix.shape) - 1)
    found = np.zeros((len(own), dim))
    if width > 0:
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        left, values, _ = svds(matrix, k=width, v0=start, solver="arpack")
        order = np.argsort(-values, kind="stable")
        left = left[:, order] * values[order]
        peaks = left[np.argmax(np.abs(left), axis=0), np.arange(width)]
        left *= np.where(peaks < 0, -1.0, 1.0)
        found[:, :width] = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)
    return fill_unknown(found.astype(np.float32), known)
