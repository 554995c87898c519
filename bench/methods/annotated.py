"""Training batches that carry privileged words of items (task `cold_start`). Scoring gets no such field."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class ItemWords(NamedTuple):
    """Privileged words of some items.

    Attributes:
        items: (m,) int64 distinct annotated items, ascending.
        words: (m, W) bool, which words each has.
    """

    items: Tensor
    words: Tensor


class AnnotatedPairBatch(NamedTuple):
    """Training rows of pairwise ranking, with the words of their items.

    Attributes:
        users: (B,) int64.
        pos: (B,) int64 items the users interacted with.
        neg: (B,) int64 sampled warm items they did not interact with in train.
        annotations: Words of those of the batch's items that are annotated; None where the data has no annotations.
    """

    users: Tensor
    pos: Tensor
    neg: Tensor
    annotations: ItemWords | None
