"""Users' whole training histories as batches, for methods that model a row of the user-item matrix at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from bench.methods.base import Recommender
from bench.methods.layers.histories import Histories

if TYPE_CHECKING:
    from bench.methods.base import Context
    from bench.spec.config import MethodConfig


class HistoryBatch(NamedTuple):
    """Some users and their distinct training items.

    Attributes:
        users: (B,) int64.
        histories: Row k is the history of `users[k]`.
    """

    users: Tensor
    histories: Histories

    def rows(self) -> Tensor:
        """Returns the (pairs,) int64 row of each item of `histories.items`."""
        count = self.histories.indptr.diff()
        return torch.repeat_interleave(torch.arange(len(count), device=count.device), count)

    def dense(self, n_items: int, dtype: torch.dtype) -> Tensor:
        """Returns the (B, items) rows, 1 at a training item and 0 elsewhere."""
        matrix = torch.zeros(self.users.numel(), n_items, dtype=dtype, device=self.users.device)
        matrix[self.rows(), self.histories.items] = 1.0
        return matrix


class HistoryRecommender(Recommender):
    """A recommender that can look up the training histories it was built with."""

    history_indptr: Tensor
    history_items: Tensor

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        histories = Histories.of(context.data)
        self.register_buffer("history_indptr", histories.indptr, persistent=False)
        self.register_buffer("history_items", histories.items, persistent=False)

    def batch_of(self, users: Tensor) -> HistoryBatch:
        """Returns the histories of some users, (n,) int64."""
        return HistoryBatch(users, Histories(self.history_indptr, self.history_items).select(users))
