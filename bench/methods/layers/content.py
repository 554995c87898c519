"""Item content: raw feature tables, their projections, and the place where an adapter may change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from bench.methods.layers.embedding import EmbeddingRecommender

if TYPE_CHECKING:
    from bench.methods.base import Context


class ContentAdapter(Protocol):
    """Remakes a projected content feature."""

    def __call__(self, name: str, projected: Tensor, item_table: Tensor) -> Tensor:
        """Returns the adapted (items, d) feature.

        Args:
            name: The modality, or `content` where a method projects all of them at once.
            projected: (items, d) projected features.
            item_table: (items, d) item ID embeddings.
        """


class ContentRecommender(EmbeddingRecommender):
    """A recommender that consumes projected item content, and so can be wrapped by a content adapter (BeFA)."""

    content_adapter: ContentAdapter | None = None
    items: nn.Parameter
    """(items, d) ID embeddings, which an adapter may consult."""

    def content_names(self) -> tuple[str, ...]:
        """Returns the names under which content is passed to the adapter."""
        return tuple(self.context.data.modalities)

    def adopt(self, adapter: ContentAdapter) -> None:
        """Lets `adapter` remake the content; parameters it makes useless are dropped here."""
        self.content_adapter = adapter


class FeatureTables(nn.Module):
    """Raw features X_m and their projections h_m = X_m W_m + b_m.

    Args:
        context: Supplies the features, in the dataset's order of modalities.
        dim: d.
        trainable: Whether the raw tables are trained (the authors' code of MGCN, FREEDOM, BM3 and LATTICE does).
    """

    def __init__(self, context: Context, dim: int, *, trainable: bool) -> None:
        super().__init__()
        self.names = tuple(context.data.modalities)
        self.raw = nn.ParameterDict()
        self.project = nn.ModuleDict()
        for name in self.names:
            features = context.features(name)
            self.raw[name] = nn.Parameter(features, requires_grad=trainable)
            self.project[name] = nn.Linear(features.shape[1], dim, dtype=context.dtype)

    def forward(self) -> dict[str, Tensor]:
        """Returns modality to (items, d) projected features."""
        return {name: self.project[name](self.raw[name]) for name in self.names}
