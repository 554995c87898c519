"""The split of cold-start data: items into warm and cold ones, then the rows of warm items (`cold-items-v1`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.data.cold_start import ABSENT, COLD_TEST, COLD_VALID, WARM
from bench.data.splits import TEST, TRAIN, VALID, mmrec_split
from bench.errors import DataError

SPLIT_VERSION = 1
"""Rises when the same rows and seed would be split otherwise."""
COLD_SHARE = 0.1
"""Share of the items of each cold group."""


class ColdSplit(NamedTuple):
    """Where items and rows belong.

    Attributes:
        groups: (I,) int8 `WARM`, `COLD_VALID`, `COLD_TEST` or `ABSENT`.
        labels: (n,) int8 0 train, 1 valid, 2 test. A row of a cold item is of its item's part.
    """

    groups: np.ndarray
    labels: np.ndarray


def split_cold_items(users: np.ndarray, items: np.ndarray, n_items: int, *, seed: int) -> ColdSplit:
    """Draws cold items, and a validation and a test part of the rows of warm items.

    Of the items that occur, a tenth (rounded, at least one) is cold for validation, another tenth for test; the draw is
    uniform, whatever an item's number of rows. The rows of warm items are then split by MMRec's per-user rule
    (`mmrec_split`), but rows go back to train where a user, or a warm item, would have none there. So every warm item
    has a training row, and so has every user with a row of a warm item. The order of the rows decides nothing.

    Args:
        users: (n,) user ids.
        items: (n,) item ids.
        n_items: I.
        seed: Of both draws.

    Raises:
        DataError: Fewer than three items occur.
    """
    rng = np.random.default_rng(seed)
    occurring = np.unique(items)
    if len(occurring) < 3:
        raise DataError(f"a cold-start split needs at least 3 items with a row, but got {len(occurring)}.")
    n_cold = max(1, round(COLD_SHARE * len(occurring)))
    drawn = rng.permutation(occurring)
    groups = np.full(n_items, ABSENT, dtype=np.int8)
    groups[drawn] = WARM
    groups[drawn[:n_cold]], groups[drawn[n_cold : 2 * n_cold]] = COLD_VALID, COLD_TEST
    labels = np.choose(groups[items], [TRAIN, VALID, TEST, TRAIN]).astype(np.int8)
    warm = np.flatnonzero(groups[items] == WARM)
    warm = warm[np.lexsort((items[warm], users[warm]))]
    labels[warm] = mmrec_split(users[warm], rng)
    for ids in (users, items):
        trained = np.bincount(ids[warm][labels[warm] == TRAIN], minlength=int(ids.max()) + 1) > 0
        labels[warm[~trained[ids[warm]]]] = TRAIN
    return ColdSplit(groups, labels)


def groups_of(items: np.ndarray, labels: np.ndarray, cold: np.ndarray, n_items: int) -> np.ndarray:
    """Reads item groups off a published split.

    Args:
        items: (n,) item ids.
        labels: (n,) labels 0 train, 1 valid, 2 test.
        cold: (n,) bool: whether the split says that the row's item is cold.
        n_items: I.

    Returns:
        (I,) int8 groups.

    Raises:
        DataError: A cold item has a row in another part than its own, or a warm one none in train; names the item.
    """
    group = np.where(cold, np.where(labels == VALID, COLD_VALID, COLD_TEST), WARM).astype(np.int8)
    groups = np.full(n_items, ABSENT, dtype=np.int8)
    groups[items] = group
    names = ("warm", "cold for validation", "cold for test")
    torn = np.flatnonzero(groups[items] != group)
    if len(torn):
        row = int(torn[0])
        raise DataError(
            f"item {items[row]} is {names[group[row]]} in row {row} (counted from 0) and {names[groups[items[row]]]} "
            "in another row, but an item must be of one group."
        )
    trained = np.zeros(n_items, dtype=bool)
    trained[items[labels == TRAIN]] = True
    bare = np.flatnonzero((groups == WARM) & ~trained)
    if len(bare):
        raise DataError(f"item {bare[0]} is warm but has no training row, as have {len(bare) - 1:,} more.")
    return groups
