"""Vision transformer (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from torch import Tensor, nn

from bench.methods.layers.backbones import build_backbone
from bench.methods.layers.image_heads import FeatureClassifier, ImageConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


class ViT(FeatureClassifier):
    """Transformer over image patches and a linear head, trained on the labels alone.

    The network is `transformers.ViTModel`; from scratch the patch is an eighth of the image's shorter side. A
    checkpoint may also be a CLIP model, of which the vision tower is used.
    """

    class Config(ImageConfig):
        """Settings of `vit`."""

        warmup_epochs: int = 3
        """Epochs in which the step size rises linearly to lr; 0 starts at lr."""
        pool: Literal["mean", "cls"] | None = None
        """How tokens become one vector: the mean of the patches or the class token. None is `mean` from scratch, and
        for a checkpoint what it was trained with."""
        dropout: Annotated[float, Choices(0.0, 0.1)] = 0.0
        """Dropout of a network from scratch."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.label_smoothing = config.label_smoothing
        self.backbone = build_backbone(
            "vit",
            context,
            size=config.size,
            checkpoint=config.checkpoint,
            freeze=config.freeze,
            pool=config.pool,
            dropout=config.dropout,
        )
        self.width = self.backbone.width
        self.head = nn.Linear(self.width, self.n_classes, dtype=context.dtype)

    def features(self, images: Tensor) -> Tensor:
        """Returns the (B, `width`) pooled tokens."""
        vectors: Tensor = self.backbone(images)
        return vectors


METHOD = ViT
