"""MMGCN (Wei et al., ACM MM 2019, "Multi-modal Graph Convolution Network for Personalized Recommendation")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.propagate import propagate
from bench.graph.stages import Bipartite, RowNorm
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.embedding import Representation, take
from bench.methods.layers.losses import bpr
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.graph.view import View
    from bench.methods.layers.content import ContentAdapter
    from bench.spec.config import MethodConfig

LAYERS = 3
"""Fixed in the code, which reads a number of layers and ignores it."""


class ModalityTower(nn.Module):
    """Graph convolutions over users and items for one modality.

    x⁰ = [user preference ; content], rows of length 1. Layer: h = LeakyReLU(mean over neighbours of x W),
    x̂ = LeakyReLU(L x + b) + id, x ← LeakyReLU(G [h ; x̂] + b).

    Args:
        n_users: U.
        inputs: Width of the raw features.
        latent: Width they are reduced to by a Linear first; None keeps them.
        dim: d, width after the first layer and of the IDs.
        dtype: Floating type.
        trained: Whether the user preference is trained.
    """

    def __init__(
        self, n_users: int, inputs: int, latent: int | None, dim: int, dtype: torch.dtype, *, trained: bool
    ) -> None:
        super().__init__()
        width = latent or inputs
        preference = nn.init.xavier_normal_(torch.empty(n_users, width, dtype=dtype))
        self.preference = nn.Parameter(preference, requires_grad=trained)
        self.reduce = nn.Linear(inputs, latent, dtype=dtype) if latent else None
        self.convolve = nn.ParameterList()
        self.own, self.merge = nn.ModuleList(), nn.ModuleList()
        for layer in range(LAYERS):
            before = width if layer == 0 else dim
            self.convolve.append(nn.Parameter(nn.init.xavier_normal_(torch.empty(before, before, dtype=dtype))))
            own, merge = nn.Linear(before, dim, dtype=dtype), nn.Linear(before + dim, dim, dtype=dtype)
            nn.init.xavier_normal_(own.weight)
            if layer == 0:
                nn.init.xavier_normal_(merge.weight)
            self.own.append(own)
            self.merge.append(merge)

    def project(self, features: Tensor) -> Tensor:
        """Returns (items, width) content."""
        projected: Tensor = features if self.reduce is None else self.reduce(features)
        return projected

    def forward(self, graph: View, content: Tensor, ids: Tensor) -> Tensor:
        """Returns (users + items, d) from (items, width) content and (users + items, d) IDs."""
        x = functional.normalize(torch.cat([self.preference, content]), dim=1)
        for convolve, own, merge in zip(self.convolve, self.own, self.merge, strict=True):
            neighbours = functional.leaky_relu(propagate(graph, x @ convolve), inplace=True)
            itself = functional.leaky_relu(own(x), inplace=True) + ids
            # G [h ; x̂] in two products: [h ; x̂] itself would be the widest table of the layer.
            weight, bias = cast("nn.Linear", merge).weight, cast("nn.Linear", merge).bias
            to_neighbours, to_itself = weight.split([neighbours.shape[1], itself.shape[1]], dim=1)
            merged = torch.addmm(functional.linear(neighbours, to_neighbours, bias), itself, to_itself.T)
            x = functional.leaky_relu(merged, inplace=True)
        return x


class MMGCN(ContentRecommender):
    """One graph convolution tower per modality over a shared ID embedding; the towers' outputs are averaged.

    Formulas follow MMRec at e775373, for image and text: the image is reduced to 256, the text keeps its width, and
    only the image's preference is regularised. With other modalities the first one of the dataset takes the image's
    part. IDs and preferences are drawn at random and never trained there, as in the first authors' code;
    `register_embeddings` trains them. Scores come from the current weights, not from those one step old.

    An adapter needs content as wide as the ID embedding, so under one every tower reduces its features to d. The table
    by which `befa[mmgcn]` multiplies is the IDs, which are drawn at random and never trained unless
    `register_embeddings: true`: without it no behaviour guides the adapter.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `mmgcn`; defaults and grid from MMRec's MMGCN.yaml."""

        lr: Annotated[float, Choices(1e-4, 5e-4, 1e-3, 5e-3, 1e-2)] = 1e-3
        """Adam's step size."""
        dim: int = 64
        """d, width of the IDs and of all layers but the first."""
        latent: int = 256
        """Width the first modality is reduced to (fixed in the code)."""
        reg: Annotated[float, Choices(0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)] = 1e-3
        """Weight of the mean squares of the batch's IDs and of the first modality's preferences."""
        register_embeddings: bool = False
        """Whether IDs and preferences are trained; the code leaves them as they are drawn."""

    users: nn.Parameter

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        ids = nn.init.xavier_normal_(torch.empty(self.n_users + self.n_items, config.dim, dtype=context.dtype))
        users, items = ids.split([self.n_users, self.n_items])
        self.users = nn.Parameter(users.clone(), requires_grad=config.register_embeddings)
        self.items = nn.Parameter(items.clone(), requires_grad=config.register_embeddings)
        self.names = tuple(context.data.modalities)
        for name in self.names:
            self.register_buffer(f"features_{name}", context.features(name), persistent=False)
        self.towers = self._towers({self.names[0]: config.latent})
        self.graph = context.views["ui"]

    def _towers(self, latent: Mapping[str, int]) -> nn.ModuleDict:
        config, towers = self.config, nn.ModuleDict()
        for name in self.names:
            inputs = self.get_buffer(f"features_{name}").shape[1]
            towers[name] = ModalityTower(
                self.n_users,
                inputs,
                latent.get(name),
                config.dim,
                self.users.dtype,
                trained=config.register_embeddings,
            )
        return towers

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph whose product is the mean over neighbours."""
        return {"ui": (Bipartite(), RowNorm())}

    def adopt(self, adapter: ContentAdapter) -> None:
        """Lets `adapter` remake the content, which every tower then reduces to d."""
        super().adopt(adapter)
        self.towers = self._towers(dict.fromkeys(self.names, self.config.dim))

    def _nodes(self) -> Tensor:
        ids = torch.cat([self.users, self.items])
        total = torch.zeros_like(ids)
        for name in self.names:
            tower = cast("ModalityTower", self.towers[name])
            content = tower.project(self.get_buffer(f"features_{name}"))
            if self.content_adapter is not None:
                content = self.content_adapter(name, content, self.items)
            total = total + tower(self.graph, content, ids)
        return total / len(self.names)

    def represent(self) -> Representation:
        """Returns the mean of the towers' outputs."""
        return Representation(*self._nodes().split([self.n_users, self.n_items]))

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg · (mean over pairs and coordinates of id_u² + id_i² + mean preference²)."""
        users, items = self.represent()
        ranking = bpr(take(users, batch.users), take(items, batch.pos), take(items, batch.neg))
        user_squares = take(self.users, batch.users).square().mean()
        item_squares = 0.5 * sum(take(self.items, rows).square().mean() for rows in (batch.pos, batch.neg))
        first = cast("ModalityTower", self.towers[self.names[0]])
        reg = user_squares + item_squares + first.preference.square().mean()
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = MMGCN
