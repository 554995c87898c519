import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.metrics.base import RankingMetric
from bench.metrics.ranking import METRICS, NEVER, parse, ranking_metrics

RANKING = [name for name, metric in METRICS.items() if isinstance(metric, RankingMetric)]


def brute_force(ranked: list[int], targets: set[int], name: str) -> float:
    """A metric of one user by walking down the list, as the papers define it."""
    family, _, k_text = name.partition("@")
    k = int(k_text)
    hits = [1 if item in targets else 0 for item in ranked[:k]]
    if family == "recall":
        return sum(hits) / len(targets)
    if family == "precision":
        return sum(hits) / k
    if family == "hit":
        return float(any(hits))
    if family == "mrr":
        return next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)
    if family == "ndcg":
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(targets))))
        return sum(hit / math.log2(place + 2) for place, hit in enumerate(hits)) / ideal
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit]
    return sum(precisions) / min(k, len(targets))


def test_the_worked_example_of_the_protocol():
    values = ranking_metrics(np.zeros(3, int), np.array([4, 1, NEVER]), 1, ["recall@5", "ndcg@5", "ndcg@2", "map@5"])
    assert values["recall@5"][0] == pytest.approx(2 / 3)
    assert values["ndcg@5"][0] == pytest.approx(0.67139, abs=5e-6)
    assert values["ndcg@2"][0] == pytest.approx(0.61315, abs=5e-6)
    assert values["map@5"][0] == pytest.approx((1 / 1 + 2 / 4) / 3)


@given(
    st.integers(1, 30).flatmap(
        lambda n_items: st.lists(
            st.tuples(st.permutations(range(n_items)), st.sets(st.integers(0, n_items - 1), min_size=1)),
            min_size=1,
            max_size=5,
        )
    ),
    st.integers(1, 40),
)
def test_every_metric_equals_walking_down_the_list(users, k):
    rows, ranks = [], []
    for user, (ranked, targets) in enumerate(users):
        for target in targets:
            rows.append(user)
            ranks.append(ranked.index(target) + 1)
    names = [f"{family}@{k}" for family in RANKING]
    values = ranking_metrics(np.array(rows), np.array(ranks), len(users), names)
    for name in names:
        expected = [brute_force(list(ranked), targets, name) for ranked, targets in users]
        np.testing.assert_allclose(values[name], expected, rtol=1e-12, atol=0)


@given(
    st.permutations(range(8)),
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
    st.sets(st.integers(0, 7)),
    st.integers(1, 9),
)
def test_a_repeated_target_row_is_one_hit_among_more_targets(ranked, targets, masked, k):
    """The hits are those of distinct items, m is the number of rows, as in MMRec's evaluator."""
    kept = [item for item in ranked if item not in masked]
    ranks = np.array([NEVER if item in masked else kept.index(item) + 1 for item in targets])
    values = ranking_metrics(np.zeros(len(targets), int), ranks, 1, [f"{family}@{k}" for family in RANKING])
    hits = [item in targets for item in kept[:k]]
    expected = brute_force(kept, set(targets), f"mrr@{k}"), brute_force(kept, set(targets), f"precision@{k}")
    assert (values[f"mrr@{k}"][0], values[f"precision@{k}"][0]) == pytest.approx(expected)
    assert values[f"recall@{k}"][0] == pytest.approx(sum(hits) / len(targets))
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(targets))))
    gained = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    assert values[f"ndcg@{k}"][0] == pytest.approx(gained / ideal)


@given(st.permutations(range(12)))
def test_the_order_of_target_rows_does_not_matter(order):
    rows = np.repeat(np.arange(4), 3)
    ranks = np.array([3, 1, NEVER, 2, 9, 4, 5, 6, 7, 1, 2, 3])
    names = [f"{family}@5" for family in RANKING]
    straight = ranking_metrics(rows, ranks, 4, names)
    shuffled = ranking_metrics(rows[list(order)], ranks[list(order)], 4, names)
    for name in names:
        np.testing.assert_array_equal(straight[name], shuffled[name])


@pytest.mark.parametrize("name", ["recal@20", "recall", "recall@", "recall@0", "recall@-1", "ndcg@1e3", "accuracy"])
def test_a_bad_metric_name_is_a_user_error_that_shows_a_good_one(name):
    with pytest.raises(UserError, match=r"metric") as caught:
        parse(name)
    assert "@" in (caught.value.hint or "")
