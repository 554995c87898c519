"""How much of what is held out can be hit: against naive loops, and against a ranking that knows the answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.reach import Reach, reach, reach_notes, sentence
from bench.data.types import Interactions, RecommendationData
from bench.methods.base import Context, Loss, Recommender
from bench.tasks.recommendation import TASK

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=20)
SOME = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=20)


def rows(pairs: list[tuple[int, int]]) -> Interactions:
    table = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return Interactions(table[:, 0], table[:, 1])


def naive(targets: list[tuple[int, int]], masked: list[tuple[int, int]]) -> Reach:
    users = {user for user, _ in targets}
    reached, distinct, shares = 0, 0, []
    for user in users:
        own = [item for other, item in targets if other == user]
        hidden = [item for other, item in masked if other == user]
        left = [item for item in set(own) if item not in hidden]
        reached += bool(left)
        distinct += len(left)
        shares.append(len(left) / len(own))
    return Reach(len(users), reached, len(targets), distinct, sum(shares) / len(shares))


@given(SOME, PAIRS, PAIRS)
def test_reach_equals_naive_loops(
    targets: list[tuple[int, int]], first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    found, expected = reach(rows(targets), [rows(first), rows(second)]), naive(targets, first + second)
    assert found[:4] == expected[:4]
    assert found.recall == pytest.approx(expected.recall)
    assert reach(rows(targets), [])[:4] == naive(targets, [])[:4]


class Oracle(Recommender):
    """Scores the held-out items of each user highest."""

    def __init__(self, data: RecommendationData, answers: Interactions) -> None:
        super().__init__(Recommender.Config(), Context(data))
        self.answers = torch.zeros(data.n_users, data.n_items)
        self.answers[answers.users, answers.items] = 1.0

    def loss(self, batch: Any) -> Loss:
        raise AssertionError("it knows the answers and is never trained")

    def begin_scoring(self) -> None:
        pass

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.answers[users].clone()


@given(SOME, SOME)
def test_a_ranking_that_knows_the_answers_reaches_the_ceiling(
    train: list[tuple[int, int]], valid: list[tuple[int, int]]
) -> None:
    data = RecommendationData("d", 6, 7, rows(train), rows(valid))
    scored = TASK.validate(Oracle(data, data.valid), data, ["recall@7", "recall@1000"])
    ceiling = reach(data.valid, [data.train]).recall
    assert scored["recall@7"] == pytest.approx(ceiling) and scored["recall@1000"] == pytest.approx(ceiling)


def test_the_worked_example() -> None:
    """User 0: items 1 (in train) and 2, 2; user 1: item 3, in train; user 4: item 0, free."""
    train, test = rows([(0, 1), (1, 3), (1, 3), (4, 5)]), rows([(0, 1), (0, 2), (0, 2), (1, 3), (4, 0)])
    found = reach(test, [train])
    assert found[:4] == Reach(users=3, users_reached=2, targets=5, targets_reached=2, recall=0.0)[:4]
    assert found.recall == pytest.approx((1 / 3 + 0 + 1) / 3)


def test_what_is_masked_at_test_follows_the_protocol() -> None:
    train, valid, test = rows([(0, 0)]), rows([(0, 1)]), rows([(0, 0), (0, 1), (0, 2), (0, 3)])
    told = {mask: reach_notes(train, valid, test, mask)["test"]["recall"] for mask in ("train", "train+valid")}
    assert told == {"train": 3 / 4, "train+valid": 2 / 4}
    assert reach_notes(train, valid, test, "nothing")["test"]["recall"] == 1.0
    assert reach_notes(train, valid, test, "history")["test"]["recall"] == 2 / 4
    assert reach_notes(train, valid, test, "nothing")["valid"]["recall"] == 1.0


def test_the_sentence_says_the_ceiling_or_that_there_is_none() -> None:
    some = Reach(users=3, users_reached=2, targets=5, targets_reached=2, recall=4 / 9)._asdict()
    assert "2 of 3 users (66.7%)" in sentence("test", some) and "at most 0.4444 at any K" in sentence("test", some)
    every = Reach(users=3, users_reached=3, targets=5, targets_reached=5, recall=1.0)._asdict()
    assert sentence("valid", every) == "valid: all 5 targets of 3 users can be hit"
