"""Leave-one-out: what is shown, what is predicted, and which items are candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.card import ContentCard
from bench.data.content import Request
from bench.data.dataset import Dataset, open_dataset
from bench.data.protocols import PROTOCOLS
from bench.data.readers.sequences import read, read_histories
from bench.data.registry import DATASETS
from bench.data.sequential import Histories, SequenceData, SequenceTargets
from bench.errors import DataError, DivergedError
from bench.methods.base import Context
from bench.methods.sequential_recommender import SequentialRecommender
from bench.spec.config import MethodConfig
from bench.tasks.sequential import MAX_LENGTH, TASK, padded

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
SHARES = [("ml-100k", 38_762, 97_171), ("beauty", 128_031, 131_413), ("instruments", 84_418, 84_890)]
"""Datasets with the training transitions that are used, and all of them."""


def histories(*rows: list[int]) -> Histories:
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    return Histories(offsets, np.array([item for row in rows for item in row], dtype=np.int32))


def rows_of(found: Histories) -> list[list[int]]:
    return [found.items[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)]


def folder(tmp_path: Path, rows: list[tuple[int, int, int]]) -> Path:
    frame = pl.DataFrame(rows, schema=["user", "step", "item"], orient="row")
    frame.write_parquet(tmp_path / "sequences.parquet")
    return tmp_path


def content(path: Path, protocol: str = "loo-v1"):
    card = ContentCard.model_construct(name="s", generated=False, options={})
    return read(Request("s", 1.0, path, card, PROTOCOLS[protocol], lambda what, done, total: None))


class Fixed(SequentialRecommender):
    """Scores item i as -i, or as told, whatever the history."""

    def __init__(self, data, values=None):
        super().__init__(MethodConfig(), Context(data))
        self.values = -torch.arange(data.n_items, dtype=torch.float32) if values is None else torch.tensor(values)
        self.seen: list[list[int]] = []

    def score(self, given):
        self.seen += given.tolist()
        return self.values.repeat(len(given), 1)


def test_the_last_item_is_for_test_and_the_one_before_for_validation(tmp_path):
    rows = [(0, s, i) for s, i in enumerate([3, 1, 4, 1])] + [(1, s, i) for s, i in enumerate([5, 9])]
    rows += [(2, s, i) for s, i in enumerate([2, 6, 5])]
    found = content(folder(tmp_path, rows))
    data, test = found.training("d"), found.test()
    assert rows_of(data.train) == [[3, 1], [2]]
    assert (data.valid.users.tolist(), data.valid.targets.tolist()) == ([0, 2], [4, 6])
    assert rows_of(test.histories) == [[3, 1, 4], [2, 6]]
    assert (test.targets.tolist(), data.n_items, data.digest) == ([1, 5], 10, "d")
    assert found.notes["users_with_too_few_items"] == 1


def test_training_data_holds_no_test_item(tmp_path):
    found = content(folder(tmp_path, [(u, s, 10 * u + s) for u in range(3) for s in range(4)]))
    data = found.training("d")
    held = set(found.test().targets.tolist())
    assert not held & set(data.train.items.tolist())
    assert not held & set(data.valid.targets.tolist())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 1), (0, 2, 1)], r"steps of user 0 must count from 0 without a gap, but step 2 is in place 1"),
        ([(0, 0, 1), (0, 0, 2)], r"step 0 is in place 1"),
        ([(0, 0, -1)], "ids from 0"),
        ([], "at least one row"),
        ([(0, 0, 1), (0, 1, 2)], "no user has the three items"),
    ],
)
def test_damaged_sequences_are_refused_with_the_place(tmp_path, rows, message):
    frame = pl.DataFrame(rows, schema={"user": pl.Int32, "step": pl.Int32, "item": pl.Int32}, orient="row")
    frame.write_parquet(tmp_path / "sequences.parquet")
    with pytest.raises(DataError, match=message):
        content(tmp_path)


def test_a_missing_column_and_a_file_that_is_no_table_name_the_file(tmp_path):
    path = tmp_path / "sequences.parquet"
    pl.DataFrame({"user": [0], "item": [1]}).write_parquet(path)
    with pytest.raises(DataError, match=r"sequences.parquet lacks the column 'step'; it has user, item"):
        read_histories(path)
    path.write_text("no")
    with pytest.raises(DataError, match=r"cannot read .*sequences.parquet"):
        read_histories(path)


@given(st.lists(st.lists(st.integers(0, 30), max_size=70), min_size=1, max_size=8), st.integers(1, 60))
def test_padding_keeps_the_newest_items_in_order_on_the_right(lists, length):
    found = padded(histories(*lists), np.arange(len(lists)), length=length)
    for row, items in zip(found, lists, strict=True):
        kept = [item + 1 for item in items[-length:]]
        assert row.tolist() == [0] * (found.shape[1] - len(kept)) + kept


def test_every_place_predicts_the_next_item_and_negatives_are_new_to_the_user():
    nothing = SequenceTargets(np.arange(3), histories([], [], []), np.zeros(3))
    data = SequenceData("s", 3, 6, histories([0, 1, 2, 3], [4], [5, 0]), nothing)
    batches = TASK.batches(data, batch_size=8, device=CPU, generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        (batch,) = batches.epoch()
        pairs = {(tuple(a), tuple(b)) for a, b in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)}
        assert pairs == {((1, 2, 3), (2, 3, 4)), ((0, 0, 6), (0, 0, 1))}, "a user with one item has nothing to predict"
        for inputs, targets, negatives in zip(*(part.tolist() for part in batch), strict=True):
            taken = {*inputs, *targets}
            assert all((negative == 0) == (target == 0) for negative, target in zip(negatives, targets, strict=True))
            assert not {negative for negative in negatives if negative} & taken


def test_training_uses_the_newest_transitions_only():
    long = list(range(MAX_LENGTH + 11))
    nothing = SequenceTargets(np.arange(2), histories([], []), np.zeros(2))
    data = SequenceData("s", 2, 100, histories(long, [3, 4]), nothing)
    batches = TASK.batches(data, batch_size=1, device=CPU, generator=torch.Generator().manual_seed(0))
    found = {batch.inputs.shape[1]: batch for batch in batches.epoch()}
    assert sorted(found) == [1, MAX_LENGTH]
    assert found[MAX_LENGTH].inputs.tolist() == [[item + 1 for item in long[10:-1]]]
    assert found[MAX_LENGTH].targets.tolist() == [[item + 1 for item in long[11:]]]


@pytest.mark.parametrize(("name", "used", "all_of"), SHARES)
def test_the_shares_of_training_transitions_that_the_cards_state_are_counted(real_data, name, used, all_of):
    """Σ over users of min(n, 51) − 1 and of n − 1, n the user's training items; the batches hold the former."""
    if not (real_data / name).is_dir():
        pytest.skip(f"real data: {real_data} holds no {name}")
    data = open_dataset(name).training()
    lengths = data.train.lengths
    assert int((np.minimum(lengths, MAX_LENGTH + 1) - 1).sum()) == used and int((lengths - 1).sum()) == all_of
    batches = TASK.batches(data, batch_size=512, device=CPU, generator=torch.Generator().manual_seed(0))
    assert sum(int((batch.targets != 0).sum()) for batch in batches.epoch()) == used
    assert any(f"{used:,} of {all_of:,}" in issue for issue in DATASETS.get(name).known_issues)


