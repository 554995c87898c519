"""What loaded data looks like to a classifier: pixels, labels, and text that exists for training images only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

CLEAN = "clean"
"""Name of the ordinary test condition."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with one class each.

    Attributes:
        pixels: (n, height, width, 3) uint8 RGB, usually memory-mapped.
        labels: (n,) int64 class of each image.
        ids: (n,) text: what each image is called in unit scores.
    """

    pixels: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class TrainingText:
    """Privileged information: a text beside every training image. No validation or test image has one.

    Attributes:
        tokens: (n, L) int32 rows parallel to the training images; 0 pads, real tokens come first.
        vocabulary: Words by token; entry 0 is the padding.
        form: `set`: an unordered list such as ingredients; `sentence`: words in order.
        level: `image`: written for each image; `class`: a function of the class, so that it gives the label away.
    """

    tokens: np.ndarray
    vocabulary: tuple[str, ...]
    form: Literal["set", "sentence"]
    level: Literal["image", "class"]


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """The part of a classification dataset that training may see.

    Attributes:
        name: The dataset's name (a generated twin carries its own).
        classes: Names of the classes, by label.
        train: Training images.
        valid: Validation images. They may lack some classes.
        text: Text of the training images, or None where the data has none.
        conditions: Names of the test conditions, `clean` first; the images themselves are not here.
        digest: sha256 of the content and the split.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledImages
    valid: LabelledImages
    text: TrainingText | None
    conditions: tuple[str, ...] = (CLEAN,)
    digest: str = ""
