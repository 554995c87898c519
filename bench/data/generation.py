"""What loaded data looks like to a method that makes images: captions, pictures, edits and stories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Texts:
    """Captions, one for each row.

    Attributes:
        tokens: (n, L) int32; 0 pads, 1 is a word that training never saw, real tokens come first.
        lengths: (n,) int64 number of real tokens, at least 1.
        texts: (n,) the captions as written, for people and for pretrained encoders with their own tokens.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    texts: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images with a caption each.

    Attributes:
        pixels: (n, side, side, 3) uint8 RGB, usually memory-mapped.
        captions: One for each image.
        ids: (n,) text: what each image is called in unit scores.
        labels: (n,) int64 coarse class of each image where the data has one, for evaluators; None otherwise.
    """

    pixels: np.ndarray
    captions: Texts
    ids: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Edits:
    """Requests to change an image.

    Attributes:
        sources: Images with the captions they fit now.
        targets: Captions the changed images should fit, parallel to `sources`.
        truth: (n, side, side, 3) uint8 what the change should give; None where nobody knows. On training data it is
            privileged: editors learn from `sources` and captions alone unless they say otherwise.
        ids: (n,) text: what each request is called in unit scores.
    """

    sources: CaptionedImages
    targets: Texts
    truth: np.ndarray | None
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Stories:
    """Sequences of frames with a caption each.

    Attributes:
        frames: (n, F, side, side, 3) uint8 RGB.
        tokens: (n, F, L) int32, as in `Texts`.
        lengths: (n, F) int64.
        texts: (n, F) the captions as written.
        labels: (n, F, K) bool attributes of each frame (characters, colours); None where nobody labelled them.
        ids: (n,) text: what each story is called in unit scores.
    """

    frames: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    texts: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class GenerationData:
    """The part of a generation dataset that training may see.

    Attributes:
        name: The dataset's name (a generated twin carries its own).
        side: Height and width of images in pixels.
        vocabulary: Words of the training captions by token; padding and unknown first.
        train: Training rows: `CaptionedImages`, `Edits` or `Stories`, by the dataset's task.
        valid: Validation rows.
        attributes: Names of the frame labels of stories.
        digest: sha256 of the content and the split.
    """

    name: str
    side: int
    vocabulary: tuple[str, ...]
    train: CaptionedImages | Edits | Stories
    valid: CaptionedImages | Edits | Stories
    attributes: tuple[str, ...] = ()
    digest: str = ""
