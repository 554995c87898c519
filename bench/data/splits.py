"""MMRec's random per-user split, drawing it and recognising it (methods/recommendation.md section 0)."""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import numpy as np

TRAIN, VALID, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "valid", "test")


def mmrec_counts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many of a user's rows become validation and test rows.

    A user with n < 10 rows gives its last row to test and the one before to validation. With n >= 10,
    h = floor(0.2 n), n_valid = floor(h / 2) and n_test = h - n_valid.

    Args:
        rows: (users,) number of rows n of each user, >= 0.

    Returns:
        (n_valid, n_test), each (users,) int64.
    """
    # The float product is MMRec's own `int(n * 0.2)`.
    held = (rows * 0.2).astype(np.int64)
    few = rows < 10
    n_valid = np.where(few, (rows >= 2).astype(np.int64), held // 2)
    n_test = np.where(few, (rows >= 1).astype(np.int64), held - held // 2)
    return n_valid, n_test


def mmrec_split(users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws MMRec's split: all rows are shuffled, grouped by user, and each user's last rows are held out.

    Args:
        users: (n,) non-negative user ids, any order.
        rng: Source of the shuffle; equal states give equal labels.

    Returns:
        (n,) int8 labels: 0 train, 1 valid, 2 test. A user with one or two rows keeps none for training.
    """
    n = len(users)
    labels = np.zeros(n, dtype=np.int8)
    if n == 0:
        return labels
    shuffled = rng.permutation(n)
    order = shuffled[np.argsort(users[shuffled], kind="stable")]
    rows = np.bincount(users)
    n_valid, n_test = mmrec_counts(rows)
    grouped = users[order]
    from_end = np.cumsum(rows)[grouped] - 1 - np.arange(n)
    held = np.where(from_end < n_test[grouped], TEST, VALID)
    labels[order] = np.where(from_end < (n_test + n_valid)[grouped], held, TRAIN)
    return labels


class RuleCheck(NamedTuple):
    """How shipped labels relate to MMRec's rule."""

    order: Literal["mmrec", "mmrec-exchanged"] | None
    """`mmrec`: they follow it; `mmrec-exchanged`: they do once valid and test change names; None: neither."""
    offenders: np.ndarray
    """Users whose sizes break the rule when `order` is None, ascending."""


def check_mmrec_sizes(users: np.ndarray, labels: np.ndarray) -> RuleCheck:
    """Compares every user's split sizes with MMRec's rule.

    Args:
        users: (n,) user ids.
        labels: (n,) labels 0 train, 1 valid, 2 test.
    """
    n_users = int(users.max()) + 1 if len(users) else 0
    n_valid, n_test = mmrec_counts(np.bincount(users, minlength=n_users))
    valid = np.bincount(users[labels == VALID], minlength=n_users)
    test = np.bincount(users[labels == TEST], minlength=n_users)
    wrong = (valid != n_valid) | (test != n_test)
    if not wrong.any():
        return RuleCheck("mmrec", np.empty(0, np.int64))
    if not ((valid != n_test) | (test != n_valid)).any():
        return RuleCheck("mmrec-exchanged", np.empty(0, np.int64))
    return RuleCheck(None, np.flatnonzero(wrong))


def exchange_valid_test(labels: np.ndarray) -> np.ndarray:
    """Returns the labels with valid and test having changed names."""
    return np.asarray(np.array([TRAIN, TEST, VALID], dtype=np.int8)[labels])


def cold_rows(users: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which rows belong to validation or test of a user without a training row: (n,) bool."""
    n_users = int(users.max()) + 1 if len(users) else 0
    warm = np.bincount(users[labels == TRAIN], minlength=n_users) > 0
    return np.asarray((labels != TRAIN) & ~warm[users])


def split_fingerprint(users: np.ndarray, items: np.ndarray, labels: np.ndarray) -> str:
    """Returns the sha256 of the labelled rows, whatever their order in the file.

    Args:
        users: (n,) user ids.
        items: (n,) item ids.
        labels: (n,) labels 0 train, 1 valid, 2 test.
    """
    order = np.lexsort((labels, items, users))
    digest = hashlib.sha256(b"bench split 1\n")
    for column in (users, items, labels):
        digest.update(np.ascontiguousarray(column[order].astype("<i8")).tobytes())
    return digest.hexdigest()
