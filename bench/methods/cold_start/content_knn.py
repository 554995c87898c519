"""Content kNN: what is like what a user took. The floor for methods that learn from content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from bench.methods.base import Needs
from bench.methods.layers.neighbour_lists import BLOCK, NeighbourRecommender
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context


class ContentKNN(NeighbourRecommender):
    """Nearest neighbours by content alone: ItemKNN (Sarwar et al., WWW 2001) with content in place of co-consumption.

    s(i, j) is the mean over modalities of the cosine of the vectors of i and j, their mean over trained items taken off
    first where `centre` says so. Each item i, cold or not, keeps its `k` most similar items N(i) among those with a
    training row, itself left out, positive similarities only. A user's score of i is Σ_{j ∈ history ∩ N(i)} s(i, j). No
    privileged word enters. Nothing of size items × items is ever dense.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)
    tasks: ClassVar[frozenset[str]] = frozenset({"cold_start"})
    closed_form: ClassVar[bool] = True

    class Config(MethodConfig):
        """Settings of `content_knn`."""

        k: Annotated[int, Choices(10, 20, 50, 100, 200), Field(ge=1)] = 100
        """Neighbours kept per item."""
        centre: Annotated[bool, Choices(True, False)] = True
        """Whether cosines are taken about the mean vector, so that what all items share counts for nothing."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, config.k)
        self.config = config

    def fit(self) -> None:
        """Computes every item's neighbours among the trained items, a block of items at a time."""
        trained = self.history_items.unique()
        vectors = []
        for name in self.context.data.modalities:
            raw = self.context.features(name).to(trained.device)
            if self.config.centre:
                raw = raw - raw[trained].mean(dim=0)
            norms = raw.norm(dim=1, keepdim=True)
            # What is left of a vector equal to the mean is rounding, which must not be blown up to length 1.
            vectors.append(torch.where(norms > 1e-5 * norms.max(), raw / norms.clamp(min=1e-12), 0.0))
        joined = torch.cat(vectors, dim=1) / np.sqrt(len(vectors))
        width = min(self.neighbours.shape[1], trained.numel())
        for start in range(0, self.n_items, BLOCK):
            rows = torch.arange(start, min(start + BLOCK, self.n_items), device=trained.device)
            cosines = joined[rows] @ joined[trained].T
            cosines[rows[:, None] == trained[None, :]] = 0.0
            values, places = cosines.topk(width, dim=1)
            self.neighbours[rows, :width] = trained[places].int()
            self.similarities[rows, :width] = values.clamp(min=0.0)
        self._matrix = None

    def entries(self, items: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the pairs turned round: an item is recommended by those of its neighbours that were taken."""
        return neighbours, items


METHOD = ContentKNN
