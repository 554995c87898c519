import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cold_start import (
    ABSENT,
    COLD_TEST,
    COLD_VALID,
    WARM,
    Annotations,
    ColdStartData,
    cold_start_protocol,
)
from bench.data.types import Interactions
from bench.errors import DivergedError, UserError
from bench.methods.base import Context, Recommender
from bench.methods.layers.histories import Histories
from bench.spec.config import MethodConfig
from bench.tasks import ranks as module
from bench.tasks.cold_start import CONDITIONS, REPORTED, TASK, candidates, score
from bench.testing.cold_start import small_world

CUTOFF_METRICS = [
    f"{name}@{k}[{condition}]" for name in ("recall", "ndcg", "hit") for k in (2, 3) for condition in CONDITIONS
]


class FixedScores(Recommender):
    """Scores from a table."""

    table: torch.Tensor

    def __init__(self, data, table):
        super().__init__(MethodConfig(), Context(data))
        self.register_buffer("table", torch.as_tensor(table, dtype=torch.float32))

    def score(self, users):
        return self.table[users].clone()


def rows(*pairs):
    found = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return Interactions(found[:, 0], found[:, 1])


def world(groups, train, valid, *, protocol="cold-items-v1", users=3):
    return ColdStartData(
        "hand-made",
        users,
        len(groups),
        rows(*train),
        rows(*valid),
        groups=np.array(groups, dtype=np.int8),
        protocol=cold_start_protocol(protocol),
    )


def naive(scores, ranked, order, masked, targets, name, k):
    """A user's metric after sorting all candidates; None without a target."""
    hits_for = [item for item in targets if item in ranked]
    if not hits_for:
        return None
    open_items = [item for item in ranked if item not in masked]
    best = sorted(open_items, key=lambda item: (-scores[item], order.index(item)))[:k]
    hits = [item in hits_for for item in best]
    if name == "hit":
        return float(any(hits))
    if name == "recall":
        return sum(hits) / len(hits_for)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(hits_for))))
    return sum(hit / math.log2(place + 2) for place, hit in enumerate(hits)) / ideal


def test_values_by_hand():
    # Items 0-3 warm, 4 and 5 cold for validation, 6 and 7 cold for test.
    groups = [WARM] * 4 + [COLD_VALID] * 2 + [COLD_TEST] * 2
    data = world(groups, [(0, 0), (1, 1), (2, 2)], [(0, 1), (0, 4), (1, 5)])
    method = FixedScores(
        data,
        [
            [9.0, 3.0, 8.0, 1.0, 2.0, 7.0, 99.0, 98.0],
            [0.0, 9.0, 2.0, 1.0, 3.0, 4.0, 99.0, 98.0],
            [0.0] * 8,
        ],
    )
    found = score(method, data, data.valid, [data.train], COLD_VALID, CUTOFF_METRICS)
    assert found.units.tolist() == [0, 1], "user 2 has no held-out row"
    # User 0, cold: 5 (7.0) before 4 (2.0); target 4 is second of two.
    assert found.scores["recall@2[cold]"].tolist() == [1.0, 1.0]
    assert found.scores["ndcg@2[cold]"][0] == pytest.approx(1 / math.log2(3))
    # Warm: 0 is masked, so 2 (8.0) and then the target 1 (3.0). User 1 has no warm target.
    assert found.scores["ndcg@2[warm]"][0] == pytest.approx(1 / math.log2(3))
    assert math.isnan(found.scores["recall@2[warm]"][1])
    # All: 2 (8.0), 5 (7.0), 1 (3.0), 4 (2.0); targets 1 and 4. Items 6 and 7 are no candidates, whatever their scores.
    assert found.scores["recall@2[all]"][0] == 0.0
    assert found.scores["recall@3[all]"][0] == 0.5
    assert found.scores["ndcg@3[all]"][0] == pytest.approx((1 / math.log2(4)) / (1 + 1 / math.log2(3)))
    assert found.values["recall@2[warm]"] == 1.0, "a mean over the users with a warm target"


cases = st.tuples(st.integers(1, 6), st.integers(4, 12), st.integers(0, 2**31), st.booleans(), st.integers(1, 40))


