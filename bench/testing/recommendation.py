"""What a third party's recommendation method can be tested with: a small world, and a contract every method keeps.

Use it in a test module of your own package::

    class TestMine(RecommenderContract):
        method = "mine"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.methods.base import Recommender, RecommenderAdapter
from bench.methods.registry import METHODS
from bench.tasks.recommendation import TASK
from bench.testing.common import CPU, build_as_job, train_briefly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.training.loop import TrainResult


def small_world(*, users: int = 60, items: int = 40, groups: int = 4, seed: int = 0) -> RecommendationData:
    """Returns generated data in which users of a group like items of the same group, and item vectors tell the group.

    The last item occurs in no row: an item never seen. Every user has a validation row.

    Args:
        users: U.
        items: I.
        groups: Number of tastes.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    item_group, user_group = np.arange(items) % groups, np.arange(users) % groups
    rows: list[tuple[int, int]] = []
    held_out: list[tuple[int, int]] = []
    for user in range(users):
        liked = np.flatnonzero(item_group[: items - 1] == user_group[user])
        chosen = rng.permutation(liked)[: max(3, len(liked) * 2 // 3)].tolist()
        chosen += rng.choice(np.flatnonzero(item_group[: items - 1] != user_group[user]), 1).tolist()
        held_out.append((user, chosen[0]))
        rows += [(user, item) for item in chosen[1:]]
    centres = {"image": rng.normal(size=(groups, 24)), "text": rng.normal(size=(groups, 12))}
    modalities = {
        name: Modality(
            ModalityInfo("features", centre.shape[1], None),
            (np.abs(centre[item_group] + 0.3 * rng.normal(size=(items, centre.shape[1])))).astype(np.float32),
        )
        for name, centre in centres.items()
    }
    train_rows, valid_rows = np.array(rows, dtype=np.int32), np.array(held_out, dtype=np.int32)
    return RecommendationData(
        name="small-world",
        n_users=users,
        n_items=items,
        train=Interactions(train_rows[:, 0], train_rows[:, 1]),
        valid=Interactions(valid_rows[:, 0], valid_rows[:, 1]),
        modalities=modalities,
        digest=f"small-world-{users}-{items}-{groups}-{seed}",
    )


def default_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default configuration of a method entry, and of what it wraps under `wrapped`."""
    config = METHODS.get(entry["method"]).Config().model_dump()
    if entry.get("wrap"):
        config["wrapped"] = default_config(entry["wrap"])
    return config


def build(
    entry: Mapping[str, Any],
    data: RecommendationData,
    *,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Recommender:
    """Builds a method as a job would, its views compiled."""
    infos = {name: modality.info for name, modality in data.modalities.items()}
    method = build_as_job(entry, config or default_config(entry), data, infos, seed=seed, dtype=dtype)
    assert isinstance(method, Recommender)
    return method


def fit(method: Recommender, data: RecommendationData, *, epochs: int = 15, seed: int = 0) -> TrainResult:
    """Trains a method briefly on the CPU."""
    return train_briefly(method, data, TASK, "recall@5", epochs=epochs, seed=seed)


class RecommenderContract:
    """What every recommendation method must do, whatever it computes. Subclass and set `method` (and `wrap`)."""

    method: ClassVar[str]
    wrap: ClassVar[str | None] = None

    def entry(self) -> dict[str, Any]:
        """Returns the method entry under test."""
        wrapped = {"wrap": {"method": self.wrap}} if self.wrap else {}
        return {"method": self.method, **wrapped}

    def small_batches(self) -> dict[str, Any]:
        """Returns a configuration with batches small enough for the small world."""
        config = default_config(self.entry())
        inner = config
        while "wrapped" in inner:
            inner = inner["wrapped"]
        if "batch_size" in inner:
            inner["batch_size"] = 64
            inner["lr"] = 5e-3
        return config

    def scores(self, method: Recommender, data: RecommendationData) -> torch.Tensor:
        """Returns the (U, I) scores."""
        method.eval()
        with torch.no_grad():
            method.begin_scoring()
            return method.score(torch.arange(data.n_users))

    def test_loss_is_finite_and_falls(self) -> None:
        """The training loss of the last epoch is below that of the first."""
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        result = fit(method, data)
        if method.innermost.closed_form:
            assert result.epochs == 0
            return
        losses = [point.values["loss"] for point in result.curve]
        assert np.isfinite(losses).all() and losses[-1] < losses[0]

    def test_scores_are_finite_for_everyone(self) -> None:
        """Scores of all users and items are finite, the item without a training row included."""
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        fit(method, data, epochs=2)
        scores = self.scores(method, data)
        assert scores.shape == (data.n_users, data.n_items) and bool(torch.isfinite(scores).all())

    def test_one_user_scores_as_in_a_crowd(self) -> None:
        """A batch of one user gives that user's row of the whole."""
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        fit(method, data, epochs=2)
        everyone = self.scores(method, data)
        torch.testing.assert_close(method.score(torch.tensor([7]))[0], everyone[7], rtol=1e-5, atol=1e-6)

    def test_same_seed_gives_the_same_scores(self) -> None:
        """Two trainings with one seed agree bit for bit."""
        data = small_world()
        found = []
        for _ in range(2):
            method = build(self.entry(), data, config=self.small_batches(), seed=3)
            fit(method, data, epochs=3, seed=3)
            found.append(self.scores(method, data))
        assert torch.equal(*found)

    def test_saved_weights_restore_the_scores(self) -> None:
        """A fresh method with the trained one's `state_dict` scores the same."""
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        fit(method, data, epochs=3)
        fresh = build(self.entry(), data, config=self.small_batches(), seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(self.scores(fresh, data), self.scores(method, data))

    def test_learns_the_tastes(self) -> None:
        """Trained on the small world, it ranks held-out items far above chance; popularity is let off."""
        if self.method == "mostpop":
            return
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        result = fit(method, data, epochs=30)
        assert result.value > 2 * 5 / data.n_items

    def test_a_single_row_is_a_batch(self) -> None:
        """The loss of a batch of one training row is finite."""
        data = small_world()
        method = build(self.entry(), data, config=self.small_batches())
        if method.innermost.closed_form:
            return
        generator = torch.Generator().manual_seed(0)
        method.begin_epoch(1, generator)
        wanted = method.innermost.batches_of
        kind: dict[str, Any] = {} if wanted is None else {"of": wanted}
        batches = TASK.batches(data, batch_size=1, device=CPU, generator=generator, **kind)
        loss = method.loss(next(iter(batches.epoch())))
        assert bool(torch.isfinite(loss.total))
        assert isinstance(method, RecommenderAdapter) == bool(self.wrap)
