"""A classifier made of features and a linear head: the base of all image classifiers here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from torch.nn import functional

from bench.methods.base import Context, Loss, ScheduledConfig
from bench.methods.classifier import Classifier, ImageBatch, TextBatch
from bench.methods.layers.backbones import Size  # noqa: TC001 - pydantic reads the annotation
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.data.classification import TrainingText


class ImageConfig(ScheduledConfig):
    """What every image classifier can set."""

    lr: Annotated[float, Choices(5e-4, 1e-3, 2e-3)] = 1e-3
    """Step size at its peak. A checkpoint wants about 1e-4."""
    weight_decay: Annotated[float, Choices(1e-3, 1e-2, 5e-2)] = 1e-2
    """Decoupled weight decay."""
    batch_size: int = 64
    """Training images in a batch; the last batch of an epoch may be smaller."""
    optimiser: Literal["adam", "adamw"] = "adamw"
    """`adam` adds weight_decay to the gradient, `adamw` shrinks the weights by it."""
    schedule: Literal["exponential", "step", "cosine"] = "cosine"
    """How the step size falls: lr_gamma^(epoch / lr_period); the same with whole steps (StepLR); or half a cosine over
    the budget's epochs."""
    size: Size = "small"
    """Preset of an encoder from scratch. ResNet of basic blocks: `tiny` 8 to 64 channels and 1 block in each of 4
    stages, `small` 32 to 256 and 1 (1.2 M weights), `base` 64 to 512 and 2 (ResNet-18, 11 M). ViT of 8 x 8 patches:
    `tiny` width 32 and 2 layers, `small` 96 and 4 (0.5 M), `base` 192 and 12 (ViT-Ti, 5.5 M)."""
    checkpoint: str | None = None
    """Folder of a `transformers` model, or id of one in the local Hugging Face cache; nothing is downloaded. None
    trains from scratch."""
    freeze: bool = False
    """Whether a checkpoint's weights stay as they are and only what is on top is trained."""
    label_smoothing: Annotated[float, Choices(0.0, 0.1)] = 0.1
    """Probability that the cross-entropy's target spreads over all classes."""


class FeatureClassifier(Classifier):
    """Logits are a linear head over `features`; losses besides the cross-entropy are functions of those features.

    That lets an adapter such as `marnet` put another head over the features of one forward pass and keep the other
    losses. A subclass sets `width`, `head` and `label_smoothing`, and overrides `features`, and `auxiliary` where it
    has more losses.
    """

    head: nn.Linear
    label_smoothing: float = 0.0

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, classes) logits of (B, 3, height, width) images in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy of (B, classes) logits, with this method's label smoothing."""
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def auxiliary(self, features: Tensor, batch: ImageBatch) -> dict[str, Tensor]:
        """Returns the other losses by name, each already weighted, of (B, `width`) features of the batch's images."""
        return {}

    def loss(self, batch: ImageBatch) -> Loss:
        """Returns the cross-entropy of the labels plus the auxiliary losses."""
        features = self.features(batch.images)
        parts = {"ce": self.cross_entropy(self.head(features), batch.labels), **self.auxiliary(features, batch)}
        return Loss(total(parts), parts)


def total(parts: dict[str, Tensor]) -> Tensor:
    """Returns the sum of at least one loss."""
    first, *others = parts.values()
    for part in others:
        first = first + part
    return first


def training_text(context: Context) -> TrainingText:
    """Returns the text of the training images.

    Raises:
        TypeError: There is none; plans skip such a dataset for a method whose `needs` name `text`.
    """
    text: TrainingText | None = context.data.text
    if text is None:
        raise TypeError(f"{context.data.name!r} has no text beside its training images; set `needs` on the method")
    return text


def text_of(batch: ImageBatch) -> TextBatch:
    """Returns the text of a training batch.

    Raises:
        TypeError: The batch has none.
    """
    if batch.text is None:
        raise TypeError("the training batch holds no text, but the method was built for data with text")
    return batch.text
