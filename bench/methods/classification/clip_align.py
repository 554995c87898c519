"""Image classification with contrastive image-text alignment, after CLIP (Radford et al., ICML 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from bench.methods.base import Context, Loss, Needs
from bench.methods.layers.alignment import alignment_targets, projection, symmetric_info_nce
from bench.methods.layers.backbones import build_backbone
from bench.methods.layers.image_heads import FeatureClassifier, ImageConfig, text_of, total, training_text
from bench.methods.layers.text import TextKind, text_encoder
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.classifier import ImageBatch


class ClipAlign(FeatureClassifier):
    """An image encoder trained to agree with a text encoder, beside the labels or before them.

    With x_v the image's features, x_s the text's vector, u = P_v(x_v), s = P_s(x_s):

        L = CE(h(x_v), y) + λ · ½ [CE(cos(u, s) / τ, T) + CE(cos(s, u) / τ, Tᵀ)]

    T holds same-class targets by default, so that equal texts of one class do not repel each other. With `probe` the
    head sees x_v without gradient: the encoder learns from the alignment alone, and h is its linear probe. The text is
    used in `loss` only; prediction is h(x_v). RECONSTRUCTED as a baseline: CLIP itself has instance targets, a learned
    temperature and no head.
    """

    needs: ClassVar[Needs] = Needs(frozenset({"text"}))

    class Config(ImageConfig):
        """Settings of `clip_align`."""

        backbone: Literal["resnet", "vit"] = "resnet"
        """Family of the image encoder; `size`, `checkpoint` and `freeze` are its own."""
        text: TextKind = "auto"
        """Text encoder: `multi_hot` MLP, `mean` of word vectors, `gru`; `auto` is `multi_hot` for a set of words and
        `gru` for sentences."""
        dim: int = 128
        """Width of the shared space and of the text encoder."""
        align: Annotated[float, Choices(0.1, 0.5, 1.0)] = 0.5
        """λ, weight of the alignment."""
        temperature: Annotated[float, Choices(0.07, 0.1, 0.2), Field(gt=0)] = 0.1
        """τ."""
        targets: Literal["class", "instance"] = "class"
        """Which texts of the batch an image should agree with: those of its class, or its own alone."""
        probe: bool = False
        """Whether the encoder learns from the alignment alone and the head from frozen features."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.label_smoothing = config.label_smoothing
        self.backbone = build_backbone(
            config.backbone, context, size=config.size, checkpoint=config.checkpoint, freeze=config.freeze
        )
        self.width = self.backbone.width
        self.head = nn.Linear(self.width, self.n_classes, dtype=context.dtype)
        self.text = text_encoder(training_text(context), config.dim, context.dtype, kind=config.text)
        self.image_projection = projection(self.width, config.dim, context.dtype)
        self.text_projection = projection(config.dim, config.dim, context.dtype)

    def features(self, images: Tensor) -> Tensor:
        """Returns x_v, (B, `width`)."""
        vectors: Tensor = self.backbone(images)
        return vectors

    def auxiliary(self, features: Tensor, batch: ImageBatch) -> dict[str, Tensor]:
        """Returns the weighted alignment loss."""
        texts = self.text_projection(self.text(text_of(batch)))
        targets = alignment_targets(batch, texts.dtype, by_class=self.config.targets == "class")
        aligned = symmetric_info_nce(self.image_projection(features), texts, targets, self.config.temperature)
        return {"align": self.config.align * aligned}

    def loss(self, batch: ImageBatch) -> Loss:
        """Returns the cross-entropy of the labels plus the weighted alignment."""
        features = self.features(batch.images)
        logits = self.head(features.detach() if self.config.probe else features)
        parts = {"ce": self.cross_entropy(logits, batch.labels), **self.auxiliary(features, batch)}
        return Loss(total(parts), parts)


METHOD = ClipAlign
