"""LightGCN and MGCN, computed as their repositories compute them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

REG_DIVISOR = 2048


class LightGCN(nn.Module):
    """LightGCN; the graph is (users + items)²."""

    def __init__(
        self, graph: Tensor, n_users: int, n_items: int, *, dim: int, layers: int, reg: float, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.graph, self.n_users, self.n_items = graph, n_users, n_items
        self.layers, self.reg = layers, reg
        self.user = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_users, dim, dtype=dtype)))
        self.item = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_items, dim, dtype=dtype)))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Returns user and item representations from a propagation over the whole graph."""
        ego = torch.cat([self.user, self.item])
        layers = [ego]
        for _ in range(self.layers):
            ego = torch.sparse.mm(self.graph, ego)
            layers.append(ego)
        users, items = torch.stack(layers, dim=1).mean(dim=1).split([self.n_users, self.n_items])
        return users, items

    def loss(self, users: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
        """BPR with 1e-10 inside the logarithm, and un-squared norms of the layer-0 rows."""
        all_users, all_items = self()
        u, i, j = all_users[users], all_items[pos], all_items[neg]
        difference = (u * i).sum(1) - (u * j).sum(1)
        ranking = -torch.log(1e-10 + torch.sigmoid(difference)).mean()
        rows = (self.user[users], self.item[pos], self.item[neg])
        norms = sum(row.norm(p=2) for row in rows) / rows[-1].shape[0]
        return ranking + self.reg * norms

    def predict(self, users: Tensor) -> Tensor:
        """Scores a block of users, propagating anew."""
        all_users, all_items = self()
        return all_users[users] @ all_items.T


class MGCN(nn.Module):
    """MGCN for image and text."""

    def __init__(
        self,
        graph: Tensor,
        block: Tensor,
        item_graphs: Mapping[str, Tensor],
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        reg: float,
        contrast: float,
        train_features: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.graph, self.block, self.item_graphs = graph, block, dict(item_graphs)
        self.n_users, self.n_items = block.shape
        self.layers, self.reg, self.contrast = layers, reg, contrast
        self.user = nn.Embedding(self.n_users, dim, dtype=dtype)
        self.item = nn.Embedding(self.n_items, dim, dtype=dtype)
        nn.init.xavier_uniform_(self.user.weight)
        nn.init.xavier_uniform_(self.item.weight)
        self.raw, self.project = nn.ModuleDict(), nn.ModuleDict()
        self.gate, self.prefer = nn.ModuleDict(), nn.ModuleDict()
        for name, feature in features.items():
            self.raw[name] = nn.Embedding.from_pretrained(feature.to(dtype).clone(), freeze=not train_features)
            self.project[name] = nn.Linear(feature.shape[1], dim, dtype=dtype)
            self.gate[name] = nn.Sequential(nn.Linear(dim, dim, dtype=dtype), nn.Sigmoid())
            self.prefer[name] = nn.Sequential(nn.Linear(dim, dim, dtype=dtype), nn.Sigmoid())
        self.query = nn.Sequential(
            nn.Linear(dim, dim, dtype=dtype), nn.Tanh(), nn.Linear(dim, 1, bias=False, dtype=dtype)
        )

    def forward(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns user and item representations, and the fused and the behaviour view of all nodes."""
        ego = torch.cat([self.user.weight, self.item.weight])
        layers = [ego]
        for _ in range(self.layers):
            ego = torch.sparse.mm(self.graph, ego)
            layers.append(ego)
        behaviour = torch.stack(layers, dim=1).mean(dim=1)
        views = {}
        for name in self.raw:
            purified = self.item.weight * self.gate[name](self.project[name](self.raw[name].weight))
            items = torch.sparse.mm(self.item_graphs[name], purified)
            views[name] = torch.cat([torch.sparse.mm(self.block, items), items])
        weight = torch.softmax(torch.cat([self.query(view) for view in views.values()], dim=-1), dim=-1)
        shared = sum(weight[:, m].unsqueeze(1) * view for m, view in enumerate(views.values()))
        specific = [self.prefer[name](behaviour) * (view - shared) for name, view in views.items()]
        fused = (sum(specific) + shared) / 3
        users, items = (behaviour + fused).split([self.n_users, self.n_items])
        return users, items, fused, behaviour

    def loss(self, users: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
        """BPR, half squares over the configured batch size, and two contrastive terms."""
        all_users, all_items, fused, behaviour = self()
        u, i, j = all_users[users], all_items[pos], all_items[neg]
        ranking = -functional.logsigmoid((u * i).sum(1) - (u * j).sum(1)).mean()
        squares = 0.5 * ((u**2).sum() + (i**2).sum() + (j**2).sum()) / REG_DIVISOR
        fused_users, fused_items = fused.split([self.n_users, self.n_items])
        plain_users, plain_items = behaviour.split([self.n_users, self.n_items])
        contrast = _info_nce(fused_items[pos], plain_items[pos]) + _info_nce(fused_users[users], plain_users[users])
        return ranking + self.reg * squares + self.contrast * contrast

    def predict(self, users: Tensor) -> Tensor:
        """Scores a block of users, propagating anew."""
        all_users, all_items, _, _ = self()
        return all_users[users] @ all_items.T


def _info_nce(anchor: Tensor, positive: Tensor, temperature: float = 0.2) -> Tensor:
    anchor, positive = functional.normalize(anchor, dim=1), functional.normalize(positive, dim=1)
    own = torch.exp((anchor * positive).sum(-1) / temperature)
    everyone = torch.exp(anchor @ positive.T / temperature).sum(1)
    return -torch.log(own / everyone).mean()
