"""MGCN (Yu et al., ACM MM 2023, arXiv 2308.03588)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bench.graph.propagate import propagate
from bench.graph.stages import Bipartite, SymNorm, item_graph
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentAdapter, ContentRecommender, FeatureTables
from bench.methods.layers.embedding import Representation, layer_mean, table, take
from bench.methods.layers.losses import bpr, half_squares, info_nce
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class Nodes(NamedTuple):
    """Representations of all nodes, users first.

    Attributes:
        behaviour: (users + items, d) E_id, from the user-item graph alone.
        content: (users + items, d) E_mul, from the fused modalities.
    """

    behaviour: Tensor
    content: Tensor


class MGCN(ContentRecommender):
    """Multi-view graph convolutional network.

    A behaviour-guided purifier gates each modality, item-item graphs spread the purified features, and a
    behaviour-aware fuser weighs them by preference. Formulas follow the authors' code (demonph10/MGCN at d080d5a);
    the paper's text was not at hand. The code is written for image and text; here any two or more modalities are
    fused alike.
    """

    needs: ClassVar[Needs] = Needs(at_least=2)

    class Config(GradientConfig):
        """Settings of `mgcn`."""

        lr: float = 1e-3
        """Adam's step size; the authors search λ_C alone."""
        lr_gamma: float = 0.96
        """The step size is multiplied by lr_gamma^(epoch / lr_period), epoch from 0."""
        dim: int = 64
        """d, width of all representations."""
        ui_layers: int = 2
        """Layers over the user-item graph."""
        item_layers: int = 1
        """Layers over each item-item graph."""
        k: int = 10
        """Neighbours of an item in each modality's graph, itself included."""
        reg: float = 1e-4
        """λ_E, weight of ½ Σ‖·‖² / B on the final representations of the batch."""
        contrast: Annotated[float, Choices(1e-3, 1e-2, 1e-1)] = 1e-2
        """λ_C, weight of the contrastive loss between E_mul and E_id."""
        temperature: float = 0.2
        """τ of the contrastive loss."""
        train_features: bool = True
        """Whether the raw feature tables are trained, as the authors' code does."""
        divide_all: bool = True
        """Divide shared and modality-specific parts by |M| + 1, as the code does; False divides the specific parts
        alone by |M|."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        dim, dtype = config.dim, context.dtype
        self.users = table(self.n_users, dim, dtype)
        self.items = table(self.n_items, dim, dtype)
        self.content = FeatureTables(context, dim, trainable=config.train_features)
        self.query = nn.Sequential(
            nn.Linear(dim, dim, dtype=dtype), nn.Tanh(), nn.Linear(dim, 1, bias=False, dtype=dtype)
        )
        self.gates = nn.ModuleDict({name: nn.Linear(dim, dim, dtype=dtype) for name in self.content.names})
        self.preferences = nn.ModuleDict({name: nn.Linear(dim, dim, dtype=dtype) for name in self.content.names})
        self.graph = context.views["ui"]
        self.item_graphs = {name: context.views[name] for name in self.content.names}
        nodes = self.n_users + self.n_items
        self.user_item = self.graph.block(slice(0, self.n_users), slice(self.n_users, nodes))

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph and one weighted item-item graph per modality, from the raw features."""
        assert isinstance(config, cls.Config)  # noqa: S101 - the caller validated it with this class
        pipelines: dict[str, tuple[Stage, ...]] = {"ui": (Bipartite(), SymNorm())}
        for name, info in modalities.items():
            pipelines[name] = (*item_graph(name, info, k=config.k, weighted=True), SymNorm())
        return pipelines

    def adopt(self, adapter: ContentAdapter) -> None:
        """Lets `adapter` take the purifier's place, whose gates are dropped."""
        super().adopt(adapter)
        self.gates = nn.ModuleDict()

    def purify(self, name: str, projected: Tensor) -> Tensor:
        """Behaviour-guided purifier: z_m = Q ⊙ σ(G_m h_m + b), or what the adapter makes of h_m."""
        if self.content_adapter is not None:
            return self.content_adapter(name, projected, self.items)
        return self.items * torch.sigmoid(self.gates[name](projected))

    def modality_nodes(self) -> list[Tensor]:
        """Returns E_m = [R̂ z̄_m ; z̄_m] for each modality, z̄_m = S_m z_m; each (users + items, d)."""
        nodes = []
        for name, projected in self.content().items():
            items = self.purify(name, projected)
            for _ in range(self.config.item_layers):
                items = propagate(self.item_graphs[name], items)
            nodes.append(torch.cat([propagate(self.user_item, items), items]))
        return nodes

    def fuse(self, modalities: list[Tensor], behaviour: Tensor) -> Tensor:
        """Behaviour-aware fuser: attention finds the shared part, preference gates weigh what is specific."""
        weights = torch.softmax(torch.cat([self.query(nodes) for nodes in modalities], dim=1), dim=1)
        shared = torch.stack([weights[:, m, None] * nodes for m, nodes in enumerate(modalities)]).sum(0)
        specific = torch.zeros_like(shared)
        for name, nodes in zip(self.content.names, modalities, strict=True):
            specific = specific + torch.sigmoid(self.preferences[name](behaviour)) * (nodes - shared)
        if self.config.divide_all:
            return (specific + shared) / (len(modalities) + 1)
        return specific / len(modalities) + shared

    def nodes(self, rows: Tensor | None = None) -> Nodes:
        """Returns both views of all nodes, or of some: the fuser works row by row, so only those are fused.

        Args:
            rows: (n,) int64 nodes, users first; None for all.
        """
        behaviour = layer_mean(self.graph, torch.cat([self.users, self.items]), self.config.ui_layers)
        modalities = self.modality_nodes()
        if rows is not None:
            behaviour, modalities = take(behaviour, rows), [take(nodes, rows) for nodes in modalities]
        return Nodes(behaviour, self.fuse(modalities, behaviour))

    def represent(self) -> Representation:
        """Returns E = E_id + E_mul."""
        behaviour, content = self.nodes()
        return Representation(*(behaviour + content).split([self.n_users, self.n_items]))

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + λ_E · reg + λ_C · (InfoNCE over the batch's items + over its users)."""
        in_batch = torch.cat([batch.users, batch.pos + self.n_users, batch.neg + self.n_users])
        rows, places = in_batch.unique(return_inverse=True)
        behaviour, content = self.nodes(rows)
        user, pos, neg = take(behaviour + content, places).chunk(3)
        user_places, pos_places, _ = places.chunk(3)
        parts = {
            "bpr": bpr(user, pos, neg),
            "reg": self.config.reg * half_squares(user, pos, neg, batch_size=self.config.batch_size),
        }
        total = parts["bpr"] + parts["reg"]
        if self.config.contrast:
            for part, nodes in (("contrast_items", pos_places), ("contrast_users", user_places)):
                parts[part] = info_nce(content, behaviour, nodes, self.config.temperature)
                total = total + self.config.contrast * parts[part]
        return Loss(total, parts)


METHOD = MGCN
