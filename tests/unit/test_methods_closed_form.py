"""Closed-form recommenders against brute force, hand-computed examples and numbers measured on real data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load, save

from bench.data.types import Interactions, RecommendationData
from bench.errors import BenchError
from bench.methods.base import Context
from bench.methods.recommendation import ease
from bench.methods.recommendation.ease import EASE
from bench.methods.recommendation.itemknn import ItemKNN
from bench.methods.recommendation.mostpop import MostPop
from bench.tasks.recommendation import TASK

if TYPE_CHECKING:
    from bench.methods.base import Recommender

CLASSES = (MostPop, ItemKNN, EASE)


def data_of(pairs: list[tuple[int, int]], n_users: int, n_items: int) -> RecommendationData:
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    empty = Interactions(np.zeros(0, np.int32), np.zeros(0, np.int32))
    return RecommendationData("made-up", n_users, n_items, Interactions(users, items), empty)


def fitted(cls: type[Recommender], data: RecommendationData, dtype: torch.dtype = torch.float64, **values: object):
    method = cls(cls.Config.with_values(values), Context(data, dtype=dtype))
    method.fit()
    method.begin_scoring()
    return method


def all_scores(method: Recommender) -> np.ndarray:
    return method.score(torch.arange(method.n_users)).numpy()


def dense(data: RecommendationData) -> np.ndarray:
    matrix = np.zeros((data.n_users, data.n_items))
    matrix[data.train.users, data.train.items] = 1
    return matrix


@st.composite
def worlds(draw: st.DrawFn) -> RecommendationData:
    n_users, n_items = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    cells = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    return data_of(draw(st.lists(cells, min_size=1, max_size=40, unique=True)), n_users, n_items)


def brute_itemknn(x: np.ndarray, k: int, shrink: float) -> np.ndarray:
    n = x.shape[1]
    norms = np.sqrt(x.sum(0))
    weights = np.zeros((n, n))
    for j in range(n):
        similar = (x.T @ x[:, j]) / (norms * norms[j] + shrink + 1e-6)
        similar[j] = 0
        for i in sorted(range(n), key=lambda i: (-similar[i], i))[:k]:
            weights[i, j] = similar[i]
    return x @ weights


def brute_ease(x: np.ndarray, l2: float) -> np.ndarray:
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    return x @ (np.eye(x.shape[1]) - p / np.diag(p))


# Users 0..2, items a..d: 0 has a b, 1 has a b c, 2 has c.
TINY = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 2)]


def test_mostpop_scores_are_train_counts_for_every_user():
    assert np.array_equal(all_scores(fitted(MostPop, data_of(TINY, 3, 4))), np.tile([2.0, 2.0, 2.0, 0.0], (3, 1)))


def test_mostpop_scores_may_be_written_to():
    method = fitted(MostPop, data_of(TINY, 3, 4))
    method.score(torch.arange(3)).fill_(-torch.inf)
    assert np.isfinite(all_scores(method)).all()


def test_itemknn_worked_example():
    # cos(a,b) = 2/2, cos(a,c) = cos(b,c) = 1/2, with 1e-6 in the denominator.
    ab, ac = 2 / (2 + 1e-6), 1 / (2 + 1e-6)
    scores = all_scores(fitted(ItemKNN, data_of(TINY, 3, 4)))
    assert scores == pytest.approx(
        np.array([[ab, ab, 2 * ac, 0], [ab + ac, ab + ac, 2 * ac, 0], [ac, ac, 0, 0]]), abs=1e-15
    )


def test_itemknn_keeps_the_lower_id_among_equal_neighbours():
    # c's neighbours a and b are equally similar: with k = 1 only a counts.
    ab, ac = 2 / (2 + 1e-6), 1 / (2 + 1e-6)
    scores = all_scores(fitted(ItemKNN, data_of(TINY, 3, 4), k=1))
    assert scores == pytest.approx(np.array([[ab, ab, ac, 0], [ab, ab, ac, 0], [0, 0, 0, 0]]), abs=1e-15)


def test_itemknn_shrink_enters_the_denominator():
    scores = all_scores(fitted(ItemKNN, data_of(TINY, 3, 4), shrink=10.0))
    assert scores[2] == pytest.approx([1 / (12 + 1e-6), 1 / (12 + 1e-6), 0, 0], abs=1e-15)


def test_ease_worked_example():
    # One user with both of two items, λ = 1: XᵀX + I = [[2,1],[1,2]], P = [[2,-1],[-1,2]]/3, B = [[0,½],[½,0]].
    method = fitted(EASE, data_of([(0, 0), (0, 1)], 1, 2), l2=1.0)
    assert method.weights.numpy() == pytest.approx(np.array([[0, 0.5], [0.5, 0]]), abs=1e-15)
    assert all_scores(method) == pytest.approx(np.array([[0.5, 0.5]]), abs=1e-15)


@settings(deadline=None, max_examples=60)
@given(worlds(), st.integers(1, 15), st.sampled_from([0.0, 1.0, 10.0]))
def test_itemknn_equals_brute_force(data: RecommendationData, k: int, shrink: float):
    assert all_scores(fitted(ItemKNN, data, k=k, shrink=shrink)) == pytest.approx(
        brute_itemknn(dense(data), k, shrink), abs=1e-12
    )


@settings(deadline=None, max_examples=60)
@given(worlds(), st.floats(0.5, 100))
def test_ease_equals_brute_force(data: RecommendationData, l2: float):
    assert all_scores(fitted(EASE, data, l2=l2)) == pytest.approx(brute_ease(dense(data), l2), abs=1e-11)
    assert all_scores(fitted(EASE, data, torch.float32, l2=l2)) == pytest.approx(brute_ease(dense(data), l2), abs=1e-4)


def random_data(n_users: int = 300, n_items: int = 1500, rows: int = 6000, seed: int = 0) -> RecommendationData:
    rng = np.random.default_rng(seed)
    codes = rng.choice(n_users * n_items, size=rows, replace=False)
    return data_of(list(zip(*np.divmod(codes, n_items), strict=True)), n_users, n_items)


def test_blocks_of_items_join_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    data = random_data()
    whole = [all_scores(fitted(cls, data)) for cls in (ItemKNN, EASE)]
    monkeypatch.setattr(ease, "_BLOCK", 7)
    monkeypatch.setattr("bench.methods.recommendation.itemknn._BLOCK", 7)
    split = [all_scores(fitted(cls, data)) for cls in (ItemKNN, EASE)]
    assert np.array_equal(whole[0], split[0])
    assert np.array_equal(whole[1], split[1])


@pytest.mark.parametrize(("l2", "dtype"), [(100.0, torch.float32), (1e-3, torch.float64)])
def test_ease_inverts_in_double_precision_only_where_single_is_too_coarse(l2: float, dtype: torch.dtype):
    method = EASE(EASE.Config(l2=l2), Context(random_data(n_items=200)))
    assert method._gram().dtype == dtype
    method.fit()
    assert method.weights.dtype == torch.float32
    assert all_scores(method) == pytest.approx(brute_ease(dense(method.context.data), l2), abs=1e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_scores_do_not_depend_on_the_batch_of_users(cls: type[Recommender]):
    method = fitted(cls, random_data(), torch.float32)
    whole = all_scores(method)
    users = torch.tensor([7, 7, 299, 0])
    assert np.array_equal(method.score(users).numpy(), whole[users.numpy()])
    assert method.score(torch.zeros(0, dtype=torch.int64)).shape == (0, method.n_items)


@pytest.mark.parametrize("cls", CLASSES)
def test_state_round_trips_through_safetensors(cls: type[Recommender]):
    data = random_data(n_items=150)
    method = fitted(cls, data, torch.float32)
    fresh = cls(cls.Config(), Context(data))
    fresh.load_state_dict(load(save(method.state_dict())))
    fresh.begin_scoring()
    assert np.array_equal(all_scores(fresh), all_scores(method))
    assert not list(method.parameters())


@pytest.mark.parametrize("cls", CLASSES)
def test_a_repeated_row_counts_once_except_for_popularity(cls: type[Recommender]):
    once, twice = fitted(cls, data_of(TINY, 3, 4)), fitted(cls, data_of([*TINY, (2, 2)], 3, 4))
    assert np.array_equal(all_scores(once), all_scores(twice)) == (cls is not MostPop)


def test_cold_items_and_users_without_rows_score_zero():
    data = data_of(TINY, 4, 5)
    for cls in (ItemKNN, EASE):
        scores = all_scores(fitted(cls, data))
        assert not scores[3].any()
        assert not scores[:, 3:].any()


def test_ease_refuses_a_catalogue_that_does_not_fit_in_memory():
    with pytest.raises(BenchError, match=r"'made-up' has 40,001 items, at most 40,000"):
        EASE(EASE.Config(), Context(data_of([(0, 40_000)], 1, 40_001)))


@pytest.mark.parametrize(("cls", "values"), [(ItemKNN, {"k": 0}), (ItemKNN, {"shrink": -1.0}), (EASE, {"l2": 0.0})])
def test_configs_refuse_values_out_of_bounds(cls: type[Recommender], values: dict[str, float]):
    with pytest.raises(ValidationError):
        cls.Config.with_values(values)


def test_search_spaces_hold_the_default():
    for cls in CLASSES:
        config = cls.Config()
        for name, domain in cls.Config.space().items():
            assert domain.contains(getattr(config, name)), (cls, name)


class Split(NamedTuple):
    data: RecommendationData
    test: np.ndarray


def published(name: str) -> Split:
    for folder in os.environ.get("BENCH_DATA", "").split(os.pathsep):
        path = Path(folder) / name / "interactions.parquet"
        if folder and path.is_file():
            break
    else:
        pytest.skip(f"{name} is not under $BENCH_DATA")
    frame = pl.read_parquet(path)
    parts = {
        split: frame.filter(pl.col("split").cast(pl.String) == split).select("user", "item").to_numpy()
        for split in ("train", "valid", "test")
    }
    n_users, n_items = (int(frame[column].max()) + 1 for column in ("user", "item"))
    train, valid = (Interactions(parts[split][:, 0], parts[split][:, 1]) for split in ("train", "valid"))
    return Split(RecommendationData(name, n_users, n_items, train, valid), parts["test"])


def recall_and_ndcg(method: Recommender, split: Split, k: int = 20) -> tuple[float, float]:
    """R@K and N@K by sorting every row; train items masked, users of the test split, ties by lower item id."""
    train = dense(split.data) > 0
    held_out = np.zeros_like(train)
    held_out[split.test[:, 0], split.test[:, 1]] = True
    users = np.flatnonzero(held_out.any(1))
    discount = 1 / np.log2(np.arange(2, k + 2))
    recall, ndcg = [], []
    for block in np.array_split(users, len(users) // 1000 + 1):
        scores = method.score(torch.from_numpy(block)).numpy().astype(np.float64)
        scores[train[block]] = -np.inf
        # Only items at least as good as the K-th best can be listed; they are few enough to sort with ties by id.
        border = np.partition(scores, -k, axis=1)[:, -k]
        for user, row, low in zip(block, scores, border, strict=True):
            candidates = np.flatnonzero(row >= low)
            top = candidates[np.argsort(-row[candidates], kind="stable")][:k]
            hits = held_out[user, top]
            m = held_out[user].sum()
            recall.append(hits.sum() / m)
            ndcg.append((hits * discount).sum() / discount[: min(k, m)].sum())
    return float(np.mean(recall)), float(np.mean(ndcg))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("dataset", "cls", "values", "recall", "ndcg"),
    [
        ("tiktok", MostPop, {}, 0.0597, 0.0255),
        ("baby", MostPop, {}, 0.0463, 0.0194),
        pytest.param("tiktok", EASE, {"l2": 20.0}, 0.0883, 0.0396, marks=pytest.mark.slow),
        pytest.param("baby", EASE, {"l2": 100.0}, 0.0797, 0.0379, marks=pytest.mark.slow),
        # The recorded ItemKNN keeps every neighbour; the default k = 100 was measured with scipy, independently.
        ("baby", ItemKNN, {"k": 3000}, 0.0409, 0.0187),
        ("baby", ItemKNN, {}, 0.0310, 0.0147),
    ],
)
def test_real_data_gives_the_measured_numbers(
    dataset: str, cls: type[Recommender], values: dict[str, float], recall: float, ndcg: float
):
    split = published(dataset)
    method = fitted(cls, split.data, torch.float32, **values)
    found = recall_and_ndcg(method, split)
    assert found == pytest.approx((recall, ndcg), abs=5e-4)
    # The task's evaluator never sorts; popularity makes it break ties by the thousand.
    test = Interactions(split.test[:, 0], split.test[:, 1])
    scored = TASK.validate(method, replace(split.data, valid=test), ["recall@20", "ndcg@20"])
    assert tuple(scored.values()) == pytest.approx(found, abs=1e-12)
