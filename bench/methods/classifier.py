"""The contract of image classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch.nn import functional

from bench.methods.base import Adapter, Loss, Method

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.data.classification import ClassificationData
    from bench.methods.base import Context
    from bench.spec.config import MethodConfig


class TextBatch(NamedTuple):
    """Text of training images.

    Attributes:
        tokens: (B, L) int64; 0 pads.
        lengths: (B,) int64 number of real tokens, at least 1.
    """

    tokens: Tensor
    lengths: Tensor


class ImageBatch(NamedTuple):
    """A training batch. Scoring gets images alone: it has no such batch.

    Attributes:
        images: (B, 3, height, width) in [0, 1], augmented.
        labels: (B,) int64.
        text: Privileged text, or None where the data has none.
    """

    images: Tensor
    labels: Tensor
    text: TextBatch | None


class Classifier(Method):
    """A method that names the class of an image (task `classification`).

    Subclasses override `features` and `logits`, and `loss` where cross-entropy is not all.

    Args:
        config: A validated `Config`.
        context: `ClassificationData`, views and floating type.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    width: int
    """Width of `features`; set by `__init__`."""

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.data: ClassificationData = context.data
        self.n_classes = len(self.data.classes)

    def features(self, images: Tensor) -> Tensor:
        """Embeds (B, 3, height, width) images in [0, 1]; returns (B, `width`) vectors, the input of the last layer."""
        raise TypeError(f"{type(self).__name__} must override features")

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, classes) logits of (B, 3, height, width) images in [0, 1]."""
        raise TypeError(f"{type(self).__name__} must override logits")

    def loss(self, batch: ImageBatch) -> Loss:
        """Returns the cross-entropy of the labels."""
        return Loss(functional.cross_entropy(self.logits(batch.images), batch.labels))


class ClassifierAdapter(Adapter, Classifier):
    """An adapter around a `Classifier`."""

    wrapped: Classifier

    def features(self, images: Tensor) -> Tensor:
        """Returns the wrapped method's (B, `width`) vectors."""
        return self.wrapped.features(images)

    def logits(self, images: Tensor) -> Tensor:
        """Returns the wrapped method's (B, classes) logits."""
        return self.wrapped.logits(images)


def as_images(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Turns (B, height, width, 3) uint8 pixels into (B, 3, height, width) values in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).to(dtype).div(255.0)
