"""Exact k nearest neighbours by cosine, in blocks of rows: nothing of size n × n is ever held."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

_SIMILARITY_BYTES = 128 * 2**20
"""Memory for the similarities of one block of rows to all items."""
_PAIR_BYTES = 32 * 2**20
"""Memory for the vectors of the pairs that are compared exactly."""
_COLUMNS = 4096
"""Items whose vectors are cast and normalised at a time."""


class Edges(NamedTuple):
    """Directed edges.

    Attributes:
        rows: (edges,) int64 receiving node.
        cols: (edges,) int64 sending node.
        weights: (edges,) float64.
    """

    rows: Tensor
    cols: Tensor
    weights: Tensor


def nearest_neighbours(
    features: np.ndarray, k: int, *, weighted: bool = True, self_loop: bool = True, block: int | None = None
) -> Edges:
    """Finds each item's k nearest items by cosine.

    Candidates come from a matrix product in the features' own precision (float32 at least) with a margin for its
    rounding; their cosines are then computed again in float64, each pair by itself, and ordered by (cosine, lower id).
    So neither the block size nor the number of threads changes the result.

    Args:
        features: (items, dim) float16, float32 or float64, may be memory-mapped: it is read and cast in blocks.
        k: Entries of a row, the item itself included where `self_loop`.
        weighted: Weights are cosines, negative ones 0; otherwise 1.
        self_loop: Every row starts with the item itself, weight 1; otherwise no row holds it.
        block: Rows at a time; chosen from the number of items when absent.

    Returns:
        Edges sorted by row, then column. An all-zero vector has cosine 0 to everything by convention and takes no
        part: its row holds the item itself alone (nothing without `self_loop`), and no other row holds it.

    Raises:
        ValueError: `features` is not a finite floating matrix or k < 1.
    """
    if features.ndim != 2 or features.dtype.kind != "f":
        raise ValueError(f"features must be a floating matrix, but are {features.dtype} of shape {features.shape}")
    if k < 1:
        raise ValueError(f"k >= 1 must hold, but got (k={k})")
    n_items = len(features)
    norms = _norms(features)
    empty = torch.from_numpy(norms == 0.0)
    twins = _first_twins(features)
    others = k - 1 if self_loop else k
    loops = torch.arange(n_items if self_loop else 0)
    rows, cols, weights = [loops], [loops], [torch.ones(len(loops), dtype=torch.float64)]
    if others and n_items > 1:
        size = block or int(np.clip(_SIMILARITY_BYTES // (8 * n_items), 16, 2048))
        for start in range(0, n_items, size):
            found = _block(features, norms, twins, empty, slice(start, min(start + size, n_items)), others)
            rows.append(found.rows)
            cols.append(found.cols)
            weights.append(found.weights.clamp(0.0, 1.0) if weighted else torch.ones_like(found.weights))
    row, col, weight = torch.cat(rows), torch.cat(cols), torch.cat(weights)
    order = torch.argsort(row * n_items + col)
    return Edges(row[order], col[order], weight[order])


def _norms(features: np.ndarray) -> np.ndarray:
    norms = np.empty(len(features))
    for start in range(0, len(features), _COLUMNS):
        part = np.asarray(features[start : start + _COLUMNS], dtype=np.float64)
        norms[start : start + len(part)] = np.sqrt(np.einsum("ij,ij->i", part, part))
    if not np.isfinite(norms).all():
        raise ValueError(f"features must be finite, but row {int(np.argmin(np.isfinite(norms)))} is not")
    return norms


def _unit(features: np.ndarray, norms: np.ndarray, rows: slice, dtype: np.dtype) -> Tensor:
    safe = np.where(norms[rows] > 0, norms[rows], 1.0)[:, None]
    return torch.from_numpy(np.divide(features[rows], safe, dtype=dtype, casting="same_kind"))


def _block(
    features: np.ndarray, norms: np.ndarray, twins: np.ndarray, empty: Tensor, rows: slice, others: int
) -> Edges:
    """The `others` nearest non-empty items of each row of a block, the item itself excluded."""
    n_items, dim = features.shape
    dtype = np.promote_types(features.dtype, np.float32)
    left = _unit(features, norms, rows, dtype)
    similarity = torch.empty(len(left), n_items, dtype=left.dtype)
    for start in range(0, n_items, _COLUMNS):
        columns = slice(start, min(start + _COLUMNS, n_items))
        similarity[:, columns] = left @ _unit(features, norms, columns, dtype).T
    similarity[:, empty] = -torch.inf
    similarity[empty[rows]] = -torch.inf
    similarity.diagonal(rows.start).fill_(-torch.inf)
    border = torch.topk(similarity, min(others, n_items), dim=1).values[:, -1:]
    margin = 8 * float(torch.finfo(left.dtype).eps) * dim**0.5
    candidates = (similarity >= border - margin) & (similarity > -torch.inf)
    row, col = candidates.nonzero(as_tuple=True)
    del similarity, candidates
    row += rows.start
    cosine = _exact(features, norms, twins[row.numpy()], twins[col.numpy()])
    order = np.lexsort((col.numpy(), -cosine, row.numpy()))
    row, col, exact = row[order], col[order], torch.from_numpy(cosine[order])
    rank = torch.arange(len(row)) - torch.searchsorted(row, row)
    kept = rank < others
    return Edges(row[kept], col[kept], exact[kept])


def _first_twins(features: np.ndarray) -> np.ndarray:
    """The lowest item id with the same vector, bit for bit; shared placeholder pictures are common."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in features)
    return np.fromiter((seen.setdefault(digest, item) for item, digest in enumerate(digests)), np.int64, len(features))


def _exact(features: np.ndarray, norms: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Cosines of pairs of items in float64, each distinct pair computed once and by itself."""
    codes, inverse = np.unique(rows * len(features) + cols, return_inverse=True)
    rows, cols = codes // len(features), codes % len(features)
    cosine = np.empty(len(codes))
    size = max(_PAIR_BYTES // (16 * max(features.shape[1], 1)), 1)
    for start in range(0, len(codes), size):
        part = slice(start, start + size)
        left = np.asarray(features[rows[part]], dtype=np.float64, order="C")
        right = np.asarray(features[cols[part]], dtype=np.float64, order="C")
        cosine[part] = np.einsum("ij,ij->i", left, right) / (norms[rows[part]] * norms[cols[part]])
    return cosine[inverse]
