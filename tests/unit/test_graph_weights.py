"""Normalisation and degree-aware sampling of edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.graph.view import View
from bench.graph.weights import row_norm, sample_edges_by_degree, symmetric_norm

QUICK = settings(max_examples=50, deadline=None)


def random_edges(seed, n, shape):
    rng = np.random.default_rng(seed)
    codes = rng.choice(shape[0] * shape[1], min(n, shape[0] * shape[1]), replace=False)
    rows, cols = torch.from_numpy(codes // shape[1]), torch.from_numpy(codes % shape[1])
    return rows, cols, torch.from_numpy(rng.uniform(0.1, 2.0, len(codes)))


def dense(rows, cols, values, shape):
    return View.from_edges(rows, cols, values, shape).dense()


@QUICK
@given(st.integers(0, 999), st.integers(0, 40), st.sampled_from([0.0, 1e-7, 0.5]))
def test_symmetric_norm_equals_dense_algebra(seed, n, eps):
    rows, cols, values = random_edges(seed, n, (9, 9))
    matrix = dense(rows, cols, values, (9, 9))
    degree = matrix.sum(1) + eps
    root = torch.where(degree > 0, degree**-0.5, 0.0)
    expected = root[:, None] * matrix * root[None, :]
    actual = dense(rows, cols, symmetric_norm(rows, cols, values, (9, 9), eps), (9, 9))
    torch.testing.assert_close(actual, expected, rtol=1e-13, atol=1e-13)


@QUICK
@given(st.integers(0, 999), st.integers(1, 40))
def test_symmetric_norm_of_a_symmetric_graph_is_symmetric(seed, n):
    rows, cols, values = random_edges(seed, n, (8, 8))
    matrix = dense(torch.cat([rows, cols]), torch.cat([cols, rows]), values.repeat(2), (8, 8))
    row, col = matrix.nonzero(as_tuple=True)
    normed = dense(row, col, symmetric_norm(row, col, matrix[row, col], (8, 8)), (8, 8))
    torch.testing.assert_close(normed, normed.T, rtol=0, atol=1e-15)
    assert torch.linalg.eigvalsh(normed).abs().max() <= 1 + 1e-12


@QUICK
@given(st.integers(0, 999), st.integers(1, 30))
def test_two_node_sets_equal_the_graph_over_all_nodes(seed, n):
    rows, cols, values = random_edges(seed, n, (6, 6))
    both = torch.cat([rows, cols + 6]), torch.cat([cols + 6, rows])
    whole = symmetric_norm(*both, values.repeat(2), (12, 12), 1e-7)
    sides = symmetric_norm(rows, cols, values, (6, 6), 1e-7, bipartite=True)
    torch.testing.assert_close(sides.repeat(2), whole, rtol=1e-13, atol=0)


def test_symmetric_norm_refuses_a_rectangle_that_is_not_called_bipartite():
    with pytest.raises(ValueError, match="pass bipartite=True"):
        symmetric_norm(torch.tensor([0]), torch.tensor([0]), torch.ones(1), (2, 3), 0.0)


@QUICK
@given(st.integers(0, 999), st.integers(0, 40))
def test_row_norm_makes_rows_sum_to_one(seed, n):
    rows, _, values = random_edges(seed, n, (9, 7))
    sums = torch.zeros(9, dtype=torch.float64).index_add(0, rows, row_norm(rows, values, 9))
    expected = (torch.bincount(rows, minlength=9) > 0).double()
    torch.testing.assert_close(sums, expected)


def test_rows_that_sum_to_zero_stay_finite():
    rows, zeros = torch.tensor([0, 0]), torch.tensor([0.0, 0.0])
    assert row_norm(rows, zeros, 2).tolist() == [0.0, 0.0]
    assert symmetric_norm(rows, torch.tensor([0, 1]), zeros, (2, 2)).tolist() == [0.0, 0.0]
    assert symmetric_norm(rows, torch.tensor([0, 1]), torch.tensor([-1.0, 0.5]), (2, 2)).isfinite().all()


EDGES = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 1, 2, 0, 0])


def draws(keep, n):
    generator = torch.Generator().manual_seed(7)
    return [tuple(sample_edges_by_degree(EDGES, keep, generator).tolist()) for _ in range(n)]


def test_sampled_pairs_follow_successive_draws_without_replacement():
    p = np.array([1 / np.sqrt(du * di) for du, di in zip([3, 3, 3, 1, 1], [3, 1, 1, 3, 3], strict=True)])
    p /= p.sum()
    expected = {
        (a, b): p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b]) for a, b in itertools.combinations(range(5), 2)
    }
    n = 6_000
    sampled = draws(2, n)
    chi2 = sum((sampled.count(pair) - n * share) ** 2 / (n * share) for pair, share in expected.items())
    assert chi2 < 27.9  # 0.999 quantile, 9 degrees of freedom


def test_a_draw_is_repeated_by_its_seed_and_sorted():
    first, second = draws(3, 5), draws(3, 5)
    assert first == second
    assert all(len(set(draw)) == 3 and list(draw) == sorted(draw) for draw in first)


def test_all_or_no_edges_can_be_kept():
    assert sample_edges_by_degree(EDGES, 5).tolist() == [0, 1, 2, 3, 4]
    assert sample_edges_by_degree(EDGES, 0).tolist() == []


def test_a_view_is_sampled_like_its_edge_list():
    view = View.from_edges(*EDGES, torch.ones(5), (3, 3))
    one = sample_edges_by_degree(view, 2, torch.Generator().manual_seed(1))
    two = sample_edges_by_degree((view.rows, view.indices), 2, torch.Generator().manual_seed(1))
    assert torch.equal(one, two)


@pytest.mark.parametrize("keep", [-1, 6])
def test_more_edges_than_there_are_cannot_be_kept(keep):
    with pytest.raises(ValueError, match="0 <= keep <= edges"):
        sample_edges_by_degree(EDGES, keep)


def test_ends_of_different_number_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        sample_edges_by_degree((torch.tensor([0]), torch.tensor([0, 1])), 1)
