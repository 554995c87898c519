"""Products with a sparse matrix whose weights are learned: the pattern is fixed, the weights carry gradients.

`bench.graph.propagate` is for graphs with constant weights and is the faster of the two there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from bench.graph.view import View

_GATHERED_ROWS = 1 << 16
"""Edges whose two vectors are held at once where the CPU's sampled product cannot be used."""


class Pattern(nn.Module):
    """The places of a sparse matrix's entries, in CSR order, and those of its transpose.

    Buffers, so that it moves with the method that holds it; none of them is saved.

    Args:
        rows: (edges,) int64 receiving node of each edge, ascending; columns ascending within a row.
        cols: (edges,) int64 sending node of each edge.
        shape: (rows, columns).
    """

    rows: Tensor
    indptr: Tensor
    indices: Tensor
    t_indptr: Tensor
    t_indices: Tensor
    order: Tensor

    def __init__(self, rows: Tensor, cols: Tensor, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        order = torch.argsort(cols, stable=True)
        short = torch.int32 if max(rows.numel(), *shape) < 2**31 else torch.int64
        buffers = {
            "rows": rows,
            "indptr": _offsets(rows, shape[0]).to(short),
            "indices": cols.to(short),
            "t_indptr": _offsets(cols, shape[1]).to(short),
            "t_indices": rows[order].to(short),
            "order": order,
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)

    @classmethod
    def of(cls, view: View) -> Pattern:
        """Takes the places of a view's entries."""
        return cls(view.rows, view.indices, view.shape)


def weighted_product(pattern: Pattern, weights: Tensor, x: Tensor) -> Tensor:
    """Multiplies y = A x, differentiable once with respect to the weights of A and to x.

    Args:
        pattern: Where A has entries.
        weights: (edges,) their values, in the pattern's order.
        x: (columns, d).

    Returns:
        (rows, d).
    """
    product: Tensor = _WeightedProduct.apply(weights, x, pattern)
    return product


def edge_dots(pattern: Pattern, a: Tensor, b: Tensor) -> Tensor:
    """Returns the (edges,) inner products a_row · b_column of (rows, d) and (columns, d), differentiable once."""
    dots: Tensor = _EdgeDots.apply(a, b, pattern)
    return dots


def row_softmax(pattern: Pattern, logits: Tensor) -> Tensor:
    """Returns (edges,) weights: the softmax of (edges,) logits within each row."""
    floor = logits.new_full((pattern.shape[0],), -torch.inf)
    top = floor.scatter_reduce(0, pattern.rows, logits.detach(), "amax")
    exponentials = (logits - top.index_select(0, pattern.rows)).exp()
    sums = logits.new_zeros(pattern.shape[0]).index_add(0, pattern.rows, exponentials)
    return exponentials / sums.index_select(0, pattern.rows)


class _WeightedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(weights, x)
        ctx.pattern = pattern
        return _multiply(pattern, weights, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, x = ctx.saved_tensors
        grad, pattern = grads[0].contiguous(), ctx.pattern
        d_weights = _dots(pattern, grad, x) if ctx.needs_input_grad[0] else None
        d_x = _multiply_transposed(pattern, weights, grad) if ctx.needs_input_grad[1] else None
        return d_weights, d_x, None


class _EdgeDots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.pattern = pattern
        return _dots(pattern, a, b)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        grad, pattern = grads[0].contiguous(), ctx.pattern
        d_a = _multiply(pattern, grad, b) if ctx.needs_input_grad[0] else None
        d_b = _multiply_transposed(pattern, grad, a) if ctx.needs_input_grad[1] else None
        return d_a, d_b, None


def _offsets(ids: Tensor, size: int) -> Tensor:
    counts = torch.bincount(ids, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _bag(indices: Tensor, indptr: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    if not indices.numel():
        return x.new_zeros(indptr.numel() - 1, x.shape[1])
    return functional.embedding_bag(
        indices, x.contiguous(), indptr, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def _multiply(pattern: Pattern, weights: Tensor, x: Tensor) -> Tensor:
    return _bag(pattern.indices, pattern.indptr, weights, x)


def _multiply_transposed(pattern: Pattern, weights: Tensor, x: Tensor) -> Tensor:
    return _bag(pattern.t_indices, pattern.t_indptr, weights.index_select(0, pattern.order), x)


def _dots(pattern: Pattern, a: Tensor, b: Tensor) -> Tensor:
    """Nothing of size edges × d is held: gathering it all takes forty times as long as the products themselves."""
    out = a.new_zeros(pattern.rows.numel())
    if a.device.type == "cpu" and out.numel():
        zeros = torch.sparse_csr_tensor(
            pattern.indptr.long(), pattern.indices.long(), out, size=pattern.shape, check_invariants=False
        )
        sampled: Tensor = torch.sparse.sampled_addmm(zeros, a, b.T, beta=0.0)
        return sampled.values()
    for start in range(0, out.numel(), _GATHERED_ROWS):
        part = slice(start, start + _GATHERED_ROWS)
        left, right = a.index_select(0, pattern.rows[part]), b.index_select(0, pattern.indices[part])
        out[part] = (left * right).sum(1)
    return out
