"""Weighted matrix factorisation by alternating least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bench.methods.layers.embedding import Representation
from bench.methods.layers.histories import Histories, ranges

if TYPE_CHECKING:
    from torch import Tensor

_VALUES_PER_BLOCK = 1 << 24
"""Entries of the gathered factors, and of the systems, held at once."""


def weighted_factors(
    histories: Histories,
    n_items: int,
    *,
    dim: int,
    confidence: float,
    reg: float,
    iterations: int,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> Representation:
    """Factorises a binary matrix, every absent entry being a 0 of low confidence (Hu, Koren and Volinsky, ICDM 2008).

    Minimises Σ_ui c_ui (p_ui − x_u·y_i)² + reg (Σ‖x_u‖² + Σ‖y_i‖²), c = 1 + confidence and p = 1 at a training pair,
    c = 1 and p = 0 elsewhere. One iteration solves x_u = (YᵀY + Yᵀ(C^u − I)Y + reg I)⁻¹ YᵀC^u p_u for every user
    (equation 4), then the same for items. A row without a pair is 0.

    Args:
        histories: Distinct items of every user.
        n_items: I.
        dim: d.
        confidence: α.
        reg: λ.
        iterations: Rounds over users and items.
        generator: CPU random stream of the items' first values, N(0, 0.01²).
        dtype: Of the factors.

    Returns:
        Factors of users (U, d) and items (I, d).
    """
    device = histories.items.device
    counts = histories.indptr.diff()
    owner = torch.repeat_interleave(torch.arange(counts.numel(), device=device), counts)
    order = torch.sort(histories.items, stable=True)[1]
    popularity = torch.bincount(histories.items, minlength=n_items)
    indptr = torch.cat([popularity.new_zeros(1), popularity.cumsum(0)])
    by_item = Histories(indptr, owner[order])
    items = 0.01 * torch.randn(n_items, dim, generator=generator, dtype=torch.float64).to(device, dtype)
    users = items.new_zeros(counts.numel(), dim)
    for _ in range(iterations):
        users = _solve(histories, items, confidence, reg)
        items = _solve(by_item, users, confidence, reg)
    return Representation(users, items)


def _solve(rows: Histories, other: Tensor, confidence: float, reg: float) -> Tensor:
    """Returns the factors of all rows, given those of the other side."""
    dim = other.shape[1]
    base = other.T @ other + reg * torch.eye(dim, dtype=other.dtype, device=other.device)
    found = other.new_zeros(rows.indptr.numel() - 1, dim)
    longest = int(rows.indptr.diff().max())
    block = max(1, _VALUES_PER_BLOCK // (dim * max(dim, longest)))
    for start in range(0, found.shape[0], block):
        chosen = torch.arange(start, min(start + block, found.shape[0]), device=other.device)
        begin, count = rows.indptr[chosen], rows.indptr[chosen + 1] - rows.indptr[chosen]
        places = ranges(begin, count)
        owner = torch.repeat_interleave(torch.arange(chosen.numel(), device=other.device), count)
        within = places - torch.repeat_interleave(begin, count)
        taken = other.new_zeros(chosen.numel(), max(1, int(count.max())), dim)
        taken[owner, within] = other[rows.items[places]]
        systems = base + confidence * (taken.transpose(1, 2) @ taken)
        right = (1.0 + confidence) * taken.sum(dim=1)
        found[chosen] = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(systems))[:, :, 0]
    return found
