"""LATTICE (Zhang et al., ACM MM 2021, arXiv 2104.09036)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.propagate import propagate
from bench.graph.stages import Bipartite, RowNorm, SelfLoops, SymNorm, item_graph
from bench.graph.view import View
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender, FeatureTables
from bench.methods.layers.embedding import Representation, layer_mean, table, take
from bench.methods.layers.losses import bpr, half_squares
from bench.methods.layers.neighbours import nearest
from bench.methods.layers.sparse import Pattern, weighted_product
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class LearnedGraph(NamedTuple):
    """The item-item graph of the moment.

    Attributes:
        pattern: Its entries, those of all modalities and of the original graphs together.
        weights: (edges,) with gradients towards the projections and the modality weights.
    """

    pattern: Pattern
    weights: Tensor


class LATTICE(ContentRecommender):
    """Item-item graphs learned from projected content, mixed with those of the raw features, beside LightGCN.

    Formulas follow MMRec at e775373 (there with image and text, here with any modalities alike): only the mixture of
    the learned graphs is normalised again. The graph is rebuilt on the first batch of an epoch, which alone
    differentiates through it, and again for every evaluation. Similarities are computed in blocks of rows and never
    held whole. Negative cosines among an item's k nearest weigh 0; in the code they give degrees without a root.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `lattice`; defaults and grid from MMRec's LATTICE.yaml."""

        lr_gamma: float = 0.96
        """The step size is multiplied by lr_gamma^(epoch / lr_period), epoch from 0."""
        dim: int = 64
        """d, width of all representations and of the projected content."""
        ui_layers: int = 2
        """Layers over the user-item graph."""
        item_layers: int = 1
        """Layers over the item-item graph."""
        k: int = 10
        """Neighbours of an item in each graph, itself included."""
        original: float = 0.9
        """λ, share of the graphs of the raw features in the item-item graph."""
        reg: Annotated[float, Choices(0.0, 1e-5, 1e-4, 1e-3)] = 1e-3
        """Weight of ½ Σ‖·‖² / B on the final representations of the batch."""
        train_features: bool = True
        """Whether the raw feature tables are trained, as the authors' code does."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        self.content = FeatureTables(context, config.dim, trainable=config.train_features)
        names = self.content.names
        self.modality_logits = nn.Parameter(torch.full((len(names),), 1.0 / len(names), dtype=context.dtype))
        self.graph = context.views["ui"]
        self.originals = {name: context.views[name] for name in names}
        self.item_graph: View | None = None

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns D⁻¹(A + I) of the user-item graph and the weighted graph of each modality's raw features."""
        assert isinstance(config, cls.Config)  # noqa: S101 - the caller validated it with this class
        pipelines: dict[str, tuple[Stage, ...]] = {"ui": (Bipartite(), SelfLoops(), RowNorm())}
        for name, info in modalities.items():
            pipelines[name] = (*item_graph(name, info, k=config.k, weighted=True), SymNorm())
        return pipelines

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Forgets the item-item graph, so that the first batch learns it anew."""
        self.item_graph = None

    def learn_graph(self) -> LearnedGraph:
        """Returns (1 − λ) · norm(Σ_m softmax(w)_m A_m) + λ · Σ_m softmax(w)_m S_m with gradients.

        A_m holds the cosines of the projected features of each item's k nearest, S_m is the graph of the raw ones.
        """
        share = torch.softmax(self.modality_logits, dim=0)
        rows, cols, learned, originals = [], [], [], []
        for m, (name, projected) in enumerate(self.content().items()):
            features = projected
            if self.content_adapter is not None:
                features = self.content_adapter(name, projected, self.items)
            found = nearest(features, self.config.k)
            rows.append(torch.arange(self.n_items, device=found.items.device).repeat_interleave(found.items.shape[1]))
            cols.append(found.items.flatten())
            learned.append(share[m] * found.cosines.clamp(min=0.0).flatten())
        row, col, mixed = torch.cat(rows), torch.cat(cols), torch.cat(learned)
        degree = mixed.new_zeros(self.n_items).index_add(0, row, mixed)
        # A root of 0 has no gradient, so degrees of 0 are replaced before it is taken.
        root = torch.where(degree > 0, degree, 1.0).rsqrt() * (degree > 0)
        mixed = mixed * root.index_select(0, row) * root.index_select(0, col)
        for m, view in enumerate(self.originals.values()):
            rows.append(view.rows)
            cols.append(view.indices)
            originals.append(share[m] * view.values.to(mixed))
        weights = torch.cat([(1.0 - self.config.original) * mixed, self.config.original * torch.cat(originals)])
        row, col = torch.cat(rows).to(row.device), torch.cat(cols).to(row.device)
        code, place = (row * self.n_items + col).unique(return_inverse=True)
        pattern = Pattern(code // self.n_items, code % self.n_items, (self.n_items, self.n_items))
        return LearnedGraph(pattern, weights.new_zeros(len(code)).index_add(0, place, weights))

    def _represent(self, learned: LearnedGraph | None) -> Representation:
        items: Tensor = self.items
        for _ in range(self.config.item_layers):
            if learned is not None:
                items = weighted_product(learned.pattern, learned.weights, items)
            else:
                assert self.item_graph is not None  # noqa: S101 - made by the first batch of the epoch
                items = propagate(self.item_graph, items)
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.config.ui_layers)
        user_part, item_part = nodes.split([self.n_users, self.n_items])
        return Representation(user_part, item_part + functional.normalize(items, dim=1))

    def represent(self) -> Representation:
        """Returns the representations on a graph learned from the current weights."""
        return self._represent(self.learn_graph())

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg on the final representations; the first call of an epoch learns the item-item graph."""
        learned = self.learn_graph() if self.item_graph is None else None
        if learned is not None:
            rows, cols = learned.pattern.rows, learned.pattern.indices
            self.item_graph = View.from_edges(rows, cols, learned.weights.detach(), learned.pattern.shape)
        users, items = self._represent(learned)
        user, pos, neg = take(users, batch.users), take(items, batch.pos), take(items, batch.neg)
        ranking = bpr(user, pos, neg)
        reg = self.config.reg * half_squares(user, pos, neg, batch_size=self.config.batch_size)
        return Loss(ranking + reg, {"bpr": ranking, "reg": reg})


METHOD = LATTICE
