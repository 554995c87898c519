"""Transfer of privileged text to an image classifier, in the spirit of ATNet (L. Meng et al.)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Context, Needs
from bench.methods.layers.alignment import projection
from bench.methods.layers.backbones import build_backbone
from bench.methods.layers.image_heads import FeatureClassifier, ImageConfig, text_of, training_text
from bench.methods.layers.text import TextKind, multi_hot, text_encoder
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.classifier import ImageBatch

THUMBNAIL = 8
"""Side in pixels of the image that is rebuilt from a visual latent."""


class PrivilegedText(FeatureClassifier):
    """A text channel that exists in training teaches part of the image's latent.

    RECONSTRUCTED as a generic baseline from a description of what ATNet does; it is not ATNet and no code, network or
    weight of it is used. Patent notice: ATNet's authors declare a patent on their method; see their repository before
    commercial use of anything close to it. Their separate pretraining of the two channels is collapsed into joint
    training here: all losses below act from the first step.

    With z_v = P(backbone(image)) and z_t = text encoder, both d wide, and m = share · d:

        a_v = M_v(z_v[:m]),  a_t = M_t(z_t[:m])          two maps into a common space of width m
        f_v = [a_v ; z_v[m:]],  f_t = [a_t ; z_t[m:]]    what the shared head h sees; f_v is `features`

        L = CE(h(f_v), y) + λ_t CE(h(f_t), y)
          + λ_a (KL(softmax sg(a_t) ‖ softmax a_v) + |a_v − sg(a_t)|²)      partial alignment, text detached
          + λ_r |R(f_v) − sg(f_t)|²                                        visual to textual regression
          + λ_w ½ (BCE(W(f_t), words) + BCE(W(R(f_v)), words))             which words occur
          + λ_i |D(f_v) − thumbnail|²                                      the image's 8 x 8 thumbnail

    |·|² are means over components. The text is used in `loss` only; prediction is h(f_v).
    """

    needs: ClassVar[Needs] = Needs(frozenset({"text"}))

    class Config(ImageConfig):
        """Settings of `privileged_text`."""

        backbone: Literal["resnet", "vit"] = "resnet"
        """Family of the image encoder; `size`, `checkpoint` and `freeze` are its own."""
        text: TextKind = "auto"
        """Text encoder: `multi_hot` MLP, `mean` of word vectors, `gru`; `auto` is `multi_hot` for a set of words and
        `gru` for sentences."""
        dim: int = 128
        """d, width of both latents."""
        share: Annotated[float, Choices(0.25, 0.5, 0.75), Field(gt=0, le=1)] = 0.5
        """Part of the latents that is aligned."""
        text_ce: float = 0.25
        """λ_t, weight of the cross-entropy of the text channel."""
        align: Annotated[float, Choices(0.1, 0.5, 1.0)] = 0.5
        """λ_a, weight of the alignment."""
        regress: Annotated[float, Choices(0.1, 0.5, 1.0)] = 0.5
        """λ_r, weight of the regression of the text's features from the image's."""
        words: Annotated[float, Choices(0.0, 0.5, 1.0)] = 0.5
        """λ_w, weight of naming the words."""
        image: float = 0.1
        """λ_i, weight of rebuilding the thumbnail."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.label_smoothing = config.label_smoothing
        self.backbone = build_backbone(
            config.backbone, context, size=config.size, checkpoint=config.checkpoint, freeze=config.freeze
        )
        dim, dtype, text = config.dim, context.dtype, training_text(context)
        self.width, self.vocabulary = dim, len(text.vocabulary)
        self.shared = min(max(round(config.share * dim), 1), dim)
        self.latent = nn.Linear(self.backbone.width, dim, dtype=dtype)
        self.visual_map = projection(self.shared, self.shared, dtype)
        self.head = nn.Linear(dim, self.n_classes, dtype=dtype)
        self.text = text_encoder(text, dim, dtype, kind=config.text)
        self.text_map = projection(self.shared, self.shared, dtype)
        self.regression = projection(dim, dim, dtype)
        self.words = nn.Linear(dim, self.vocabulary - 1, dtype=dtype)
        self.thumbnail = projection(dim, 3 * THUMBNAIL**2, dtype)

    def features(self, images: Tensor) -> Tensor:
        """Returns f_v, (B, d)."""
        latent = self.latent(self.backbone(images))
        return self._join(self.visual_map, latent)

    def text_features(self, batch: ImageBatch) -> Tensor:
        """Returns f_t, (B, d), of the batch's text."""
        return self._join(self.text_map, self.text(text_of(batch)))

    def auxiliary(self, features: Tensor, batch: ImageBatch) -> dict[str, Tensor]:
        """Returns the five weighted losses besides the image's cross-entropy."""
        config, m = self.config, self.shared
        textual = self.text_features(batch)
        teacher, target = textual.detach()[:, :m], textual.detach()
        student = features[:, :m]
        divergence = functional.kl_div(
            student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="batchmean"
        )
        regressed = self.regression(features)
        occurs = multi_hot(text_of(batch).tokens, self.vocabulary, features.dtype)
        named = [
            functional.binary_cross_entropy_with_logits(self.words(vectors), occurs) for vectors in (textual, regressed)
        ]
        small = functional.adaptive_avg_pool2d(batch.images.to(features.dtype), THUMBNAIL).flatten(1)
        return {
            "text_ce": config.text_ce * self.cross_entropy(self.head(textual), batch.labels),
            "align": config.align * (divergence + functional.mse_loss(student, teacher)),
            "regress": config.regress * functional.mse_loss(regressed, target),
            "words": config.words * 0.5 * (named[0] + named[1]),
            "image": config.image * functional.mse_loss(self.thumbnail(features), small),
        }

    def _join(self, mapping: nn.Module, latent: Tensor) -> Tensor:
        """Returns [M(z[:m]) ; z[m:]]."""
        return torch.cat([mapping(latent[:, : self.shared]), latent[:, self.shared :]], dim=1)


METHOD = PrivilegedText
