"""Edge weights: degree normalisation and degree-aware sampling of edges. Torch only, so training can use them too."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.graph.view import View


def weighted_degrees(ids: Tensor, values: Tensor, size: int) -> Tensor:
    """Sums the weights of the edges at each node.

    Args:
        ids: (edges,) node of each edge.
        values: (edges,) weights.
        size: Number of nodes.

    Returns:
        (size,) weighted degrees.
    """
    return values.new_zeros(size).index_add(0, ids.long(), values)


def inverse_root(degree: Tensor) -> Tensor:
    """Returns d^(-1/2), and 0 where d is not positive (a node without edges passes nothing on)."""
    return torch.where(degree > 0, degree.clamp(min=torch.finfo(degree.dtype).tiny).rsqrt(), 0.0)


def symmetric_norm(
    rows: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int], eps: float = 0.0, *, bipartite: bool = False
) -> Tensor:
    """Divides each weight by the root of the degrees of its two ends: w_ij / √((d_i + ε)(d_j + ε)).

    Args:
        rows: (edges,) node i of each edge.
        cols: (edges,) node j of each edge.
        values: (edges,) weights.
        shape: (rows, columns).
        eps: Added to every degree (1e-7 in LightGCN, BM3 and FREEDOM, 0 in MGCN).
        bipartite: Whether rows and columns are different nodes (users and items). Then d_j is a column sum; otherwise
            the graph is square and both degrees are row sums, as in the authors' code of MGCN and FREEDOM.

    Returns:
        (edges,) weights. An edge at a node whose degree is not positive gets 0.

    Raises:
        ValueError: The graph is not square and not called bipartite.
    """
    n_rows, n_cols = shape
    if n_rows != n_cols and not bipartite:
        raise ValueError(
            f"a graph of shape ({n_rows}, {n_cols}) is not square; pass bipartite=True for its two node sets"
        )
    left = inverse_root(weighted_degrees(rows, values, n_rows) + eps)
    right = inverse_root(weighted_degrees(cols, values, n_cols) + eps) if bipartite else left
    # The roots' product first: it is the same for (i, j) and (j, i), so a symmetric graph stays exactly symmetric.
    return values * (left[rows.long()] * right[cols.long()])


def row_norm(rows: Tensor, values: Tensor, n_rows: int) -> Tensor:
    """Divides each weight by its row's sum; rows whose sum is 0 get 0."""
    degree = weighted_degrees(rows, values, n_rows)
    return values * torch.where(degree != 0, 1.0 / degree, 0.0)[rows.long()]


def sample_edges_by_degree(
    edges: View | tuple[Tensor, Tensor],
    keep: int,
    generator: torch.Generator | None = None,
    *,
    degrees: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Draws user-item edges without replacement, one after the other, each with p ∝ 1/√(d_u d_i) among those left.

    FREEDOM's degree-sensitive pruning (Zhou and Shen, ACM MM 2023): edges between popular nodes are dropped first.
    The draw takes the `keep` smallest of independent exponential times with rates p, which has exactly that law
    (Efraimidis and Spirakis 2006).

    Args:
        edges: (users, items), the two ends of each edge; or a (users, items) view whose edges are meant in CSR order.
        keep: How many edges to keep. FREEDOM's is `int(E * (1 - rho))` in floating point: 79 of 400 at rho = 0.8.
        generator: Source of randomness, on the CPU or on the edges' device.
        degrees: (users,) d_u and (items,) d_i; counted from the edges when absent.

    Returns:
        (keep,) int64 indices into the edge list, ascending.

    Raises:
        ValueError: `keep` is not in [0, edges].
    """
    users, items = (edges.rows, edges.indices) if isinstance(edges, View) else (edges[0].long(), edges[1].long())
    n_edges = users.numel()
    if items.numel() != n_edges:
        raise ValueError(f"users and items must be equally many, but are {n_edges} and {items.numel()}")
    if not 0 <= keep <= n_edges:
        raise ValueError(f"0 <= keep <= edges must hold, but got (keep={keep}, edges={n_edges})")
    # An exponential time divided by its rate 1/√(d_u d_i); float64, because float32 times collide.
    user_degree, item_degree = degrees or (torch.bincount(users), torch.bincount(items))
    slowness = user_degree[users].double().sqrt() * item_degree[items].double().sqrt()
    device = users.device if generator is None else generator.device
    times = torch.empty(n_edges, dtype=torch.float64, device=device).exponential_(generator=generator)
    times = times.to(users.device) * slowness
    return torch.topk(times, keep, largest=False, sorted=False).indices.sort().values
