"""Users' training items as CSR tensors, for methods that score from a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy import sparse

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.types import RecommendationData


class Histories(NamedTuple):
    """The distinct training items of every user.

    Attributes:
        indptr: (users + 1,) int64 offsets.
        items: (pairs,) int64 items, ascending within a user.
    """

    indptr: Tensor
    items: Tensor

    @classmethod
    def of(cls, data: RecommendationData) -> Histories:
        """Reads them from the training rows."""
        user, item = np.divmod(data.train_pairs, data.n_items)
        indptr = np.searchsorted(user, np.arange(data.n_users + 1))
        return cls(torch.from_numpy(indptr), torch.from_numpy(item))

    def matrix(self, n_items: int) -> sparse.csr_matrix:
        """Returns the binary (users, items) matrix, float64 so that products of counts are exact."""
        shape = (self.indptr.numel() - 1, n_items)
        ones = np.ones(self.items.numel())
        return sparse.csr_matrix((ones, self.items.cpu().numpy(), self.indptr.cpu().numpy()), shape=shape)

    def select(self, users: Tensor) -> Histories:
        """Returns the histories of some users ((n,) int64), in that order."""
        begin, length = self.indptr[users], self.indptr[users + 1] - self.indptr[users]
        indptr = torch.cat([length.new_zeros(1), length.cumsum(0)])
        return Histories(indptr, self.items[ranges(begin, length)])


def ranges(begin: Tensor, count: Tensor) -> Tensor:
    """Concatenates the ranges [begin_r, begin_r + count_r).

    Args:
        begin: (n,) int64 first value of each range.
        count: (n,) int64 length of each range.

    Returns:
        (sum of count,) int64.
    """
    total = torch.arange(int(count.sum()), device=begin.device)
    return total + torch.repeat_interleave(begin - count.cumsum(0) + count, count)
