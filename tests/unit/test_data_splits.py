"""MMRec's split rule: sizes, coverage, determinism, and recognising it in shipped labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.data import splits

users_arrays = hnp.arrays(np.int32, st.integers(0, 300), elements=st.integers(0, 12))


def expected_sizes(n: int) -> tuple[int, int]:
    """The brief's words, written a second time and without arrays."""
    if n == 0:
        return 0, 0
    if n < 10:
        return (1 if n >= 2 else 0), 1
    held = math.floor(n / 5)
    return held // 2, held - held // 2


@pytest.mark.parametrize(
    ("n", "train", "valid", "test"),
    [(5, 3, 1, 1), (9, 7, 1, 1), (10, 8, 1, 1), (14, 12, 1, 1), (15, 12, 1, 2), (19, 16, 1, 2), (20, 16, 2, 2)],
)
def test_sizes_of_one_user(n: int, train: int, valid: int, test: int) -> None:
    labels = splits.mmrec_split(np.zeros(n, np.int32), np.random.default_rng(0))
    assert np.bincount(labels, minlength=3).tolist() == [train, valid, test]


def test_floating_point_floor_never_differs_from_the_integer_one() -> None:
    n = np.arange(100_000)
    n_valid, n_test = splits.mmrec_counts(n)
    assert ((n_valid + n_test)[10:] == n[10:] // 5).all()


@given(users=users_arrays, seed=st.integers(0, 2**32 - 1))
def test_every_user_gets_exactly_the_rules_sizes(users: np.ndarray, seed: int) -> None:
    labels = splits.mmrec_split(users, np.random.default_rng(seed))
    assert labels.shape == users.shape and set(labels.tolist()) <= {0, 1, 2}
    for user in np.unique(users):
        n_valid, n_test = expected_sizes(int((users == user).sum()))
        own = labels[users == user]
        assert ((own == splits.VALID).sum(), (own == splits.TEST).sum()) == (n_valid, n_test)
    assert splits.check_mmrec_sizes(users, labels).order == "mmrec"


@given(users=users_arrays, seed=st.integers(0, 2**32 - 1))
def test_equal_seeds_give_equal_labels(users: np.ndarray, seed: int) -> None:
    first = splits.mmrec_split(users, np.random.default_rng(seed))
    assert (first == splits.mmrec_split(users, np.random.default_rng(seed))).all()


@given(users=users_arrays, offset=st.integers(1, 50))
def test_renaming_users_in_order_leaves_the_labels(users: np.ndarray, offset: int) -> None:
    first = splits.mmrec_split(users, np.random.default_rng(5))
    assert (first == splits.mmrec_split(users + offset, np.random.default_rng(5))).all()


def test_every_row_of_a_user_is_equally_likely_to_be_held_out() -> None:
    users = np.zeros(10, np.int32)
    rng = np.random.default_rng(1)
    tests = np.zeros(10)
    for _ in range(4000):
        tests[splits.mmrec_split(users, rng) == splits.TEST] += 1
    assert abs(tests / 4000 - 0.1).max() < 0.025


@given(users=users_arrays, seed=st.integers(0, 1000), order=st.randoms())
def test_fingerprint_ignores_the_order_of_rows_and_sees_every_label(
    users: np.ndarray, seed: int, order: object
) -> None:
    items = np.arange(len(users))
    labels = splits.mmrec_split(users, np.random.default_rng(seed))
    mark = splits.split_fingerprint(users, items, labels)
    shuffled = np.random.default_rng(seed).permutation(len(users))
    assert mark == splits.split_fingerprint(users[shuffled], items[shuffled], labels[shuffled])
    if len(users):
        changed = labels.copy()
        changed[0] = (changed[0] + 1) % 3
        assert mark != splits.split_fingerprint(users, items, changed)


def test_exchanged_labels_are_recognised_and_others_name_their_users() -> None:
    users = np.repeat([0, 1], [15, 7])
    labels = splits.mmrec_split(users, np.random.default_rng(0))
    exchanged = splits.exchange_valid_test(labels)
    assert splits.check_mmrec_sizes(users, exchanged).order == "mmrec-exchanged"
    assert (splits.exchange_valid_test(exchanged) == labels).all()
    labels[users == 1] = splits.TRAIN
    check = splits.check_mmrec_sizes(users, labels)
    assert check.order is None and check.offenders.tolist() == [1]


def test_users_of_one_or_two_rows_are_cold() -> None:
    users = np.array([0, 1, 1, 2, 2, 2])
    labels = splits.mmrec_split(users, np.random.default_rng(0))
    assert splits.cold_rows(users, labels).tolist() == [True, True, True, False, False, False]
