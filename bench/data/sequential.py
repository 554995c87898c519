"""What loaded data looks like to a method that predicts the next item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import Modality


@dataclass(frozen=True, eq=False)
class Histories:
    """Items of users in the order in which they were taken.

    Attributes:
        offsets: (users + 1,) int64; user u has items[offsets[u]:offsets[u + 1]].
        items: (n,) int32 item ids from 0.
    """

    offsets: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(users,) int64 items of each user."""
        return np.diff(self.offsets)

    def without_last(self, count: int) -> Histories:
        """Returns the histories less the last `count` items of every user; users with fewer keep none."""
        lengths = np.maximum(self.lengths - count, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Histories(offsets, self.items[np.repeat(self.offsets[:-1], lengths) + within])

    def last(self, back: int) -> np.ndarray:
        """Returns the (users,) items `back` places from the end, 1 for the last; every user must have that many."""
        found: np.ndarray = self.items[self.offsets[1:] - back]
        return found


@dataclass(frozen=True, eq=False)
class SequenceTargets:
    """What is to be predicted, and what may be known when it is.

    Attributes:
        users: (n,) int64 ids, for unit scores.
        histories: The n histories shown.
        targets: (n,) int64 next items.
    """

    users: np.ndarray
    histories: Histories
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, eq=False)
class SequenceData:
    """The part of a sequence dataset that training may see.

    Attributes:
        name: The dataset's name (a generated twin carries its own).
        n_users: U.
        n_items: I, one past the largest item id.
        train: Training histories, one for each user; validation and test items are not in them.
        valid: Validation targets.
        modalities: Item content by name; `features` are (I, dim), or (I, m, dim) for m frames of an item.
        digest: sha256 of the content and the split.
    """

    name: str
    n_users: int
    n_items: int
    train: Histories
    valid: SequenceTargets
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    digest: str = ""
