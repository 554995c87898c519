"""BeFA: behaviour-driven feature adapter (Fan et al., AAAI 2025, arXiv 2406.00323)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor, nn

from bench.methods.base import Loss, PairBatch, Recommender, RecommenderAdapter
from bench.methods.layers.content import ContentRecommender
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context, Method


class FeatureAdapter(nn.Module):
    """Decouple, filter, reconstruct a projected feature x.

    a = tanh(Drop(ReLU(L₁ x))), b = Drop(ReLU(L₂ a)), y = σ(L₃ b) ∈ (0, 1)^d.

    Args:
        dim: d.
        width: k; the two inner layers have k · d units.
        dropout: Probability of dropping a unit after each ReLU.
        dtype: Floating type.
    """

    def __init__(self, dim: int, width: int, dropout: float, dtype: torch.dtype) -> None:
        super().__init__()
        inner = dim * width
        self.layers = nn.Sequential(
            nn.Linear(dim, inner, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Tanh(),
            nn.Linear(inner, inner, dtype=dtype),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(inner, dim, dtype=dtype),
            nn.Sigmoid(),
        )

    def forward(self, projected: Tensor) -> Tensor:
        """Returns y, (items, d) in (0, 1), from (items, d)."""
        gate: Tensor = self.layers(projected)
        return gate


class BeFA(RecommenderAdapter):
    """Remakes each projected content feature under the guidance of behaviour, inside any method that consumes content.

    The adapter is the authors' code (fqldom/BeFA at a0661a1), and `befa[mgcn_lite]` is the model they published. Where
    it enters other backbones is RECONSTRUCTED: it takes the place of the projected modality feature wherever the
    backbone consumes it (VBPR: the item's content factor; FREEDOM: the content of the auxiliary losses; MGCN: the
    purifier). Switched off, the bare method is left, bit for bit.

    With the authors' `id_product: true` (no temperature, no residual; the default) the gates y saturate in training
    where a backbone uses f without normalising it. Under VBPR on TikTok 98.4 % of them are exactly 1 and setting all
    to 1 changes no top-20 list: `befa[vbpr]` becomes BPR whose user vector is a sum of two, `befa[mgcn]` MGCN without
    its purifier (mean gate 1.000 for image, .998 for audio). Under LATTICE, SLMRec, MMGCN and GRCN they do not (means
    of .28 to .50). `id_product: false` keeps gates that differ between items; it is this project's own variant,
    RECONSTRUCTED.
    """

    class Config(MethodConfig):
        """Settings of `befa`; the wrapped method keeps its own."""

        width: Annotated[int, Choices(1, 2, 4, 8)] = 1
        """k (`layer_times`), inner width in units of d."""
        dropout: Annotated[float, Choices(0.1, 0.3, 0.5, 0.7)] = 0.1
        """Dropout after each ReLU."""
        id_product: bool = True
        """Multiply by the item ID embedding, as the authors' code does; False, our variant, uses y alone."""
        enabled: bool = True
        """False leaves the bare method."""

    def __init__(self, config: Config, context: Context, wrapped: Recommender) -> None:
        super().__init__(config, context, wrapped)
        self.config = config
        if not isinstance(wrapped, ContentRecommender):
            raise TypeError(f"befa wraps a ContentRecommender, but got {type(wrapped).__name__}")
        self.adapters = nn.ModuleDict()
        if config.enabled:
            dim = wrapped.items.shape[1]
            for name in wrapped.content_names():
                self.adapters[name] = FeatureAdapter(dim, config.width, config.dropout, context.dtype)
            wrapped.adopt(self.adapt)

    @classmethod
    def compatible(cls, method: type[Method]) -> str | None:
        """Returns why `method` cannot be wrapped, or None: it must consume projected item content."""
        return None if issubclass(method, ContentRecommender) else "it consumes no item content"

    def adapt(self, name: str, projected: Tensor, item_table: Tensor) -> Tensor:
        """Returns f_m = Q ⊙ y_m, (items, d)."""
        gate: Tensor = self.adapters[name](projected)
        return item_table * gate if self.config.id_product else gate

    def loss(self, batch: PairBatch) -> Loss:
        """Returns the wrapped method's loss."""
        return self.wrapped.loss(batch)


METHOD = BeFA