@given(cases)
def test_scores_equal_sorting_all_candidates(case):
    n_users, n_items, seed, gar, block = case
    rng = np.random.default_rng(seed)
    groups = rng.choice([WARM, WARM, COLD_VALID, COLD_TEST, ABSENT], n_items)
    groups[:3] = WARM, COLD_VALID, COLD_TEST
    every = [(user, item) for user in range(n_users) for item in range(n_items)]
    chosen = [every[index] for index in rng.permutation(len(every))]
    warm = [pair for pair in chosen if groups[pair[1]] == WARM]
    train, valid, test = warm[::3], warm[1::3], warm[2::3]
    valid += [pair for pair in chosen if groups[pair[1]] == COLD_VALID][::2]
    test += [pair for pair in chosen if groups[pair[1]] == COLD_TEST][: n_users + 1]
    data = world(groups, train, valid, protocol="citeulike-gar-v1" if gar else "cold-items-v1", users=n_users)
    table = rng.integers(-1, 2, (n_users, n_items))  # few distinct scores, so that ties are common
    before, module.SCORES_PER_BLOCK = module.SCORES_PER_BLOCK, block
    try:
        found = score(FixedScores(data, table), data, rows(*test), [data.train, data.valid], COLD_TEST, CUTOFF_METRICS)
    finally:
        module.SCORES_PER_BLOCK = before
    order = np.random.default_rng([data.protocol.split_seed, n_items]).permutation(n_items).tolist()
    cold = {item for item in range(n_items) if groups[item] in ([COLD_VALID, COLD_TEST] if gar else [COLD_TEST])}
    warm_items = {item for item in range(n_items) if groups[item] == WARM}
    ranked = {"cold": cold, "warm": warm_items, "all": cold | warm_items}
    for name in CUTOFF_METRICS:
        base, condition = name.rstrip("]").split("[")
        family, k = base.split("@")
        for place, user in enumerate(found.units.tolist()):
            hidden = {item for row, item in [*train, *valid] if row == user}
            targets = [item for row, item in test if row == user]
            expected = naive(table[user], ranked[condition], order, hidden, targets, family, int(k))
            assert found.scores[name][place] == pytest.approx(math.nan if expected is None else expected, nan_ok=True)


def test_equal_scores_tell_nothing_of_the_item_id():
    groups = [WARM] * 200 + [COLD_VALID] * 100 + [COLD_TEST] * 100
    data = world(groups, [(0, 0)], [(0, 1)], users=1)
    order = candidates(data, COLD_TEST)["cold"]
    assert sorted(order) == list(range(300, 400))
    assert abs(np.corrcoef(order, np.arange(100))[0, 1]) < 0.3
    assert order.tolist() == candidates(data, COLD_TEST)["cold"].tolist()


@pytest.mark.parametrize(("protocol", "others"), [("cold-items-v1", False), ("citeulike-gar-v1", True)])
def test_the_other_cold_group_is_ranked_where_the_protocol_says_so(protocol, others):
    data = world([WARM, COLD_VALID, COLD_TEST, ABSENT], [(0, 0)], [(0, 1)], protocol=protocol)
    for group, own, other in ((COLD_VALID, 1, 2), (COLD_TEST, 2, 1)):
        ranked = candidates(data, group)
        assert set(ranked["cold"]) == ({own, other} if others else {own})
        assert set(ranked["all"]) == {0, *ranked["cold"]}
        assert set(ranked["warm"]) == {0}


def test_every_run_reports_all_conditions_and_test_masks_validation_rows():
    data = world([WARM, WARM, WARM, COLD_VALID, COLD_TEST], [(0, 0)], [(0, 1), (0, 3)], users=1)
    method = FixedScores(data, [[5.0, 4.0, 3.0, 2.0, 1.0]])
    dataset = SimpleNamespace(training=lambda: data, test=lambda: rows((0, 2), (0, 4)))
    found = TASK.evaluate(method, dataset, ["recall@1[warm]"])
    assert set(found.scores) == {"recall@1[warm]", *REPORTED}
    assert found.scores["recall@1[warm]"].tolist() == [1.0], "items 0 and 1 are known, so item 2 comes first"


