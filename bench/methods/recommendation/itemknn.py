"""ItemKNN: neighbourhood collaborative filtering by the cosine of item columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field

from bench.methods.base import Recommender
from bench.methods.layers.histories import Histories, ranges
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context

_BLOCK = 1024
"""Items whose similarities to all others are held at once."""


class _Outgoing(NamedTuple):
    """For every item, the items that have it as a neighbour (CSR), and the similarities."""

    indptr: Tensor
    targets: Tensor
    similarities: Tensor


class ItemKNN(Recommender):
    """Item-based nearest neighbours (Sarwar et al., WWW 2001), in the form of RecBole's `ItemKNN`.

    s(i, j) = r_i·r_j / (‖r_i‖ ‖r_j‖ + shrink + 1e-6) over the columns r of the binary training matrix, zero diagonal.
    Each item j keeps its `k` most similar neighbours N(j) (equal similarities: lower id first), and a user's score is
    Σ_{i ∈ history ∩ N(j)} s(i, j). Nothing of size items × items is ever dense.
    """

    class Config(MethodConfig):
        """Settings of ItemKNN."""

        k: Annotated[int, Choices(10, 20, 50, 100, 200), Field(ge=1)] = 100
        """Neighbours kept per item."""
        shrink: Annotated[float, Choices(0.0, 10.0, 100.0), Field(ge=0)] = 0.0
        """Added to the denominator, so that similarities resting on few common users shrink."""

    closed_form: ClassVar[bool] = True

    neighbours: Tensor
    similarities: Tensor
    history_indptr: Tensor
    history_items: Tensor

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        width = min(config.k, self.n_items)
        # Rows are padded with similarity 0, so that the state's shape follows from the configuration alone.
        self.register_buffer("neighbours", torch.zeros(self.n_items, width, dtype=torch.int32))
        self.register_buffer("similarities", torch.zeros(self.n_items, width, dtype=context.dtype))
        history = Histories.of(context.data)
        self.register_buffer("history_indptr", history.indptr, persistent=False)
        self.register_buffer("history_items", history.items, persistent=False)
        self._outgoing: _Outgoing | None = None

    def fit(self) -> None:
        """Computes every item's neighbours, a block of items at a time."""
        matrix = Histories(self.history_indptr, self.history_items).matrix(self.n_items)
        columns = matrix.tocsc()
        norms = np.sqrt(np.diff(columns.indptr).astype(np.float64))
        neighbours = np.zeros(self.neighbours.shape, dtype=np.int32)
        similarities = np.zeros(self.similarities.shape)
        for start in range(0, self.n_items, _BLOCK):
            common = (columns[:, start : start + _BLOCK].T.tocsr() @ matrix).tocoo()
            item, other = common.row.astype(np.int64) + start, common.col.astype(np.int64)
            value = common.data / (norms[item] * norms[other] + self.config.shrink + 1e-6)
            order = np.lexsort((other, -value, item))
            order = order[item[order] != other[order]]
            item, other, value = item[order], other[order], value[order]
            rank = np.arange(item.size) - np.searchsorted(item, item)
            kept = rank < neighbours.shape[1]
            neighbours[item[kept], rank[kept]] = other[kept]
            similarities[item[kept], rank[kept]] = value[kept]
        self.neighbours.copy_(torch.from_numpy(neighbours))
        self.similarities.copy_(torch.from_numpy(similarities))
        self._outgoing = None

    def begin_scoring(self) -> None:
        """Prepares the look-up from an item to those that have it as a neighbour."""
        self._outgoing = self._turned_round()

    def _turned_round(self) -> _Outgoing:
        kept = self.similarities > 0
        targets = kept.nonzero()[:, 0]
        sources, order = torch.sort(self.neighbours[kept].long(), stable=True)
        indptr = torch.searchsorted(sources, torch.arange(self.n_items + 1, device=sources.device))
        return _Outgoing(indptr, targets[order], self.similarities[kept][order])

    def score(self, users: Tensor) -> Tensor:
        """Returns (n, items) sums of the similarities between each item and its neighbours in the user's history."""
        indptr, targets, similarities = self._outgoing or self._turned_round()
        begin, length = self.history_indptr[users], self.history_indptr[users + 1] - self.history_indptr[users]
        scores = similarities.new_zeros(users.numel() * self.n_items)
        # One history position at a time: within it no (user, item) pair repeats, so that parallel additions cannot race
        # and a sum has the same order on every device.
        for position in range(int(length.max()) if users.numel() else 0):
            row = (length > position).nonzero()[:, 0]
            source = self.history_items[begin[row] + position]
            count = indptr[source + 1] - indptr[source]
            edge = ranges(indptr[source], count)
            scores.index_add_(0, torch.repeat_interleave(row, count) * self.n_items + targets[edge], similarities[edge])
        return scores.view(users.numel(), self.n_items)


METHOD = ItemKNN
