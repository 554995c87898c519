"""FREEDOM (Zhou and Shen, ACM MM 2023, arXiv 2211.06924)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch

from bench.graph.propagate import propagate, sample_edges_by_degree, symmetric_norm
from bench.graph.stages import Bipartite, Merge, SymNorm, item_graph
from bench.graph.view import View
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender, FeatureTables
from bench.methods.layers.embedding import Representation, layer_mean, table, take
from bench.methods.layers.losses import bpr
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig

DEGREE_EPSILON = 1e-7


class FREEDOM(ContentRecommender):
    """Frozen item-item graph, degree-sensitive pruning of the user-item graph while training, auxiliary content losses.

    Formulas follow the authors' code in MMRec. With modalities other than image and text, the first one of the
    dataset takes the image's weight and the others share the rest equally.
    """

    needs: ClassVar[Needs] = Needs(at_least=2)

    class Config(GradientConfig):
        """Settings of `freedom`."""

        dim: int = 64
        """d, width of the user and item tables and of the projected content."""
        ui_layers: int = 2
        """Layers over the user-item graph."""
        item_layers: int = 1
        """Layers over the item-item graph."""
        k: int = 10
        """Neighbours of an item in each modality's graph, itself included."""
        image_weight: float = 0.1
        """Weight of the first modality's graph in the merged item-item graph."""
        prune: Annotated[float, Choices(0.8, 0.9)] = 0.8
        """ρ, share of user-item edges left out in each epoch."""
        reg: Annotated[float, Choices(0.0, 1e-5, 1e-4, 1e-3)] = 1e-3
        """λ, weight of the content losses."""
        train_features: bool = True
        """Whether the raw feature tables are trained, as the authors' code does."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        self.content = FeatureTables(context, config.dim, trainable=config.train_features)
        self.graph = context.views["ui"]
        self.item_graph = context.views["items"]
        self.training_graph = self.graph
        edges = torch.from_numpy(context.data.train_pairs)
        self.edges = torch.stack([edges // self.n_items, edges % self.n_items])

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph and the merged binary item-item graph."""
        assert isinstance(config, cls.Config)  # noqa: S101 - the caller validated it with this class
        parts = tuple(
            (*item_graph(name, info, k=config.k, weighted=False), SymNorm(eps=DEGREE_EPSILON))
            for name, info in modalities.items()
        )
        rest = (1.0 - config.image_weight) / max(1, len(parts) - 1)
        weights = (config.image_weight, *[rest] * (len(parts) - 1))
        return {"ui": (Bipartite(), SymNorm(eps=DEGREE_EPSILON)), "items": (Merge(parts, weights),)}

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Draws the user-item edges of this epoch: int(E · (1 − ρ)) without replacement, p ∝ 1/√(d_u d_i)."""
        keep = int(self.edges.shape[1] * (1.0 - self.config.prune))
        self.use_edges(self.edges[:, sample_edges_by_degree((self.edges[0], self.edges[1]), keep, generator)])

    def use_edges(self, edges: Tensor) -> None:
        """Trains on these (2, kept) user and item ids, normalised by the degrees among themselves."""
        users, items = edges[0], edges[1] + self.n_users
        rows, cols = torch.cat([users, items]), torch.cat([items, users])
        shape = self.graph.shape
        ones = torch.ones(rows.numel(), dtype=self.graph.values.dtype)
        weights = symmetric_norm(rows, cols, ones, shape, DEGREE_EPSILON)
        self.training_graph = View.from_edges(rows, cols, weights, shape).to(device=self.users.device)

    def represent(self) -> Representation:
        """Returns the representations on the full graph (evaluation)."""
        return self._represent(self.graph)

    def _represent(self, graph: View) -> Representation:
        items: Tensor = self.items
        for _ in range(self.config.item_layers):
            items = propagate(self.item_graph, items)
        nodes = layer_mean(graph, torch.cat([self.users, self.items]), self.config.ui_layers)
        user_part, item_part = nodes.split([self.n_users, self.n_items])
        return Representation(user_part, item_part + items)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + λ · Σ_m BPR against the projected content of modality m, of the batch's items alone."""
        users, items = self._represent(self.training_graph)
        user = take(users, batch.users)
        parts = {"bpr": bpr(user, take(items, batch.pos), take(items, batch.neg))}
        total = parts["bpr"]
        rows, places = torch.cat([batch.pos, batch.neg]).unique(return_inverse=True)
        for name in self.content.names:
            projected = self.content.project[name](take(self.content.raw[name], rows))
            if self.content_adapter is not None:
                projected = self.content_adapter(name, projected, take(self.items, rows))
            parts[name] = bpr(user, *take(projected, places).chunk(2))
            total = total + self.config.reg * parts[name]
        return Loss(total, parts)


METHOD = FREEDOM
