"""What nearest-neighbour recommenders by content share: every item's neighbours as state, and scores of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scipy import sparse

from bench.methods.base import Recommender
from bench.methods.layers.histories import Histories

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context
    from bench.spec.config import MethodConfig

BLOCK = 1024
"""Items whose similarities to all others are held at once."""


class NeighbourRecommender(Recommender):
    """Scores a user's history by lists of neighbours, which `fit` of a subclass fills in. Nothing is items × items.

    Args:
        config: A validated `Config`.
        context: Data and floating type.
        k: Neighbours kept per item; all items where there are fewer.
    """

    neighbours: Tensor
    """(items, width) int32."""
    similarities: Tensor
    """(items, width), 0 where an item has no further neighbour."""
    history_indptr: Tensor
    history_items: Tensor

    def __init__(self, config: MethodConfig, context: Context, k: int) -> None:
        super().__init__(config, context)
        width = min(k, self.n_items)
        # Rows are padded with similarity 0, so that the state's shape follows from the configuration alone.
        self.register_buffer("neighbours", torch.zeros(self.n_items, width, dtype=torch.int32))
        self.register_buffer("similarities", torch.zeros(self.n_items, width, dtype=context.dtype))
        history = Histories.of(context.data)
        self.register_buffer("history_indptr", history.indptr, persistent=False)
        self.register_buffer("history_items", history.items, persistent=False)
        self._matrix: sparse.csr_matrix | None = None

    def entries(self, items: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the item taken and the item recommended for each pair of an item and a neighbour of it, (n,) each."""
        raise TypeError(f"{type(self).__name__} must override entries")

    def begin_scoring(self) -> None:
        """Puts the neighbours into a sparse matrix of the item taken by the item recommended."""
        kept = self.similarities != 0
        taken, recommended = self.entries(kept.nonzero()[:, 0], self.neighbours[kept].long())
        values, shape = self.similarities[kept].double().cpu().numpy(), (self.n_items, self.n_items)
        self._matrix = sparse.csr_matrix((values, (taken.cpu().numpy(), recommended.cpu().numpy())), shape=shape)

    def score(self, users: Tensor) -> Tensor:
        """Returns (n, items) sums of the similarities between what a user took and each item, where they are kept."""
        if self._matrix is None:
            self.begin_scoring()
        assert self._matrix is not None  # noqa: S101 - set by begin_scoring
        chosen = Histories(self.history_indptr, self.history_items).select(users)
        scores = (chosen.matrix(self.n_items) @ self._matrix).toarray()
        return torch.from_numpy(scores).to(users.device, self.similarities.dtype)
