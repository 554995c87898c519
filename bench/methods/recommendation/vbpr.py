"""VBPR (He and McAuley, AAAI 2016, arXiv 1510.01784) in the variant every multimodal paper compares with (MMRec)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.embedding import Representation, table, take
from bench.methods.layers.losses import bpr_shifted, norm_regulariser
from bench.spec.space import Choices


class VBPR(ContentRecommender):
    """Matrix factorisation over [item ID ; projected content], user width 2d.

    All raw features are concatenated and projected by one Linear; they are not trained. No bias terms (the original
    paper has an item bias and a visual bias).
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `vbpr`."""

        dim: int = 64
        """d, width of the item ID part and of the content part."""
        reg: Annotated[float, Choices(1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)] = 1e-1
        """Weight of the un-squared norms over the batch's size; the item norm is over the whole item vector."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, 2 * config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        features = torch.cat([context.features(name) for name in context.data.modalities], dim=1)
        self.register_buffer("features", features, persistent=False)
        self.project = nn.Linear(features.shape[1], config.dim, dtype=context.dtype)
        nn.init.xavier_normal_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    features: Tensor

    def content_names(self) -> tuple[str, ...]:
        """Returns the one name for all modalities together."""
        return ("content",)

    def represent(self) -> Representation:
        """Returns the user table and [item ID ; content]."""
        return Representation(self.users, self._item_vectors(self.features, self.items))

    def _item_vectors(self, features: Tensor, items: Tensor) -> Tensor:
        content = self.project(features)
        if self.content_adapter is not None:
            content = self.content_adapter("content", content, items)
        return torch.cat([items, content], dim=1)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg · EmbLoss(u, i, j); only the items of the batch are projected."""
        rows, places = torch.cat([batch.pos, batch.neg]).unique(return_inverse=True)
        items = self._item_vectors(take(self.features, rows), take(self.items, rows))
        user = take(self.users, batch.users)
        pos, neg = take(items, places).chunk(2)
        ranking = bpr_shifted(user, pos, neg)
        reg = norm_regulariser(user, pos, neg)
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = VBPR
