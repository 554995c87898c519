"""`propagate` against dense algebra and DGL's message passing; gradients in float64."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.graph.propagate import propagate
from bench.graph.view import View

QUICK = settings(max_examples=50, deadline=None)


def random_view(seed, shape, n, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    rows, cols = (torch.from_numpy(rng.integers(0, size, n)) for size in shape)
    return View.from_edges(rows, cols, torch.from_numpy(rng.standard_normal(n)).to(dtype), shape)


@QUICK
@given(st.integers(0, 999), st.integers(1, 20), st.integers(1, 20), st.integers(0, 60), st.integers(1, 33))
def test_propagate_equals_dense_algebra_with_its_gradient(seed, n_rows, n_cols, n, width):
    view = random_view(seed, (n_rows, n_cols), n)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_cols, width, generator=generator, dtype=torch.float64, requires_grad=True)
    seed_grad = torch.randn(n_rows, width, generator=generator, dtype=torch.float64)
    y = propagate(view, x)
    torch.testing.assert_close(y, view.dense() @ x, rtol=1e-12, atol=1e-12)
    (grad,) = torch.autograd.grad(y, x, seed_grad)
    torch.testing.assert_close(grad, view.dense().T @ seed_grad, rtol=1e-12, atol=1e-12)
    single = propagate(view, x.detach().float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), y.detach(), rtol=1e-5, atol=1e-5)


def test_gradients_of_first_and_second_order_are_right():
    view = random_view(0, (5, 4), 9)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: propagate(view, x), x)
    assert torch.autograd.gradgradcheck(lambda x: propagate(view, x).pow(2), x)


@settings(QUICK, max_examples=10)
@given(st.integers(0, 999))
def test_propagate_equals_dgl_message_passing(seed):
    from bench.graph.transforms import dgl

    view = random_view(seed, (30, 30), 120)
    x = torch.randn(30, 8, dtype=torch.float64, requires_grad=True)
    graph = dgl.graph((view.indices, view.rows), num_nodes=30)
    graph.ndata["x"], graph.edata["w"] = x, view.values
    graph.update_all(dgl.function.u_mul_e("x", "w", "m"), dgl.function.sum("m", "y"))
    ours, theirs = propagate(view, x), graph.ndata["y"]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for y in (ours, theirs):
        assert y.requires_grad
    torch.testing.assert_close(
        torch.autograd.grad(ours.pow(3).sum(), x)[0], torch.autograd.grad(theirs.pow(3).sum(), x)[0]
    )


def test_an_untidy_memory_layout_changes_nothing():
    view = random_view(1, (6, 5), 12)
    x = torch.randn(3, 5, dtype=torch.float64).T.requires_grad_()
    y = propagate(view, x)
    torch.testing.assert_close(y, view.dense() @ x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, view.dense().sum(0)[:, None].expand(5, 3))


def test_results_do_not_share_memory():
    view = random_view(2, (4, 4), 8)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    first = propagate(view, x)
    before = first.detach().clone()
    second = propagate(view, 2 * x)
    assert first.data_ptr() != second.data_ptr()
    assert torch.equal(first, before)
    (first * second).sum().backward()
    torch.testing.assert_close(x.grad, view.dense().T @ (4 * (view.dense() @ x.detach())))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    view = View.from_edges(torch.zeros(4096).long(), torch.arange(4096), torch.ones(4096), (1, 4096))
    x = torch.ones(4096, 1, dtype=dtype, requires_grad=True)
    y = propagate(view, x)
    assert y.dtype == dtype
    assert y.item() == 4096
    y.backward(torch.ones_like(y))
    assert x.grad.dtype == dtype


def test_weights_are_cast_to_the_type_of_the_input():
    view = random_view(3, (4, 4), 8, torch.float64)
    assert propagate(view, torch.randn(4, 2)).dtype == torch.float32


def test_a_view_first_used_in_inference_mode_still_trains():
    view = random_view(4, (4, 4), 8)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        propagate(view, x)
    propagate(view, x).sum().backward()
    assert x.grad is not None


def test_no_graph_is_kept_where_no_gradient_is_asked_for():
    assert not propagate(random_view(5, (4, 4), 8), torch.randn(4, 2)).requires_grad


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 3)])
def test_a_graph_without_edges_gives_zeros(shape):
    view = random_view(6, shape, 0)
    x = torch.ones(shape[1], 2, requires_grad=True)
    y = propagate(view, x)
    assert torch.equal(y, torch.zeros(shape[0], 2))
    y.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(4, 2), r"x must be of shape \(3, d\) for a view \(4, 3\), but is \(4, 2\)"),
        (torch.zeros(3), "x must be of shape"),
        (torch.zeros(3, 2, dtype=torch.long), "x must be floating"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        propagate(random_view(7, (4, 3), 5), x)


def test_weights_that_ask_for_a_gradient_are_refused():
    ids = torch.tensor([0, 1])
    view = View.from_edges(ids, ids, torch.ones(2, requires_grad=True), (2, 2))
    with pytest.raises(ValueError, match="detach them"):
        propagate(view, torch.ones(2, 1))


def test_nothing_is_warned_of_and_dgl_is_not_loaded():
    code = (
        "import sys, torch\n"
        "from bench.graph.propagate import propagate\n"
        "from bench.graph.view import View\n"
        "i = torch.arange(3)\n"
        "propagate(View.from_edges(i, i, torch.ones(3), (3, 3)), torch.ones(3, 2))\n"
        "sys.exit('dgl' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_the_cpu():
    view = random_view(8, (50, 40), 300)
    x = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    there = x.detach().cuda().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, z = propagate(view, x), propagate(view, there)
    torch.testing.assert_close(z.cpu(), y)
    y.pow(2).sum().backward()
    z.pow(2).sum().backward()
    torch.testing.assert_close(there.grad.cpu(), x.grad)
