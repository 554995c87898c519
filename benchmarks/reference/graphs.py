"""Graphs as COO tensors."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


def to_coo(matrix: sparse.spmatrix, dtype: torch.dtype) -> Tensor:
    """Returns a scipy matrix as the COO tensor repositories build; it is not marked as coalesced."""
    coo = matrix.tocoo()
    index = torch.from_numpy(np.vstack([coo.row, coo.col]).astype(np.int64))
    return torch.sparse_coo_tensor(index, torch.from_numpy(coo.data).to(dtype), coo.shape)


def user_item(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int, *, eps: float) -> sparse.csr_matrix:
    """Returns D^-½ A D^-½ over users, then items, with `eps` added to degrees."""
    rows = sparse.csr_matrix((np.ones(len(users)), (users, items)), shape=(n_users, n_items))
    adjacency = sparse.bmat([[None, rows], [rows.T, None]], format="csr")
    degree = np.asarray(adjacency.sum(1)).ravel() + eps
    root = np.zeros_like(degree)
    root[degree > 0] = degree[degree > 0] ** -0.5
    return sparse.diags(root) @ adjacency @ sparse.diags(root)


def nearest_neighbours(features: Tensor, k: int, dtype: torch.dtype) -> Tensor:
    """Returns the normalised k-nearest-neighbour graph by cosine, from one dense (items, items) matrix."""
    unit = features / features.norm(dim=1, keepdim=True)
    value, neighbour = torch.topk(unit @ unit.T, k, dim=1)
    row = torch.arange(len(features)).repeat_interleave(k)
    value, col = value.flatten(), neighbour.flatten()
    root = torch.zeros(len(features), dtype=value.dtype).index_add(0, row, value).rsqrt()
    weight = (value * root[row] * root[col]).to(dtype)
    return torch.sparse_coo_tensor(torch.stack([row, col]), weight, (len(features), len(features)))
