"""Metrics against MMRec's own functions (recorded) and a hand-computed example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from bench.data.types import Interactions, RecommendationData
from bench.methods.base import Context, Recommender
from bench.metrics.ranking import ranking_metrics
from bench.spec.config import MethodConfig
from bench.tasks.ranks import group_by_user, rank_targets
from bench.tasks.recommendation import TASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recording

    Read = Callable[[str], Recording]

TOLERANCE = 1e-12
FAMILIES = ("recall", "ndcg", "precision", "map")
DEPTH = 20


class Recorded(Recommender):
    """Scores from a file."""

    def __init__(self, scores: np.ndarray, data: RecommendationData) -> None:
        super().__init__(MethodConfig(), Context(data))
        self.scores = torch.from_numpy(scores)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def rows(pairs: np.ndarray) -> Interactions:
    return Interactions(pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int32))


@pytest.fixture(scope="module")
def world(golden: Read) -> tuple[Recorded, Recording, Recording]:
    dataset, metrics = golden("dataset"), golden("metrics")
    n_users, n_items = int(dataset["n_users"]), int(dataset["n_items"])
    data = RecommendationData("recorded", n_users, n_items, rows(dataset["train"]), rows(dataset["valid"]))
    return Recorded(metrics["in/scores"], data), dataset, metrics


@pytest.fixture(scope="module", params=["valid", "test"])
def split(request: pytest.FixtureRequest, world: tuple[Recorded, Recording, Recording]):
    """Target ranks of a split, and the recording's users as places in the evaluator's (ascending) order."""
    method, dataset, metrics = world
    name = request.param
    targets = group_by_user(dataset[name][:, 0], dataset[name][:, 1])
    train = group_by_user(dataset["train"][:, 0], dataset["train"][:, 1])
    ranks = rank_targets(method, targets, train)
    recorded = {key.removeprefix(f"{name}/"): value for key, value in metrics.items() if key.startswith(f"{name}/")}
    return targets, ranks, recorded, np.searchsorted(targets.users, recorded["users"])


def test_users_and_target_counts_are_the_evaluators(split):
    targets, _, recorded, place = split
    assert np.array_equal(targets.users[place], recorded["users"])
    assert np.array_equal(np.diff(targets.offsets)[place], recorded["target_count"])


def test_ranks_are_the_places_in_the_recorded_top_list(split):
    targets, ranks, recorded, place = split
    hits = np.zeros((len(targets.users), DEPTH), dtype=bool)
    owner = np.repeat(np.arange(len(targets.users)), np.diff(targets.offsets))
    listed = ranks <= DEPTH
    hits[owner[listed], ranks[listed] - 1] = True
    assert np.array_equal(hits[place], recorded["hits"])
    top = recorded["topk"][np.argsort(place)]
    assert np.array_equal(top[owner[listed], ranks[listed] - 1], targets.items[listed])


@pytest.mark.parametrize("family", FAMILIES)
def test_metrics_equal_the_recorded_ones_at_every_cutoff(split, family: str):
    targets, ranks, recorded, _ = split
    owner = np.repeat(np.arange(len(targets.users)), np.diff(targets.offsets))
    names = [f"{family}@{k}" for k in range(1, DEPTH + 1)]
    values = ranking_metrics(owner, ranks, len(targets.users), names)
    means = [float(values[name].mean()) for name in names]
    assert means == pytest.approx(recorded[f"{family}_curve"], abs=TOLERANCE, rel=0)
    for k in (5, 10, 20):
        assert means[k - 1] == pytest.approx(float(recorded[f"{family}@{k}"]), abs=TOLERANCE, rel=0)
        assert round(means[k - 1], 4) == float(recorded[f"rounded/{family}@{k}"])


def test_the_task_validates_with_these_metrics(world: tuple[Recorded, Recording, Recording]):
    method, _, metrics = world
    names = [f"{family}@{k}" for family in FAMILIES for k in (5, 10, 20)]
    values = TASK.validate(method, method.context.data, names)
    assert values == pytest.approx({name: float(metrics[f"valid/{name}"]) for name in names}, abs=TOLERANCE, rel=0)


def test_worked_example_of_three_targets_two_of_them_hit():
    # m = 3, hits at ranks 1 and 4, the third target far below.
    values = ranking_metrics(
        np.zeros(3, dtype=np.int64), np.array([4, 1, 900]), 1, ["recall@5", "ndcg@5", "ndcg@2", "map@5", "mrr@5"]
    )
    assert values["recall@5"][0] == pytest.approx(2 / 3, abs=1e-15)
    assert values["ndcg@5"][0] == pytest.approx((1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 0.5), abs=1e-15)
    assert values["ndcg@5"][0] == pytest.approx(0.67139, abs=5e-6)
    assert values["ndcg@2"][0] == pytest.approx(0.61315, abs=5e-6)
    assert values["map@5"][0] == pytest.approx((1 + 2 / 4) / 3, abs=1e-15)
    assert values["mrr@5"][0] == 1
