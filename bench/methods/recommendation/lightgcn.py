"""LightGCN (He et al., SIGIR 2020, arXiv 2002.02126), as MMRec trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from bench.graph.stages import Bipartite, SymNorm
from bench.methods.base import Context, GradientConfig, Loss, PairBatch
from bench.methods.layers.embedding import EmbeddingRecommender, Representation, layer_mean, table, take
from bench.methods.layers.losses import bpr_shifted, norm_regulariser
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class LightGCN(EmbeddingRecommender):
    """Linear propagation over the user-item graph, layers averaged, layer 0 included (equations 7, 8 and 15)."""

    class Config(GradientConfig):
        """Settings of `lightgcn`."""

        dim: int = 64
        """d, width of the user and item tables."""
        layers: Annotated[int, Choices(1, 2, 3, 4)] = 2
        """L, propagation layers."""
        reg: Annotated[float, Choices(1e-2, 1e-3, 1e-4, 1e-5, 1e-6)] = 1e-3
        """Weight of the un-squared norms of the batch's layer-0 rows over the batch's size (MMRec's EmbLoss)."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        self.graph = context.views["ui"]

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph, D^-½ A D^-½ with MMRec's 1e-7 added to degrees."""
        return {"ui": (Bipartite(), SymNorm(eps=1e-7))}

    def represent(self) -> Representation:
        """Returns the layer means."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.config.layers)
        return Representation(*nodes.split([self.n_users, self.n_items]))

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR on the layer means + reg · EmbLoss on layer 0."""
        users, items = self.represent()
        ranking = bpr_shifted(take(users, batch.users), take(items, batch.pos), take(items, batch.neg))
        reg = norm_regulariser(
            take(self.users, batch.users), take(self.items, batch.pos), take(self.items, batch.neg)
        )
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = LightGCN
