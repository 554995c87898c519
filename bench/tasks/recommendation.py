"""Task `recommendation`: rank all items for every user; full ranking, no sampled candidates.

Rules of MMRec's evaluator (recommendation protocol `mmrec-v1` and its relatives, see `bench.data.protocols`): every
user with a held-out row counts once, all items are candidates except the ones the protocol masks, and validation
masks train only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from bench.data.protocols import RankingProtocol
from bench.methods.base import PairBatch, Recommender
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch
from bench.metrics import ranking
from bench.tasks.base import Evaluation
from bench.tasks.ranks import group_by_user, rank_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.data.types import Interactions, RecommendationData
    from bench.methods.base import Method
    from bench.metrics.base import Metric


class PairBatches:
    """Training rows with one fresh negative each.

    A negative is uniform over the items that occur in train, drawn again while it is in the user's training history
    (MMRec, `utils/dataloader.py`).

    Args:
        data: Training rows.
        batch_size: Rows in a batch; the last of an epoch may be smaller.
        device: Where batches live.
        generator: CPU random stream for the order of rows and for negatives.
    """

    def __init__(
        self, data: RecommendationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.users = torch.from_numpy(data.train.users.astype(np.int64))
        self.items = torch.from_numpy(data.train.items.astype(np.int64))
        self.pool = torch.from_numpy(np.unique(data.train.items).astype(np.int64))
        self.pairs = torch.from_numpy(data.train_pairs)
        self.n_items = data.n_items
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        degree = torch.from_numpy(np.bincount(data.train_pairs // data.n_items, minlength=data.n_users))
        # A user who has every item of the pool has no negative: such rows cannot train a ranking and are left out.
        trainable = degree[self.users] < self.pool.numel()
        self.users, self.items = self.users[trainable], self.items[trainable]

    def negatives(self, users: torch.Tensor) -> torch.Tensor:
        """Draws one negative item per user; (n,) int64 from (n,) int64."""
        drawn = self.pool[torch.randint(self.pool.numel(), users.shape, generator=self.generator)]
        open_rows = torch.arange(users.numel())
        while open_rows.numel():
            code = users[open_rows] * self.n_items + drawn[open_rows]
            place = torch.searchsorted(self.pairs, code).clamp_(max=self.pairs.numel() - 1)
            open_rows = open_rows[self.pairs[place] == code]
            fresh = torch.randint(self.pool.numel(), open_rows.shape, generator=self.generator)
            drawn[open_rows] = self.pool[fresh]
        return drawn

    def epoch(self) -> Iterator[PairBatch]:
        """Yields the shuffled batches of one epoch."""
        order = torch.randperm(self.users.numel(), generator=self.generator)
        users, pos = self.users[order], self.items[order]
        neg = self.negatives(users)
        users, pos, neg = (tensor.to(self.device) for tensor in (users, pos, neg))
        for batch in zip(users.split(self.batch_size), pos.split(self.batch_size), neg.split(self.batch_size),
        strict=True):
            yield PairBatch(*batch)


class HistoryBatches:
    """Users with their whole training histories; every user with a training row once an epoch.

    Args:
        data: Training rows.
        batch_size: Users in a batch; the last of an epoch may be smaller.
        device: Where batches live.
        generator: CPU random stream for the order of users.
    """

    def __init__(
        self, data: RecommendationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        histories = Histories.of(data)
        self.users = torch.nonzero(histories.indptr.diff()).flatten().to(device)
        self.histories = Histories(histories.indptr.to(device), histories.items.to(device))
        self.batch_size = batch_size
        self.generator = generator

    def epoch(self) -> Iterator[HistoryBatch]:
        """Yields the shuffled batches of one epoch."""
        order = torch.randperm(self.users.numel(), generator=self.generator).to(self.users.device)
        for users in self.users[order].split(self.batch_size):
            yield HistoryBatch(users, self.histories.select(users))


class RecommendationTask:
    """General top-K recommendation under full ranking."""

    name = "recommendation"
    family = "recommendation"
    unit = "user"
    summary = "Rank all items for every user from everybody's past behaviour and the items' content."
    default_metrics = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `recall@20`; UserError when there is none."""
        return ranking.parse(name)

    def batches(
        self,
        data: RecommendationData,
        *,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator,
        of: Literal["pairs", "histories"] = "pairs",
    ) -> PairBatches | HistoryBatches:
        """Returns the training batches a method names in `batches_of`: rows with a negative, or users' histories."""
        if of == "histories":
            return HistoryBatches(data, batch_size=batch_size, device=device, generator=generator)
        return PairBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: RecommendationData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the validation rows, train rows masked."""
        return _score(method, data.valid, [data.train], metrics).values

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method under the dataset's protocol."""
        data = dataset.training()
        protocol = dataset.protocol
        both = isinstance(protocol, RankingProtocol) and protocol.mask == "train+valid"
        masked = [data.train, data.valid] if both else [data.train]
        return _score(method, dataset.test(), masked, metrics)


def _score(method: Method, held_out: Interactions, masked: list[Interactions], metrics: Sequence[str]) -> Evaluation:
    if not isinstance(method, Recommender):
        raise TypeError(f"task 'recommendation' scores a Recommender, but got {type(method).__name__}")
    targets = group_by_user(held_out.users, held_out.items)
    mask = group_by_user(
        np.concatenate([rows.users for rows in masked]), np.concatenate([rows.items for rows in masked])
    )
    ranks = rank_targets(method, targets, mask)
    rows = np.repeat(np.arange(len(targets.users)), np.diff(targets.offsets))
    return Evaluation(targets.users, ranking.ranking_metrics(rows, ranks, len(targets.users), metrics))


TASK = RecommendationTask()
