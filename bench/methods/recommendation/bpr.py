"""BPR-MF (Rendle et al., UAI 2009, arXiv 1205.2618), as MMRec trains it."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from bench.methods.base import Context, GradientConfig, Loss, PairBatch
from bench.methods.layers.embedding import EmbeddingRecommender, Representation, table, take
from bench.methods.layers.losses import bpr_shifted, norm_regulariser
from bench.spec.space import Choices


class BPR(EmbeddingRecommender):
    """Matrix factorisation with the BPR loss: s_ui = p_u · q_i, no bias terms."""

    class Config(GradientConfig):
        """Settings of `bpr`."""

        dim: int = 64
        """d, width of the user and item tables."""
        reg: Annotated[float, Choices(1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)] = 1e-1
        """Weight of the un-squared norms of the batch's rows over the batch's size (MMRec's EmbLoss)."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype, init=nn.init.xavier_normal_)
        self.items = table(self.n_items, config.dim, context.dtype, init=nn.init.xavier_normal_)

    def represent(self) -> Representation:
        """Returns the two tables."""
        return Representation(self.users, self.items)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg · EmbLoss(p_u, q_i, q_j)."""
        user, pos, neg = take(self.users, batch.users), take(self.items, batch.pos), take(self.items, batch.neg)
        ranking = bpr_shifted(user, pos, neg)
        reg = norm_regulariser(user, pos, neg)
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = BPR
