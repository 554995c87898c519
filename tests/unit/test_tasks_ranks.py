import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DivergedError
from bench.metrics.ranking import NEVER
from bench.tasks import ranks as module
from bench.tasks.ranks import group_by_user, rank_targets


class FixedScores(torch.nn.Module):
    """A method that scores from a table."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.n_items = table.shape[1]

    def begin_scoring(self) -> None: ...

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.table[users].clone()


def brute_force_rank(scores: np.ndarray, masked: set[int], target: int) -> int:
    """The place of a target after sorting the candidates by falling score, lower ids first among equals."""
    if target in masked:
        return NEVER
    candidates = [item for item in range(len(scores)) if item not in masked]
    return sorted(candidates, key=lambda item: (-scores[item], item)).index(target) + 1


cases = st.tuples(st.integers(1, 9), st.integers(1, 13)).flatmap(
    lambda shape: st.tuples(
        # Few distinct scores, so that ties are common.
        st.lists(
            st.lists(st.integers(-2, 2), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
        ),
        st.sets(st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1)), min_size=1),
        st.sets(st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))),
        st.integers(1, 40),
    )
)


@given(cases)
def test_ranks_equal_sorting_all_candidates(case):
    table, targets, masked, block = case
    scores = np.array(table, dtype=np.float32)
    target_rows = np.array(sorted(targets, key=hash))
    masked_rows = np.array(sorted(masked), dtype=int).reshape(-1, 2)
    grouped = group_by_user(target_rows[:, 0], target_rows[:, 1])
    before = module.SCORES_PER_BLOCK
    module.SCORES_PER_BLOCK = block
    try:
        found = rank_targets(
            FixedScores(torch.from_numpy(scores)), grouped, group_by_user(masked_rows[:, 0], masked_rows[:, 1])
        )
    finally:
        module.SCORES_PER_BLOCK = before
    for k, user in enumerate(grouped.users):
        for place in range(grouped.offsets[k], grouped.offsets[k + 1]):
            hidden = {item for row, item in masked if row == user}
            assert found[place] == brute_force_rank(scores[user], hidden, int(grouped.items[place]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_an_error(bad):
    table = torch.zeros(2, 3)
    table[1, 2] = bad
    rows = group_by_user(np.array([0, 1]), np.array([0, 0]))
    with pytest.raises(DivergedError, match="not finite"):
        rank_targets(FixedScores(table), rows, group_by_user(np.array([], int), np.array([], int)))
