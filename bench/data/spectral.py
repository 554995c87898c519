"""Vectors for items of which only neighbour lists are published: a spectral embedding of the neighbour graph."""

from __future__ import annotations

import numpy as np

DIM = 64
VERSION = 1


def spectral_dim(n_items: int) -> int:
    """Returns the width of the embedding: 64, or less where the graph is smaller than that."""
    return max(1, min(DIM, n_items - 2))


def spectral_name(n_items: int) -> str:
    """Returns the name under which the derived vectors are recorded, e.g. `spectral64(neighbours)`."""
    return f"spectral{spectral_dim(n_items)}(neighbours)"


def spectral_embedding(neighbours: np.ndarray, n_items: int) -> np.ndarray:
    """Embeds items by the leading eigenvectors of their symmetrised, normalised neighbour graph.

    With A = max(N, N^T) without self-pairs and D its degrees, the vectors are the rows of the eigenvectors of
    D^-1/2 A D^-1/2 with the largest eigenvalues, scaled to length 1 (Ng, Jordan, Weiss: On spectral clustering, 2001).
    The start vector is fixed and the entry of largest magnitude of every eigenvector is positive, so that one machine
    gives one answer. Items without a neighbour get the mean of the others' vectors.

    Args:
        neighbours: (edges, 2) rows (item, neighbour); self-pairs are ignored.
        n_items: Number of items.

    Returns:
        (n_items, spectral_dim(n_items)) float32.
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import eigsh

    dim = spectral_dim(n_items)
    edges = neighbours[neighbours[:, 0] != neighbours[:, 1]]
    if not len(edges):
        return np.zeros((n_items, dim), dtype=np.float32)
    graph = sparse.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n_items, n_items))
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    graph = sparse.diags(root) @ graph @ sparse.diags(root)
    if n_items <= 4 * DIM:
        # Lanczos needs room to iterate in; small graphs are cheaper dense anyway.
        vectors = np.linalg.eigh(graph.toarray())[1][:, ::-1][:, :dim]
    else:
        start = np.random.default_rng(0).standard_normal(n_items)
        values, vectors = eigsh(graph, k=dim, which="LA", v0=start)
        vectors = vectors[:, np.argsort(-values, kind="stable")]
    peaks = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    vectors = vectors * np.where(peaks < 0, -1.0, 1.0)
    known = degree > 0
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    vectors[~known] = vectors[known].mean(axis=0)
    out = np.zeros((n_items, dim), dtype=np.float32)
    out[:, : vectors.shape[1]] = vectors
    return out
