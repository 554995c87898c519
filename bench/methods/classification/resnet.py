"""ResNet (He et al., CVPR 2016, arXiv 1512.03385)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.methods.layers.backbones import build_backbone
from bench.methods.layers.image_heads import FeatureClassifier, ImageConfig

if TYPE_CHECKING:
    from bench.methods.base import Context


class ResNet(FeatureClassifier):
    """Residual convolutional network and a linear head, trained on the labels alone.

    The network is `transformers.ResNetModel`. From scratch it has basic blocks and a stem that fits the images: up to
    24 pixels a 3 x 3 convolution, up to 47 the same with stride 2, up to 95 with pooling besides, above that the
    published 7 x 7 with stride 2 and pooling.
    """

    class Config(ImageConfig):
        """Settings of `resnet`."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.label_smoothing = config.label_smoothing
        self.backbone = build_backbone(
            "resnet", context, size=config.size, checkpoint=config.checkpoint, freeze=config.freeze
        )
        self.width = self.backbone.width
        self.head = nn.Linear(self.width, self.n_classes, dtype=context.dtype)

    def features(self, images: Tensor) -> Tensor:
        """Returns the (B, `width`) mean of the last map."""
        vectors: Tensor = self.backbone(images)
        return vectors


METHOD = ResNet
