"""SLMRec (Tao et al., IEEE TMM 2022, "Self-supervised Learning for Multimedia Recommendation"), task FAC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.stages import Bipartite, SymNorm
from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.contrast import in_batch_cross_entropy
from bench.methods.layers.embedding import Representation, layer_mean, table, take
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class SLMRec(ContentRecommender):
    """LightGCN on the ID and on each modality, fused by a Linear, with a fine-to-coarse contrastive task (FAC).

    Formulas follow the code in MMRec at e775373, for image and text: the ID view z₁ = g(i) meets the first modality;
    carried on by Linears it meets the next ones, the last at half the width. With one modality only the first meeting
    is left. Scores are the inner products themselves, from the current weights; the code ranks by their sigmoid (the
    same order but for rounding) from embeddings one training step old.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `slmrec`; defaults and grid from MMRec's SLMRec.yaml, whose searched `reg` is used nowhere."""

        lr: Annotated[float, Choices(1e-4, 1e-3, 1e-2, 1e-1)] = 1e-3
        """Adam's step size."""
        weight_decay: float = 1e-4
        """Adam's L2 weight decay."""
        dim: int = 64
        """d, width of all representations (`recdim`)."""
        layers: int = 3
        """Layers over the user-item graph."""
        temperature: float = 0.2
        """τ of the main loss."""
        ssl: Annotated[float, Choices(0.01, 0.05, 0.1, 0.5, 1.0)] = 0.1
        """Weight of the contrastive task (`ssl_alpha`)."""
        ssl_temperature: Annotated[float, Choices(0.1, 0.2, 0.5, 1.0)] = 0.2
        """τ of the contrastive task."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        dim, dtype = config.dim, context.dtype
        self.users = table(self.n_users, dim, dtype)
        self.items = table(self.n_items, dim, dtype)
        self.names = tuple(context.data.modalities)
        self.project = nn.ModuleDict()
        for name in self.names:
            features = functional.normalize(context.features(name), dim=1)
            self.register_buffer(f"features_{name}", features, persistent=False)
            self.project[name] = _linear(features.shape[1], dim, dtype)
        width = dim * (1 + len(self.names))
        self.fuse_items, self.fuse_users = _linear(width, dim, dtype), _linear(width, dim, dtype)
        self.id_view = _linear(dim, dim, dtype)
        later = self.names[1:]
        self.views_of = nn.ModuleDict({self.names[0]: _linear(dim, dim, dtype)})
        self.carry = nn.ModuleList()
        if later:
            # The code keeps the step whose meeting (audio) it removed, hence one step even where none is between.
            self.carry.extend(_linear(dim, dim, dtype) for _ in range(max(1, len(later) - 1)))
            self.carry.append(_linear(dim, dim // 2, dtype))
            self.views_of.update({name: _linear(dim, dim, dtype) for name in later[:-1]})
            self.views_of[later[-1]] = _linear(dim, dim // 2, dtype)
        self.graph = context.views["ui"]

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph, D^-½ A D^-½ with the code's 1e-8 added to degrees."""
        return {"ui": (Bipartite(), SymNorm(eps=1e-8))}

    def _nodes(self) -> list[Tensor]:
        """Returns the layer means of the ID and of each modality, each (users + items, d)."""
        inputs: list[Tensor] = [self.items]
        for name in self.names:
            projected = self.project[name](self.get_buffer(f"features_{name}"))
            if self.content_adapter is not None:
                projected = self.content_adapter(name, projected, self.items)
            inputs.append(projected)
        start = torch.cat([self.users.repeat(1, len(inputs)), torch.cat(inputs, dim=1)])
        # One wide propagation reads the graph once for all views.
        return list(layer_mean(self.graph, start, self.config.layers).split(self.config.dim, dim=1))

    def _fused(self, nodes: list[Tensor]) -> Representation:
        users, items = torch.cat(nodes, dim=1).split([self.n_users, self.n_items])
        return Representation(self.fuse_users(users), self.fuse_items(items))

    def represent(self) -> Representation:
        """Returns the fused users and items."""
        return self._fused(self._nodes())

    def loss(self, batch: PairBatch) -> Loss:
        """Returns in-batch InfoNCE of users and items by cosine + ssl · the fine-to-coarse task; negatives unused."""
        nodes = self._nodes()
        user_rows, item_rows = batch.users, batch.pos + self.n_users
        user = self.fuse_users(torch.cat([take(view, user_rows) for view in nodes], dim=1))
        of_items = [take(view, item_rows) for view in nodes]
        item = self.fuse_items(torch.cat(of_items, dim=1))
        main = in_batch_cross_entropy(
            functional.normalize(user, dim=1), functional.normalize(item, dim=1), self.config.temperature
        )
        ssl = self._fine_to_coarse(of_items)
        return Loss(main + self.config.ssl * ssl, {"main": main, "ssl": ssl})

    def _fine_to_coarse(self, items: list[Tensor]) -> Tensor:
        """Sum of the meetings of the carried ID view with each modality; all of (B, d), the ID first."""
        temperature = self.config.ssl_temperature
        carried = self.id_view(items[0])
        total = in_batch_cross_entropy(carried, self.views_of[self.names[0]](items[1]), temperature)
        steps = iter(self.carry)
        for name, own in zip(self.names[1:], items[2:], strict=True):
            carried = next(steps)(carried)
            if name == self.names[-1]:
                for step in steps:
                    carried = step(carried)
            total = total + in_batch_cross_entropy(carried, self.views_of[name](own), temperature)
        return total


def _linear(inputs: int, outputs: int, dtype: torch.dtype) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, dtype=dtype)
    nn.init.xavier_uniform_(layer.weight)
    return layer


METHOD = SLMRec