def test_scores_that_are_not_finite_are_an_error():
    data = world([WARM, COLD_VALID], [(0, 0)], [(0, 1)], users=1)
    with pytest.raises(DivergedError, match="not finite"):
        TASK.validate(FixedScores(data, [[1.0, math.nan]]), data, ["recall@5[cold]"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("recall@20", "needs what is ranked in brackets: cold, warm, all"),
        ("recall@20[cool]", "Did you mean 'cold'"),
        ("recal@20[cold]", "Did you mean 'recall'"),
        ("recall[cold]", "needs a cut-off"),
    ],
)
def test_a_metric_that_does_not_exist_is_named(name, message):
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        TASK.metric(name)


def test_a_metric_says_what_is_ranked():
    metric = TASK.metric("ndcg@10[cold]")
    assert (metric.name, metric.direction) == ("ndcg@10[cold]", "maximize")
    assert "cold items ranked alone" in metric.summary


def test_scoring_takes_annotations_out_of_reach_and_gives_them_back():
    data = small_world()

    class Nosy(FixedScores):
        def begin_scoring(self):
            seen.append(self.context.data.annotations)

        def score(self, users):
            seen.append(self.context.data.annotations)
            return super().score(users)

    seen: list[object] = []
    method = Nosy(data, torch.zeros(data.n_users, data.n_items))
    TASK.validate(method, data, ["recall@5[cold]"])
    assert len(seen) >= 2 and all(words is None for words in seen)
    assert method.context.data.annotations is data.annotations is not None


def test_annotations_come_back_when_scoring_fails():
    data = small_world()
    method = FixedScores(data, torch.full((data.n_users, data.n_items), math.nan))
    with pytest.raises(DivergedError):
        TASK.validate(method, data, ["recall@5[cold]"])
    assert method.context.data.annotations is data.annotations


def test_batches_carry_the_words_of_their_items_and_negatives_are_warm_and_new():
    data = small_world()
    batches = TASK.batches(data, batch_size=16, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    taken = {(int(user), int(item)) for user, item in zip(data.train.users, data.train.items, strict=True)}
    seen = 0
    for batch in batches.epoch():
        seen += len(batch.users)
        assert data.warm[batch.neg.numpy()].all()
        assert not taken & set(zip(batch.users.tolist(), batch.neg.tolist(), strict=True))
        items = sorted(set(batch.pos.tolist()) | set(batch.neg.tolist()))
        assert batch.annotations.items.tolist() == items, "every warm item of this world has a word"
        for row, item in enumerate(items):
            own = data.annotations.words[data.annotations.offsets[item] : data.annotations.offsets[item + 1]]
            assert torch.nonzero(batch.annotations.words[row]).flatten().tolist() == own.tolist()
    assert seen == len(data.train)


def test_batches_of_data_without_annotations_have_none():
    data = small_world(annotated=False)
    options = {"device": torch.device("cpu"), "generator": torch.Generator()}
    assert next(iter(TASK.batches(data, batch_size=8, **options).epoch())).annotations is None
    whole = next(iter(TASK.batches(data, batch_size=8, of="histories", **options).epoch()))
    assert torch.equal(whole.histories.items, Histories.of(data).select(whole.users).items)
    assert not hasattr(whole, "annotations")


def test_words_of_cold_items_and_rare_words_are_left_out():
    words = [["b", "a", "a"], ["a"], ["z", "a"], [], ["b"]]
    found = Annotations.of(words, np.array([True, True, False, True, True]))
    assert found.vocabulary == ("a", "b"), "z is a word of the cold item alone"
    assert found.counts.tolist() == [2, 2] and found.known.tolist() == [True, True, False, False, True]
    assert found.multi_hot(np.array([4, 2, 0])).tolist() == [[False, True], [False, False], [True, True]]
    assert Annotations.of(words, np.array([True, True, True, True, False]), min_items=2).vocabulary == ("a",)
    assert Annotations.of([[], []], np.array([True, True])).vocabulary == ()
