"""What a third party's cold-start method can be tested with: a small world, and a contract every method keeps.

Use it in a test module of your own package::

    class TestMine(ColdStartContract):
        method = "mine"
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from bench.data.cold_start import COLD_TEST, COLD_VALID, WARM, Annotations, ColdStartData
from bench.data.types import Interactions, Modality, ModalityInfo
from bench.methods.annotated import AnnotatedPairBatch, ItemWords
from bench.methods.base import Method, Recommender
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch
from bench.tasks.cold_start import TASK
from bench.testing.classification import Forbidden
from bench.testing.common import train_briefly
from bench.testing.recommendation import build, default_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.training.loop import TrainResult

SELECT = "recall@5[cold]"


def small_world(*, users: int = 60, items: int = 60, tastes: int = 4, annotated: bool = True) -> ColdStartData:
    """Returns generated data in which users of a taste like its items, and item vectors and words tell the taste.

    The last sixth of the items is cold for test, the sixth before for validation; every user has a validation row of a
    warm and of a cold item. Words 0 to tastes - 1 name the taste, one more says nothing.

    Args:
        users: U.
        items: I, a multiple of six.
        tastes: Number of tastes.
        annotated: Whether there are privileged words.
    """
    rng = np.random.default_rng(0)
    taste_of_item, taste_of_user = np.arange(items) % tastes, np.arange(users) % tastes
    groups = np.repeat([WARM, COLD_VALID, COLD_TEST], [items - 2 * (items // 6), items // 6, items // 6])
    rows: list[tuple[int, int]] = []
    held_out: list[tuple[int, int]] = []
    for user in range(users):
        liked = rng.permutation(np.flatnonzero(taste_of_item == taste_of_user[user]))
        warm, cold = liked[groups[liked] == WARM].tolist(), liked[groups[liked] == COLD_VALID].tolist()
        held_out += [(user, warm[0]), (user, cold[0])]
        rows += [(user, item) for item in warm[1:]]
    rows += [(int(taste), item) for item, taste in enumerate(taste_of_item) if groups[item] == WARM]
    pairs, valid = np.unique(np.array(rows, dtype=np.int32), axis=0), np.array(held_out, dtype=np.int32)
    centres = rng.normal(size=(tastes, 24))
    vectors = (np.abs(centres[taste_of_item]) + 0.2 * rng.normal(size=(items, 24))).astype(np.float32)
    words = [[f"taste-{taste}", *(["word"] if rng.random() < 0.5 else [])] for taste in taste_of_item]
    return ColdStartData(
        name="small-world",
        n_users=users,
        n_items=items,
        train=Interactions(pairs[:, 0], pairs[:, 1]),
        valid=Interactions(valid[:, 0], valid[:, 1]),
        modalities={"image": Modality(ModalityInfo("features", 24, None), vectors)},
        digest=f"small-cold-world-{users}-{items}-{tastes}-{annotated}",
        groups=groups.astype(np.int8),
        annotations=Annotations.of(words, groups == WARM) if annotated else None,
    )


def small_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default configuration of a method entry with batches and steps fit for the small world."""
    config = default_config(entry)
    inner = config
    while "wrapped" in inner:
        inner = inner["wrapped"]
    inner |= {key: value for key, value in {"batch_size": 32, "lr": 5e-3, "hidden": 32}.items() if key in inner}
    return config


def fit(method: Recommender, data: ColdStartData, *, epochs: int = 10, seed: int = 0) -> TrainResult:
    """Trains a method briefly on the CPU."""
    return train_briefly(method, data, TASK, SELECT, epochs=epochs, seed=seed)


def scores_of(method: Recommender) -> torch.Tensor:
    """Returns the (U, I) scores."""
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        return method.score(torch.arange(method.n_users))


def batch_of(method: Method, data: ColdStartData, *, rows: int) -> AnnotatedPairBatch | HistoryBatch:
    """Returns a training batch of the first rows, of the kind a method is trained on."""
    users, pos = (torch.from_numpy(column[:rows].astype(np.int64)) for column in (data.train.users, data.train.items))
    if method.innermost.batches_of == "histories":
        return HistoryBatch(users.unique(), Histories.of(data).select(users.unique()))
    neg = (pos + 1) % int(data.warm.sum())
    items = torch.cat([pos, neg]).unique()
    words = None
    if data.annotations is not None:
        words = ItemWords(items, torch.from_numpy(data.annotations.multi_hot(items.numpy())))
    return AnnotatedPairBatch(users, pos, neg, words)