def test_a_user_who_took_every_item_has_no_negative_and_is_left_out():
    nothing = SequenceTargets(np.arange(3), histories([], [], []), np.zeros(3))
    data = SequenceData("s", 3, 3, histories([0, 1, 2], [2, 2, 2, 2], [2, 0]), nothing)
    batches = TASK.batches(data, batch_size=8, device=CPU, generator=torch.Generator().manual_seed(0))
    assert batches.users.tolist() == [1, 2], "four rows of one item leave two items over"
    (batch,) = batches.epoch()
    assert sorted(batch.inputs.tolist()) == [[0, 0, 3], [3, 3, 3]]


def test_an_epoch_holds_every_user_once_whatever_the_batch_size():
    rows = [[u, u + 1, *range(u % 7)] for u in range(100)]
    data = SequenceData("s", 100, 200, histories(*rows), SequenceTargets(np.arange(1), histories([0]), np.zeros(1)))
    batches = TASK.batches(data, batch_size=3, device=CPU, generator=torch.Generator().manual_seed(1))
    firsts = [row[row != 0][0].item() for batch in batches.epoch() for row in batch.inputs]
    assert sorted(firsts) == sorted(row[0] + 1 for row in rows)


def dataset(data: SequenceData, test: SequenceTargets, protocol: str) -> Dataset:
    return Dataset("s", None, PROTOCOLS[protocol], "", None, {}, {}, {}, lambda: data, lambda: test)


