"""What a third party's sequential method can be tested with: a small world, and a contract every method keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from bench.data.sequential import Histories, SequenceData, SequenceTargets
from bench.data.types import Modality, ModalityInfo
from bench.methods.registry import METHODS
from bench.methods.sequential_recommender import SequentialRecommender
from bench.tasks.sequential import TASK
from bench.testing.common import CPU, build_as_job, train_briefly

if TYPE_CHECKING:
    from bench.training.loop import TrainResult


def small_world(*, users: int = 60, items: int = 24, seed: int = 0) -> SequenceData:
    """Returns generated histories in which item i is mostly followed by i + 1, and frames that tell the item.

    The last item is in no history and nobody's target. Every item has four frames; the first item has none. Every user
    has a validation target.

    Args:
        users: U.
        items: I.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    taken = items - 1
    rows = []
    for _ in range(users):
        row = [int(rng.integers(taken))]
        for _ in range(int(rng.integers(4, 9))):
            row.append(int(rng.integers(taken)) if rng.random() < 0.1 else (row[-1] + 1) % taken)
        rows.append(row)
    offsets = np.cumsum([0, *(len(row) - 1 for row in rows)]).astype(np.int64)
    train_rows = Histories(offsets, np.array([item for row in rows for item in row[:-1]], dtype=np.int32))
    frames = np.zeros((items, 4, 6), dtype=np.float32)
    frames[1:] = rng.normal(size=(items - 1, 4, 6))
    targets = np.array([row[-1] for row in rows], dtype=np.int64)
    return SequenceData(
        name="small-sequences",
        n_users=users,
        n_items=items,
        train=train_rows,
        valid=SequenceTargets(np.arange(users), train_rows, targets),
        modalities={"frames": Modality(ModalityInfo("clips", 6, None), frames)},
        digest=f"small-sequences-v2-{users}-{items}-{seed}",
    )


def build(
    method: str,
    data: SequenceData,
    *,
    config: dict[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> SequentialRecommender:
    """Builds a method as a job would; `config` overrides its defaults."""
    values = METHODS.get(method).Config().model_dump() | (config or {})
    built = build_as_job({"method": method}, values, data, seed=seed, dtype=dtype)
    assert isinstance(built, SequentialRecommender)
    return built


def fit(method: SequentialRecommender, data: SequenceData, *, epochs: int = 8, seed: int = 0) -> TrainResult:
    """Trains a method briefly on the CPU."""
    return train_briefly(method, data, TASK, "hit@3", epochs=epochs, seed=seed)


class SequentialContract:
    """What every sequential method must do, whatever it computes. Subclass and set `method`."""

    method: ClassVar[str]
    small: ClassVar[dict[str, Any]] = {}
    """Settings that make the method fit the small world."""

    def scores(self, method: SequentialRecommender, histories: list[list[int]]) -> torch.Tensor:
        """Returns the (n, items) scores of histories of items."""
        width = max(len(row) for row in histories)
        tokens = torch.tensor([[0] * (width - len(row)) + [item + 1 for item in row] for row in histories])
        method.eval()
        with torch.no_grad():
            method.begin_scoring()
            return method.score(tokens)

    def test_loss_is_finite_and_falls(self) -> None:
        """The training loss of the last epoch is below that of the first."""
        data = small_world()
        result = fit(build(self.method, data, config=self.small), data)
        losses = [point.values["loss"] for point in result.curve]
        assert np.isfinite(losses).all() and losses[-1] < losses[0]

    def test_padding_changes_nothing(self) -> None:
        """A history scores the same alone and beside a longer one."""
        data = small_world()
        method = build(self.method, data, config=self.small)
        fit(method, data, epochs=2)
        alone = self.scores(method, [[3, 4]])
        beside = self.scores(method, [[3, 4], [7, 8, 9, 10, 11]])
        assert alone.shape == (1, data.n_items) and bool(torch.isfinite(beside).all())
        torch.testing.assert_close(alone[0], beside[0], rtol=1e-4, atol=1e-5)

    def test_an_item_that_training_never_shows_gets_a_finite_score(self) -> None:
        """The last item of the small world, after histories short and long, and after one that ends in it."""
        data = small_world()
        last = data.n_items - 1
        assert last not in data.train.items and last not in data.valid.targets
        method = build(self.method, data, config=self.small)
        fit(method, data, epochs=2)
        scores = self.scores(method, [[3], [3, 4, 5, 6], [3, last]])
        assert bool(torch.isfinite(scores[:, last]).all()) and bool(torch.isfinite(scores).all())

    def test_order_counts(self) -> None:
        """The same items in another order score differently."""
        data = small_world()
        method = build(self.method, data, config=self.small)
        fit(method, data, epochs=2)
        scores = self.scores(method, [[3, 4, 5], [5, 4, 3]])
        assert not torch.allclose(scores[0], scores[1])

    def test_same_seed_gives_the_same_scores(self) -> None:
        """Two trainings with one seed agree bit for bit."""
        data = small_world()
        found = []
        for _ in range(2):
            method = build(self.method, data, config=self.small, seed=3)
            fit(method, data, epochs=2, seed=3)
            found.append(self.scores(method, [[1, 2, 3], [4]]))
        assert torch.equal(*found)

    def test_saved_weights_restore_the_scores(self) -> None:
        """A fresh method with the trained one's `state_dict` scores the same."""
        data = small_world()
        method = build(self.method, data, config=self.small)
        fit(method, data, epochs=2)
        fresh = build(self.method, data, config=self.small, seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(self.scores(fresh, [[1, 2]]), self.scores(method, [[1, 2]]))

    def test_learns_what_follows_what(self) -> None:
        """Trained on the small world, it ranks next items far above chance (3 of 24)."""
        data = small_world(users=200)
        result = fit(build(self.method, data, config=self.small), data, epochs=30)
        assert result.value > 0.5

    def test_one_history_is_a_batch(self) -> None:
        """The loss of a batch of one user is finite."""
        data = small_world()
        method = build(self.method, data, config=self.small)
        batches = TASK.batches(data, batch_size=1, device=CPU, generator=torch.Generator().manual_seed(0))
        assert bool(torch.isfinite(method.loss(next(iter(batches.epoch()))).total))
