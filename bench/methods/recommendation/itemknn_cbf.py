"""ItemKNN-CBF: items whose raw content is like that of what a user took. The floor for methods that learn content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field

from bench.methods.base import Needs
from bench.methods.layers.neighbour_lists import BLOCK, NeighbourRecommender
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context


class ItemKNNCBF(NeighbourRecommender):
    """Content-based nearest neighbours (ItemKNN-CBF of Ferrari Dacrema et al., RecSys 2019), as MMRec's `ItemKNNCBF`.

    s(i, j) = x_i·x_j / (‖x_i‖ ‖x_j‖ + shrink), x the modalities' vectors side by side, unscaled: the modality of longer
    vectors weighs more. Each item i keeps its `k` most similar items N(i), itself among them (equal similarities: lower
    id first), and a user's score of j is Σ_{i ∈ history, j ∈ N(i)} s(i, j). Repeated training rows count once.
    Nothing of size items × items is ever dense.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)
    closed_form: ClassVar[bool] = True

    class Config(MethodConfig):
        """Settings of `itemknn_cbf`; defaults of MMRec."""

        k: Annotated[int, Choices(10, 20, 50, 100), Field(ge=1)] = 10
        """Neighbours kept per item, itself included."""
        shrink: Annotated[float, Choices(0.0, 10.0, 100.0), Field(ge=0)] = 10.0
        """Added to the denominator, so that short vectors count for less."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, config.k)
        self.config = config

    def fit(self) -> None:
        """Computes every item's neighbours, a block of items at a time."""
        device, width = self.neighbours.device, self.neighbours.shape[1]
        vectors = torch.cat([self.context.features(name).to(device) for name in self.context.data.modalities], dim=1)
        norms = vectors.norm(dim=1)
        for start in range(0, self.n_items, BLOCK):
            rows = slice(start, start + BLOCK)
            scale = torch.outer(norms[rows], norms).add_(self.config.shrink)
            # Without shrink, an item without content is like nothing: 0 / 0 is 0.
            similar = (vectors[rows] @ vectors.T).div_(scale.masked_fill_(scale == 0, 1.0))
            border = similar.topk(width, dim=1).values[:, -1:]
            above, level = similar > border, similar == border
            chosen = above | (level & (level.cumsum(1, dtype=torch.int32) <= width - above.sum(1, keepdim=True)))
            self.neighbours[rows] = chosen.nonzero()[:, 1].view(-1, width).int()
            self.similarities[rows] = similar[chosen].view(-1, width)
        self._matrix = None

    def entries(self, items: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the pairs as they are: what is like an item taken is recommended."""
        return items, neighbours


METHOD = ItemKNNCBF
