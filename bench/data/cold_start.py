"""What loaded data looks like to a method that recommends items nobody has taken yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bench.data.protocols import PROTOCOLS, ColdStartProtocol
from bench.data.types import RecommendationData

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM, COLD_VALID, COLD_TEST, ABSENT = 0, 1, 2, 3
"""Groups of items: in train; cold, their rows are validation rows; cold, their rows are test rows; in no row at all."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Words people gave to items: privileged, known in training only and of warm items only.

    Attributes:
        vocabulary: W words, sorted.
        offsets: (I + 1,) int64; item i has words[offsets[i]:offsets[i + 1]]. None for a cold item.
        words: (n,) int32 places in `vocabulary`, ascending within an item.
    """

    vocabulary: tuple[str, ...]
    offsets: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, words: Sequence[Sequence[str]], warm: np.ndarray, *, min_items: int = 1) -> Annotations:
        """Keeps the words of warm items; what a cold item is called decides nothing, not even the vocabulary.

        Args:
            words: I lists of words; repeats within an item count once.
            warm: (I,) bool.
            min_items: Fewest warm items that a word of the vocabulary has.
        """
        kept = [sorted(set(own)) if is_warm else [] for own, is_warm in zip(words, warm.tolist(), strict=True)]
        flat = np.array([word for own in kept for word in own], dtype=object)
        owner = np.repeat(np.arange(len(kept)), [len(own) for own in kept])
        vocabulary, place, counts = np.unique(flat.astype(str), return_inverse=True, return_counts=True)
        frequent = counts >= min_items
        stays = frequent[place] if len(place) else np.zeros(0, dtype=bool)
        owner, place = owner[stays], (np.cumsum(frequent) - 1)[place[stays]]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(kept)))]).astype(np.int64)
        return cls(tuple(map(str, vocabulary[frequent])), offsets, place.astype(np.int32))

    @property
    def known(self) -> np.ndarray:
        """(I,) bool: whether an item has a word."""
        return np.asarray(np.diff(self.offsets) > 0)

    @property
    def counts(self) -> np.ndarray:
        """(W,) int64 items that have each word."""
        return np.bincount(self.words, minlength=len(self.vocabulary))

    def multi_hot(self, items: np.ndarray) -> np.ndarray:
        """Returns (n, W) bool, which words each of (n,) items has."""
        lengths = self.offsets[items + 1] - self.offsets[items]
        rows = np.repeat(np.arange(len(items)), lengths)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found = np.zeros((len(items), len(self.vocabulary)), dtype=bool)
        found[rows, self.words[np.repeat(self.offsets[items], lengths) + within]] = True
        return found


@dataclass(frozen=True, eq=False)
class ColdStartData(RecommendationData):
    """The part of a cold-start dataset that training may see.

    Training rows are of warm items only. Validation rows are of warm items and of those whose group is `COLD_VALID`.
    Item content covers all items: it is there before anybody takes the item.

    Attributes:
        groups: (I,) int8 group of each item; every warm one has a training row.
        annotations: Privileged words of warm items; None where the dataset has none, and wherever scores are computed.
        protocol: Which items are ranked.
    """

    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    annotations: Annotations | None = None
    protocol: ColdStartProtocol = field(default_factory=lambda: cold_start_protocol("cold-items-v1"))

    @cached_property
    def warm(self) -> np.ndarray:
        """(I,) bool: whether an item has training rows."""
        return np.asarray(self.groups == WARM)

    def without_annotations(self) -> ColdStartData:
        """Returns the same data without a privileged word."""
        return self if self.annotations is None else replace(self, annotations=None)


def cold_start_protocol(name: str) -> ColdStartProtocol:
    """Returns a protocol of task `cold_start` by name."""
    protocol = PROTOCOLS[name]
    assert isinstance(protocol, ColdStartProtocol)  # noqa: S101 - narrows the type
    return protocol
