"""`View` against scipy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.graph.view import View

QUICK = settings(max_examples=50, deadline=None)


@st.composite
def edge_lists(draw):
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    n = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, shape[0], n), rng.integers(0, shape[1], n), rng.standard_normal(n), shape


def make(rows, cols, values, shape):
    return View.from_edges(torch.as_tensor(rows), torch.as_tensor(cols), torch.as_tensor(values), shape)


def small():
    return make([0, 2, 0], [1, 0, 0], [1.0, 2.0, 3.0], (3, 2))


@QUICK
@given(edge_lists())
def test_from_edges_equals_scipy_in_both_directions(edges):
    rows, cols, values, shape = edges
    expected = sp.coo_matrix((values, (rows, cols)), shape=shape).tocsr()
    expected.sum_duplicates()
    view = make(*edges)
    for csr, indptr, indices, data in (
        (expected, view.indptr, view.indices, view.values),
        (expected.T.tocsr(), view.t_indptr, view.t_indices, view.t_values),
    ):
        csr.sort_indices()
        np.testing.assert_array_equal(indptr.numpy(), csr.indptr)
        np.testing.assert_array_equal(indices.numpy(), csr.indices)
        np.testing.assert_allclose(data.numpy(), csr.data, atol=1e-14)
    assert view.shape == shape
    assert view.n_edges == expected.nnz
    np.testing.assert_allclose(view.dense().numpy(), expected.toarray(), atol=1e-14)


@QUICK
@given(edge_lists(), st.tuples(*[st.integers(0, 12)] * 4))
def test_block_equals_dense_slicing(edges, bounds):
    view = make(*edges)
    rows, cols = slice(*bounds[:2]), slice(*bounds[2:])
    block = view.block(rows, cols)
    np.testing.assert_array_equal(block.dense().numpy(), view.dense()[rows, cols].numpy())


@QUICK
@given(edge_lists())
def test_edge_order_does_not_matter_for_distinct_edges(edges):
    view = make(*edges)
    order = torch.randperm(view.n_edges)
    again = View.from_edges(view.rows[order], view.indices[order], view.values[order], view.shape)
    for name in ("indptr", "indices", "values", "t_indptr", "t_indices", "t_values"):
        assert torch.equal(getattr(view, name), getattr(again, name))


def test_repeated_edges_are_summed_and_zeros_are_kept():
    view = make([1, 1, 0], [0, 0, 1], [1.0, 2.0, 0.0], (2, 2))
    assert view.n_edges == 2
    assert view.dense().tolist() == [[0.0, 0.0], [3.0, 0.0]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (4, 5)])
def test_a_graph_without_edges_is_a_view(shape):
    view = make(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long), torch.empty(0), shape)
    assert view.shape == shape
    assert view.n_edges == 0
    assert view.dense().shape == shape


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8, torch.int64])
def test_ids_of_any_integer_type_are_read(dtype):
    ids = torch.tensor([1, 0], dtype=dtype)
    assert View.from_edges(ids, ids, torch.ones(2), (2, 2)).indices.dtype == torch.int64


@pytest.mark.parametrize(
    ("rows", "cols", "values", "shape", "message"),
    [
        ([0, 5], [0, 0], [1.0, 1.0], (2, 2), r"rows must hold ids in \[0, 2\), but reach from 0 to 5"),
        ([0, 0], [0, -1], [1.0, 1.0], (2, 2), r"cols must hold ids in \[0, 2\), but reach from -1 to 0"),
        ([0.0], [0], [1.0], (2, 2), "rows must be a vector of integers"),
        ([True], [0], [1.0], (2, 2), "rows must be a vector of integers"),
        ([[0]], [0], [1.0], (2, 2), "rows must be a vector of integers"),
        ([0], [0], [1], (2, 2), "values must be a floating vector"),
        ([0], [0], [[1.0]], (2, 2), "values must be a floating vector"),
        ([0, 1], [0], [1.0], (2, 2), "must be equally many"),
        ([0], [0], [1.0], (-1, 2), "shape must hold sizes"),
        ([0], [0], [1.0], (2**40, 2**40), "product is below"),
    ],
)
def test_edges_that_do_not_fit_are_refused(rows, cols, values, shape, message):
    with pytest.raises(ValueError, match=message):
        make(rows, cols, values, shape)


def test_block_refuses_strides():
    with pytest.raises(ValueError, match="step 1"):
        small().block(slice(0, 3, 2), slice(None))


def test_prepared_tensors_are_made_once_and_not_pickled():
    view = small()
    cpu = torch.device("cpu")
    first = view.csr(cpu, torch.float32)
    assert view.csr(cpu, torch.float32) is first
    assert view.csr(cpu, torch.float32, transpose=True).indptr.numel() == 3
    assert torch.equal(first.matrix.to_dense(), view.dense())
    for again in (pickle.loads(pickle.dumps(view)), copy.deepcopy(view)):
        assert not again._prepared
        assert torch.equal(again.dense(), view.dense())


def test_to_changes_the_weights_and_keeps_the_graph():
    view = small()
    assert view.to(dtype=torch.float32) is view
    double = view.to("cpu", torch.float64)
    assert double.values.dtype == double.t_values.dtype == torch.float64
    assert double.indices.dtype == torch.int64
    assert torch.equal(double.dense(), view.dense().double())


def test_weights_that_are_learned_keep_their_gradient():
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    view = View.from_edges(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 1]), values, (2, 2))
    (view.t_values * torch.tensor([5.0, 7.0])).sum().backward()
    assert values.grad.tolist() == [5.0, 5.0, 7.0]