def test_items_of_the_history_are_candidates_only_where_the_protocol_says_so():
    data = SequenceData("s", 1, 6, histories([0, 1]), SequenceTargets(np.array([7]), histories([0, 1]), np.array([2])))
    test = SequenceTargets(np.array([7]), histories([0, 1, 2]), np.array([4]))
    hit = ["hit@1", "hit@2", "hit@5"]
    masked = TASK.evaluate(Fixed(data), dataset(data, test, "loo-v1"), hit)
    assert masked.units.tolist() == [7]
    assert masked.values == {"hit@1": 0.0, "hit@2": 1.0, "hit@5": 1.0}, "0, 1, 2 are gone: 3 is first and 4 second"
    whole = TASK.evaluate(Fixed(data), dataset(data, test, "loo-all-v1"), hit)
    assert whole.values == {"hit@1": 0.0, "hit@2": 0.0, "hit@5": 1.0}
    assert TASK.validate(Fixed(data), data, ["hit@1"]) == {"hit@1": 1.0}, "validation masks what it shows"


def test_a_target_that_was_taken_before_can_still_be_hit():
    data = SequenceData("s", 1, 4, histories([0]), SequenceTargets(np.array([0]), histories([0, 3]), np.array([0])))
    assert TASK.validate(Fixed(data), data, ["hit@1"]) == {"hit@1": 1.0}


def test_a_history_shows_its_newest_items_only_and_masks_all_of_them():
    long = [1, *range(10, 10 + MAX_LENGTH)]
    data = SequenceData("s", 1, 100, histories(long), SequenceTargets(np.array([0]), histories(long), np.array([2])))
    method = Fixed(data)
    assert TASK.validate(method, data, ["hit@1", "hit@2"]) == {"hit@1": 0.0, "hit@2": 1.0}, "0 leads, 1 is masked"
    assert method.seen == [[item + 1 for item in long[1:]]]


def test_scores_come_back_in_the_order_of_the_users():
    rows = [[0] * n for n in (5, 1, 3)]
    targets = SequenceTargets(np.array([10, 20, 30]), histories(*rows), np.array([3, 1, 2]))
    data = SequenceData("s", 3, 5, histories(*rows), targets)
    found = TASK.evaluate(Fixed(data), dataset(data, targets, "loo-v1"), ["mrr@5"])
    assert found.units.tolist() == [10, 20, 30]
    assert found.scores["mrr@5"].tolist() == [1 / 3, 1.0, 1 / 2]


def test_scores_that_are_not_finite_are_divergence():
    data = SequenceData("s", 1, 3, histories([0]), SequenceTargets(np.array([0]), histories([0]), np.array([1])))
    with pytest.raises(DivergedError):
        TASK.validate(Fixed(data, [0.0, float("nan"), 0.0]), data, ["hit@1"])
