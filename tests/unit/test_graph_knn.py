"""Blocked exact nearest neighbours against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.graph.knn import nearest_neighbours

QUICK = settings(max_examples=50, deadline=None)


def brute_force(features, k, *, self_loop=True):
    """Rows of (neighbour, cosine), by (cosine descending, id ascending), self first; all-zero rows take no part."""
    x = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1)
    rows = []
    for i in range(len(x)):
        row = [(i, 1.0)] if self_loop else []
        others = [j for j in range(len(x)) if j != i and norms[i] > 0 and norms[j] > 0]
        cosine = {j: float((x[i] * x[j]).sum() / (norms[i] * norms[j])) for j in others}
        row += [(j, cosine[j]) for j in sorted(others, key=lambda j: (-cosine[j], j))[: k - self_loop]]
        rows.append(dict(sorted(row)))
    return rows


def as_rows(edges, n):
    rows = [{} for _ in range(n)]
    for row, col, weight in zip(*(part.tolist() for part in edges), strict=True):
        rows[row][col] = weight
    return rows


@QUICK
@given(
    st.integers(0, 9999),
    st.integers(1, 25),
    st.integers(1, 9),
    st.integers(1, 30),
    st.booleans(),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.integers(1, 30),
)
def test_neighbours_equal_brute_force(seed, n, dim, k, self_loop, dtype, block):
    features = np.random.default_rng(seed).standard_normal((n, dim)).astype(dtype)
    edges = nearest_neighbours(features, k, self_loop=self_loop, block=block)
    actual, expected = as_rows(edges, n), brute_force(features, k, self_loop=self_loop)
    for mine, theirs in zip(actual, expected, strict=True):
        if dim > 1:  # one-dimensional cosines are all ±1 up to rounding, which decides the order of the brute force
            assert list(mine) == list(theirs)
            np.testing.assert_allclose(list(mine.values()), np.clip(list(theirs.values()), 0, None), atol=1e-12)
        assert len(mine) == len(theirs)


@QUICK
@given(st.integers(0, 9999), st.integers(2, 30), st.integers(1, 8))
def test_equal_vectors_are_ordered_by_item_id(seed, n, k):
    rng = np.random.default_rng(seed)
    kinds = np.eye(3, 5, dtype=np.float32) + 0.25
    which = rng.integers(0, 3, n)
    edges = nearest_neighbours(kinds[which], k, block=4)
    for item, row in enumerate(as_rows(edges, n)):
        twins = [j for j in range(n) if which[j] == which[item] and j != item]
        others = [j for j in range(n) if which[j] != which[item]]
        assert sorted(row) == sorted([item, *(twins + others)[: k - 1]])


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_the_block_size_changes_no_bit(block):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, 40)).astype(np.float32)[rng.integers(0, 300, 400)]
    one, other = nearest_neighbours(features, 10), nearest_neighbours(features, 10, block=block)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_memory_mapped_halves_are_read_in_blocks(tmp_path, monkeypatch):
    features = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float16)
    np.save(tmp_path / "x.npy", features)
    monkeypatch.setattr("bench.graph.knn._COLUMNS", 8)
    monkeypatch.setattr("bench.graph.knn._PAIR_BYTES", 1)
    mapped = nearest_neighbours(np.load(tmp_path / "x.npy", mmap_mode="r"), 5)
    monkeypatch.undo()
    whole = nearest_neighbours(features.astype(np.float64), 5)
    assert torch.equal(mapped.cols, whole.cols)
    torch.testing.assert_close(mapped.weights, whole.weights, rtol=0, atol=1e-15)


def test_an_all_zero_vector_is_alone_and_nothing_is_nan():
    features = np.array([[1, 0], [0, 0], [1, 1], [-1, 0.5]], dtype=np.float32)
    edges = nearest_neighbours(features, 10)
    rows = as_rows(edges, 4)
    assert rows[1] == {1: 1.0}
    assert all(1 not in rows[item] for item in (0, 2, 3))
    assert edges.weights.isfinite().all()
    assert as_rows(nearest_neighbours(features, 10, self_loop=False), 4)[1] == {}


def test_only_zero_vectors_leave_self_loops():
    edges = nearest_neighbours(np.zeros((3, 2), dtype=np.float32), 2)
    assert edges.rows.tolist() == edges.cols.tolist() == [0, 1, 2]


def test_negative_cosines_weigh_nothing_and_binary_edges_weigh_one():
    features = np.array([[1.0, 0.0], [-1.0, 0.1]])
    assert as_rows(nearest_neighbours(features, 2), 2) == [{0: 1.0, 1: 0.0}, {0: 0.0, 1: 1.0}]
    assert nearest_neighbours(features, 2, weighted=False).weights.tolist() == [1.0] * 4


def test_one_item_and_no_item():
    assert as_rows(nearest_neighbours(np.ones((1, 3)), 10), 1) == [{0: 1.0}]
    assert len(nearest_neighbours(np.ones((1, 3)), 10, self_loop=False).rows) == 0
    assert len(nearest_neighbours(np.ones((0, 3)), 10).rows) == 0


@pytest.mark.parametrize(
    ("features", "k", "message"),
    [
        (np.array([[1.0], [np.nan]]), 2, "features must be finite, but row 1 is not"),
        (np.array([[np.inf], [1.0]]), 2, "features must be finite, but row 0 is not"),
        (np.ones((2, 2), dtype=np.int64), 2, "must be a floating matrix"),
        (np.ones(3), 2, "must be a floating matrix"),
        (np.ones((2, 2)), 0, "k >= 1 must hold"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, k, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(features, k)
