"""GRCN (Wei et al., ACM MM 2020, "Graph-Refined Convolutional Network for Multimedia Recommendation")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.stages import Bipartite
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.embedding import Representation, table, take
from bench.methods.layers.losses import bpr
from bench.methods.layers.sparse import Pattern, edge_dots, row_softmax, weighted_product
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class Refined(NamedTuple):
    """What content says of nodes and edges.

    Attributes:
        nodes: Representations of users and items per modality, each (users + items, d).
        attention: (edges,) per modality, a softmax over the edges into each node.
        weights: (edges,) weights of the refined graph.
    """

    nodes: list[Tensor]
    attention: list[Tensor]
    weights: Tensor


class GRCN(ContentRecommender):
    """Edges of the user-item graph are weighed by how well content fits the user, then ID embeddings run over them.

    Formulas follow MMRec at e775373, for image and text (here any modalities alike; the first one of the dataset takes
    the image's part in the regulariser). In that code messages of the routing loop run from users to items alone, so
    that user preferences are only normalised; `route_to_users` lets users hear their items, which is what the paper's
    routing is for (RECONSTRUCTED: p ← norm(p + Σ_i softmax_i(p·f_i) f_i)).
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `grcn`; defaults and grid from MMRec's GRCN.yaml."""

        lr: Annotated[float, Choices(1e-4, 1e-3, 1e-2, 1e-1, 1.0)] = 1e-3
        """Adam's step size."""
        dim: int = 64
        """d, width of the IDs and of each modality's part."""
        routing: int = 3
        """Steps of the routing loop (`n_layers`); they change nothing unless `route_to_users`."""
        route_to_users: bool = False
        """Whether routing moves user preferences towards the content of their items; the code does not."""
        reg: Annotated[float, Choices(1e-5, 1e-4, 1e-3, 1e-2, 1e-1)] = 1e-3
        """Weight of the mean squares of IDs and preferences."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        dim, dtype, nodes = config.dim, context.dtype, self.n_users + self.n_items
        ids = nn.init.xavier_normal_(torch.empty(nodes, dim, dtype=dtype))
        users, items = ids.split([self.n_users, self.n_items])
        self.users, self.items = nn.Parameter(users.clone()), nn.Parameter(items.clone())
        self.names = tuple(context.data.modalities)
        self.preferences, self.project = nn.ParameterDict(), nn.ModuleDict()
        for name in self.names:
            features = context.features(name)
            self.register_buffer(f"features_{name}", features, persistent=False)
            self.preferences[name] = table(self.n_users, dim, dtype, init=nn.init.xavier_normal_)
            project = nn.Linear(features.shape[1], dim, dtype=dtype)
            nn.init.xavier_normal_(project.weight)
            self.project[name] = project
        self.confidence = table(nodes, len(self.names), dtype, init=nn.init.xavier_normal_)
        graph = context.views["ui"]
        self.edges = Pattern.of(graph)
        self.to_users = Pattern.of(graph.block(slice(0, self.n_users), slice(self.n_users, nodes)))

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph; its weights are learned."""
        return {"ui": (Bipartite(),)}

    def refine(self) -> Refined:
        """Returns each modality's representations and attention, and the weights of the refined graph."""
        nodes, attention = [], []
        for name in self.names:
            content = functional.leaky_relu(self.project[name](self.get_buffer(f"features_{name}")))
            if self.content_adapter is not None:
                content = self.content_adapter(name, content, self.items)
            content = functional.normalize(content, dim=1)
            preference = self._route(functional.normalize(self.preferences[name], dim=1), content)
            x = torch.cat([preference, content])
            weights = row_softmax(self.edges, edge_dots(self.edges, x, x))
            nodes.append(x + weighted_product(self.edges, weights, x))
            attention.append(weights)
        source = self.edges.indices.long()
        scaled = [weights * self.confidence[:, m].index_select(0, source) for m, weights in enumerate(attention)]
        return Refined(nodes, attention, torch.relu(torch.stack(scaled).amax(0)))

    def _route(self, preference: Tensor, content: Tensor) -> Tensor:
        if not self.config.route_to_users:
            return preference
        for _ in range(self.config.routing):
            weights = row_softmax(self.to_users, edge_dots(self.to_users, preference, content))
            preference = functional.normalize(preference + weighted_product(self.to_users, weights, content), dim=1)
        return preference

    def id_nodes(self, weights: Tensor) -> Tensor:
        """Returns x + A x + A² x for the normalised IDs x over the refined graph, (users + items, d)."""
        x = functional.normalize(torch.cat([self.users, self.items]), dim=1)
        once = weighted_product(self.edges, weights, x)
        return x + once + weighted_product(self.edges, weights, once)

    def represent(self) -> Representation:
        """Returns [ID part ; one part per modality], (1 + M) · d wide."""
        refined = self.refine()
        nodes = torch.cat([self.id_nodes(refined.weights), *refined.nodes], dim=1)
        return Representation(*nodes.split([self.n_users, self.n_items]))

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg · mean squares of the batch's IDs and preferences and of the first modality's in all."""
        users, items = self.represent()
        ranking = bpr(take(users, batch.users), take(items, batch.pos), take(items, batch.neg))
        reg = take(self.users, batch.users).square().mean() + self.preferences[self.names[0]].square().mean()
        for rows in (batch.pos, batch.neg):
            reg = reg + 0.5 * take(self.items, rows).square().mean()
        for name in self.names:
            reg = reg + take(self.preferences[name], batch.users).square().mean()
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = GRCN
