"""Batches, an epoch of training and a full-ranking evaluation, as repositories write them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

CUTOFFS = (5, 10, 20, 50)
MASKED = -1e10


class PairLoader:
    """Shuffled batches with one negative per row, drawn in a Python loop."""

    def __init__(self, users: np.ndarray, items: np.ndarray, batch_size: int, seed: int) -> None:
        self.users, self.items, self.batch_size = users, items, batch_size
        self.pool = np.unique(items).tolist()
        self.history: dict[int, set[int]] = {}
        for user, item in zip(users.tolist(), items.tolist(), strict=True):
            self.history.setdefault(user, set()).add(item)
        self.rng = random.Random(seed)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = list(range(len(self.users)))
        self.rng.shuffle(order)
        users, items = self.users[order], self.items[order]
        for start in range(0, len(users), self.batch_size):
            batch = users[start : start + self.batch_size]
            negatives = []
            for user in batch.tolist():
                drawn = self.rng.choice(self.pool)
                while drawn in self.history[user]:
                    drawn = self.rng.choice(self.pool)
                negatives.append(drawn)
            pos = torch.from_numpy(items[start : start + self.batch_size])
            yield torch.from_numpy(batch), pos, torch.tensor(negatives)


def train_epoch(model: nn.Module, optimizer: Optimizer, loader: PairLoader) -> float:
    """Trains on every batch; returns the summed loss."""
    model.train()
    total = 0.0
    for users, pos, neg in loader:
        optimizer.zero_grad()
        loss = model.loss(users, pos, neg)
        total += loss.item()
        loss.backward()
        optimizer.step()
    return total


class Evaluator:
    """Full ranking of one split: masked items and targets are laid out once."""

    def __init__(
        self, train: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray], batch_size: int = 4096
    ) -> None:
        self.users = np.unique(held_out[0])
        place = {user: index for index, user in enumerate(self.users.tolist())}
        self.targets = [held_out[1][held_out[0] == user] for user in self.users]
        self.lengths = np.array([len(targets) for targets in self.targets])
        self.blocks = []
        known = np.isin(train[0], self.users)
        rows = np.array([place[user] for user in train[0][known].tolist()])
        items = train[1][known]
        for start in range(0, len(self.users), batch_size):
            inside = (rows >= start) & (rows < start + batch_size)
            mask = torch.from_numpy(np.vstack([rows[inside] - start, items[inside]]).astype(np.int64))
            self.blocks.append((torch.from_numpy(self.users[start : start + batch_size]), mask))

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Returns recall, ndcg, precision and map at `CUTOFFS`, not rounded."""
        model.eval()
        lists = []
        for users, mask in self.blocks:
            scores = model.predict(users)
            scores[mask[0], mask[1]] = MASKED
            lists.append(torch.topk(scores, max(CUTOFFS), dim=-1).indices)
        listed = torch.cat(lists).cpu().numpy()
        hits = np.array([[item in targets for item in row] for targets, row in zip(self.targets, listed, strict=True)])
        curves = metric_curves(hits, self.lengths)
        return {f"{name}@{k}": float(curve[k - 1]) for name, curve in curves.items() for k in CUTOFFS}


def metric_curves(hits: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Returns each metric's mean over users at every cut-off from 1 to the length of the list.

    Args:
        hits: (users, K) whether the item at each rank is a target.
        lengths: (users,) number of targets.
    """
    n_users, depth = hits.shape
    found = hits.cumsum(axis=1)
    rank = np.arange(1, depth + 1)
    gain = np.where(hits, 1 / np.log2(rank + 1), 0.0).cumsum(axis=1)
    ideal = np.tile((1 / np.log2(rank + 1)).cumsum(), (n_users, 1))
    for user, length in enumerate(np.minimum(lengths, depth)):
        ideal[user, length:] = ideal[user, length - 1]
    precision = found / rank
    average = np.where(hits, precision, 0.0).cumsum(axis=1)
    for user, length in enumerate(np.minimum(lengths, depth)):
        average[user] /= np.minimum(rank, length)
    return {
        "recall": (found / lengths[:, None]).mean(axis=0),
        "ndcg": (gain / ideal).mean(axis=0),
        "precision": precision.mean(axis=0),
        "map": average.mean(axis=0),
    }