class ColdStartContract:
    """What every cold-start method must do, whatever it computes. Subclass and set `method` (and `wrap`)."""

    method: ClassVar[str]
    wrap: ClassVar[str | None] = None

    def entry(self) -> dict[str, Any]:
        """Returns the method entry under test."""
        return {"method": self.method, **({"wrap": {"method": self.wrap}} if self.wrap else {})}

    def built(self, data: ColdStartData, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Recommender:
        """Returns the untrained method."""
        return build(self.entry(), data, config=small_config(self.entry()), seed=seed, dtype=dtype)

    def trained(self, data: ColdStartData, *, epochs: int = 2, seed: int = 0) -> Recommender:
        """Returns the method after a short training."""
        method = self.built(data, seed=seed)
        fit(method, data, epochs=epochs, seed=seed)
        return method

    def test_it_learns_and_ranks_cold_items(self) -> None:
        """The loss is finite and falls, and cold items of the user's taste come first far more often than by chance.

        It falls when its mean over the last quarter of the epochs is below that of the first epoch.
        """
        data = small_world()
        method = self.built(data)
        result = fit(method, data, epochs=25)
        if not method.innermost.closed_form:
            losses = [point.values["loss"] for point in result.curve]
            assert np.isfinite(losses).all() and np.mean(losses[-(len(losses) // 4) :]) < losses[0]
        scores = scores_of(method)
        assert scores.shape == (data.n_users, data.n_items) and bool(torch.isfinite(scores).all())
        assert result.value > 0.7, "by chance 5 of 10 cold items hold the target in half of the cases"

    def test_same_seed_gives_the_same_scores(self) -> None:
        """Two trainings with one seed agree bit for bit."""
        data = small_world()
        assert torch.equal(*(scores_of(self.trained(data, seed=3)) for _ in range(2)))

    def test_saved_weights_restore_the_scores_without_annotations(self) -> None:
        """A fresh method with the trained `state_dict`, built on data whose words are gone, scores the same."""
        data = small_world()
        method = self.trained(data)
        words = data.annotations
        assert words is not None
        bare = Annotations(words.vocabulary, np.zeros_like(words.offsets), words.words[:0])
        fresh = self.built(replace(data, annotations=bare, digest=""), seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(scores_of(fresh), scores_of(method), rtol=1e-5, atol=1e-6)

    def test_scoring_never_reads_annotations(self) -> None:
        """With every word taken away after training, and a trap in their place, the scores are the same bit for bit."""
        data = small_world()
        method = self.trained(data)
        before = scores_of(method)
        trap: Any = Forbidden()
        for part in method.modules():
            if isinstance(part, Method):
                blind = replace(part.context.data, annotations=trap)
                part.context = replace(part.context, data=blind)
        assert torch.equal(scores_of(method), before)

    def test_training_never_looks_at_held_out_rows_or_cold_words(self) -> None:
        """Building and the loss do without validation rows; there is no test split, and no word of a cold item."""
        trap: Any = Forbidden()
        data = replace(small_world(), valid=trap)
        assert not [name for name in dir(data) if "test" in name.lower()]
        assert data.annotations is not None and not data.annotations.known[~data.warm].any()
        method = self.built(data)
        if method.innermost.closed_form:
            method.fit()
            return
        method.train()
        assert bool(torch.isfinite(self.first_loss(method, data, rows=16)))

    def test_a_single_row_is_a_batch(self) -> None:
        """The loss of one training row is finite, and so are its gradients."""
        data = small_world()
        method = self.built(data)
        if method.innermost.closed_form:
            return
        method.train()
        loss = self.first_loss(method, data, rows=1)
        assert bool(torch.isfinite(loss))
        loss.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)

    def test_one_user_scores_as_in_a_crowd(self) -> None:
        """A batch of one user gives that user's row of the whole."""
        method = self.trained(small_world())
        everyone = scores_of(method)
        torch.testing.assert_close(method.score(torch.tensor([7]))[0], everyone[7], rtol=1e-5, atol=1e-6)

    def first_loss(self, method: Recommender, data: ColdStartData, *, rows: int) -> torch.Tensor:
        """Returns the loss of the first step of a batch of the first rows."""
        method.begin_epoch(1, torch.Generator().manual_seed(0))
        return next(iter(method.steps(batch_of(method, data, rows=rows))))[1].total
