"""What loaded data looks like to a method: plain arrays, no files, no test split."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

ModalityKind = Literal["features", "neighbours", "images", "text", "clips", "annotations"]

ANNOTATIONS = "annotations"
"""Name under which a dataset lists the privileged words of its items. Methods can need them; they are no content: no
graph is made of them, and they are not among the modalities of what a method gets."""


class ModalityInfo(NamedTuple):
    """What is known of a modality without loading it."""

    kind: ModalityKind
    """`features`: one raw vector per item. `neighbours`: only lists of similar items are published. `images`: pixels.
    `text`: words. `clips`: vectors of the clips of a video, or of the regions of a still. `annotations`: words that
    training alone may see."""
    dim: int
    """Width of the vectors methods receive; side of images in pixels; words of a text's vocabulary."""
    derived: str | None
    """How the vectors were made when they are not the raw ones, e.g. `spectral64(neighbours)`; None for raw vectors."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Rows of (user, item), in file order.

    Attributes:
        users: (n,) int32 user ids.
        items: (n,) int32 item ids.
        times: (n,) int64 unix seconds, or None where the data has no clock.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, eq=False)
class Modality:
    """One kind of item content.

    Attributes:
        info: Kind, width and derivation.
        features: (items, dim) float32 or float16, usually memory-mapped; always finite.
        neighbours: (edges, 2) int32 rows (item, neighbour) with self-pairs as published, or None.
    """

    info: ModalityInfo
    features: np.ndarray
    neighbours: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class RecommendationData:
    """The part of a recommendation dataset that training may see: train and validation rows, and item content.

    Attributes:
        name: The dataset's name (a generated twin carries its own).
        n_users: U, one past the largest user id of all splits.
        n_items: I, one past the largest item id of all splits (cold items included).
        train: Training rows.
        valid: Validation rows.
        modalities: Item content by modality name, in the card's order.
        digest: sha256 of the content and the split; equal digests mean equal arrays.
    """

    name: str
    n_users: int
    n_items: int
    train: Interactions
    valid: Interactions
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    digest: str = ""

    @cached_property
    def train_pairs(self) -> np.ndarray:
        """(n,) int64 sorted distinct codes `user * n_items + item` of the training rows."""
        return np.unique(self.train.users.astype(np.int64) * self.n_items + self.train.items)
