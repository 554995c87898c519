"""BM3 (Zhou et al., WWW 2023, arXiv 2207.05969)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.stages import Bipartite, SymNorm
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender, FeatureTables
from bench.methods.layers.embedding import Representation, layer_mean, table, take
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class BM3(ContentRecommender):
    """Bootstrapped latent representations: no negatives, one predictor, dropped-out and detached targets.

    Formulas follow the authors' code in MMRec at e775373; there with image and text, here with any modalities alike.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `bm3`; defaults and grid from MMRec's BM3.yaml, which searches no step size."""

        lr: float = 1e-3
        """Adam's step size."""
        dim: int = 64
        """d, width of all representations."""
        layers: Annotated[int, Choices(1, 2)] = 1
        """Layers over the user-item graph."""
        dropout: Annotated[float, Choices(0.3, 0.5)] = 0.5
        """Share of the targets' entries that are set to 0."""
        reg: Annotated[float, Choices(0.1, 0.01)] = 0.1
        """Weight of the un-squared norms of all users and all items after the graph, over the number of items."""
        content: float = 2.0
        """Weight of the losses that align each modality (`cl_weight`)."""
        train_features: bool = True
        """Whether the raw feature tables are trained, as the authors' code does."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        self.content = FeatureTables(context, config.dim, trainable=config.train_features)
        self.predictor = nn.Linear(config.dim, config.dim, dtype=context.dtype)
        nn.init.xavier_normal_(self.predictor.weight)
        for name in self.content.names:
            nn.init.xavier_normal_(cast("nn.Linear", self.content.project[name]).weight)
        self.graph = context.views["ui"]

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph, D^-½ A D^-½ with MMRec's 1e-7 added to degrees."""
        return {"ui": (Bipartite(), SymNorm(eps=1e-7))}

    def propagated(self) -> Representation:
        """Returns the layer means, of the items with their ID embedding added; the predictor comes after."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.config.layers)
        users, items = nodes.split([self.n_users, self.n_items])
        return Representation(users, items + self.items)

    def represent(self) -> Representation:
        """Returns what the predictor makes of users and items."""
        users, items = self.propagated()
        return Representation(self.predictor(users), self.predictor(items))

    def target(self, name: str, rows: Tensor, values: Tensor) -> Tensor:
        """Returns the detached and dropped-out target of some nodes: `user`, `item` or a modality.

        Args:
            name: Whose vectors they are.
            rows: (n,) int64 distinct ids.
            values: (n, d) vectors before the predictor.
        """
        return functional.dropout(values.detach(), self.config.dropout, self.training)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns both directions of user and item + content · Σ_m (m to item, m to itself) + reg · norms."""
        all_users, all_items = self.propagated()
        user_rows, user_places = batch.users.unique(return_inverse=True)
        item_rows, item_places = batch.pos.unique(return_inverse=True)
        users, items = take(all_users, user_rows), take(all_items, item_rows)
        user_target = take(self.target("user", user_rows, users), user_places)
        item_target = self.target("item", item_rows, items)
        # A pair of an item and a modality is weighed by how often the item occurs, and computed once.
        share = torch.bincount(item_places, minlength=len(item_rows)).to(items.dtype) / len(item_places)
        user_online = take(self.predictor(users), user_places)
        item_online = take(self.predictor(items), item_places)
        parts = {
            "user_item": _distance(user_online, take(item_target, item_places)),
            "item_user": _distance(item_online, user_target),
        }
        total = parts["user_item"] + parts["item_user"]
        for name in self.content.names:
            projected = self.content.project[name](take(self.content.raw[name], item_rows))
            if self.content_adapter is not None:
                projected = self.content_adapter(name, projected, take(self.items, item_rows))
            online, target = self.predictor(projected), self.target(name, item_rows, projected)
            parts[f"{name}_item"] = _distance(online, item_target, share)
            parts[f"{name}_{name}"] = _distance(online, target, share)
            total = total + self.config.content * (parts[f"{name}_item"] + parts[f"{name}_{name}"])
        parts["reg"] = (all_users.norm() + all_items.norm()) / self.n_items
        return Loss(total + self.config.reg * parts["reg"], parts)


def _distance(online: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
    """One minus the mean cosine of paired rows, or their mean weighed by `share`."""
    cosine = functional.cosine_similarity(online, target, dim=-1)
    return 1.0 - (cosine.mean() if share is None else (share * cosine).sum())


METHOD = BM3
