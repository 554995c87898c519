"""Task `sequential`: rank all items as the next one of a history; leave-one-out, full ranking.

Every user counts once. A history shows at most the last `MAX_LENGTH` items, in training and in scoring. Under `loo-v1`
the items of the history are no candidates (as in S3-Rec's and GRU4Rec's published full rankings on these files), under
`loo-all-v1` all items are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.data.protocols import SequenceProtocol
from bench.methods.sequential_recommender import MAX_LENGTH, PADDING, SequenceBatch, SequentialRecommender
from bench.metrics import ranking
from bench.tasks.base import Evaluation
from bench.tasks.ranks import block_of, count_higher, finite
from bench.tasks.scoring import scoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.data.sequential import Histories, SequenceData, SequenceTargets
    from bench.methods.base import Method
    from bench.metrics.base import Metric

_BATCHES_PER_BUCKET = 16
"""Sequences are sorted by length within this many batches, so that a batch holds little padding."""


def padded(histories: Histories, rows: np.ndarray, *, length: int) -> np.ndarray:
    """Returns the (n, L) int64 tokens of some histories, left-padded, cut to the last `length` items.

    L is the longest of them, at most `length`, at least 1.
    """
    lengths = np.minimum(histories.lengths[rows], length)
    width = max(1, int(lengths.max(initial=1)))
    tokens = np.full((len(rows), width), PADDING, dtype=np.int64)
    places = np.repeat(np.arange(len(rows)), lengths)
    back = np.repeat(np.cumsum(lengths), lengths) - np.arange(int(lengths.sum()))
    tokens[places, width - back] = histories.items[histories.offsets[rows + 1][places] - back].astype(np.int64) + 1
    return tokens


class SequenceBatches:
    """The newest part of training sequences, every place of which predicts the next one (SASRec, section III-A).

    The last `MAX_LENGTH` + 1 training items of each user are taken: all but the last of them are the input, all but the
    first the targets. Transitions before them are not trained on, where training on every prefix would do so: of
    `ml-100k` 38,762 of 97,171 transitions (40 %) are left, of `beauty` 97.4 %, of `instruments` 99.4 %. Users with a
    single training item have nothing to predict and are left out, as are users who took every item: they have no
    negative.

    Args:
        data: Training histories.
        batch_size: Users in a batch; the last of a bucket may be smaller.
        device: Where batches live.
        generator: CPU random stream for the order of users and for negatives.
    """

    def __init__(
        self, data: SequenceData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.histories = data.train
        self.n_items = data.n_items
        owners = np.repeat(np.arange(len(data.train)), data.train.lengths)
        self.taken = torch.from_numpy(np.unique(owners.astype(np.int64) * data.n_items + data.train.items))
        distinct = np.bincount(self.taken.numpy() // data.n_items, minlength=len(data.train))
        self.users = np.flatnonzero((data.train.lengths >= 2) & (distinct < data.n_items))
        self.batch_size, self.device, self.generator = batch_size, device, generator

    def epoch(self) -> Iterator[SequenceBatch]:
        """Yields the shuffled batches of one epoch."""
        order = self.users[torch.randperm(len(self.users), generator=self.generator).numpy()]
        bucket = self.batch_size * _BATCHES_PER_BUCKET
        batches: list[np.ndarray] = []
        for start in range(0, len(order), bucket):
            part = order[start : start + bucket]
            part = part[np.argsort(self.histories.lengths[part], kind="stable")]
            batches += [part[at : at + self.batch_size] for at in range(0, len(part), self.batch_size)]
        for index in torch.randperm(len(batches), generator=self.generator).tolist():
            yield self._batch(batches[index])

    def _batch(self, users: np.ndarray) -> SequenceBatch:
        tokens = torch.from_numpy(padded(self.histories, users, length=MAX_LENGTH + 1))
        inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
        targets[inputs == PADDING] = PADDING
        negatives = self._negatives(torch.from_numpy(users), targets)
        return SequenceBatch(inputs.to(self.device), targets.to(self.device), negatives.to(self.device))

    def _negatives(self, users: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Draws a token beside every target that is not in the user's training history; uniform, drawn again if so."""
        negatives = torch.zeros_like(targets)
        rows, columns = torch.nonzero(targets, as_tuple=True)
        drawn = torch.randint(self.n_items, rows.shape, generator=self.generator)
        open_rows = torch.arange(rows.numel())
        while open_rows.numel():
            code = users[rows[open_rows]] * self.n_items + drawn[open_rows]
            place = torch.searchsorted(self.taken, code).clamp_(max=self.taken.numel() - 1)
            open_rows = open_rows[self.taken[place] == code]
            drawn[open_rows] = torch.randint(self.n_items, open_rows.shape, generator=self.generator)
        negatives[rows, columns] = drawn + 1
        return negatives


class SequentialTask:
    """Next-item recommendation under full ranking."""

    name = "sequential"
    family = "recommendation"
    unit = "user"
    summary = "Rank all items as a user's next one, from the order of what the user took before."
    default_metrics = ("hit@10", "ndcg@10")

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `hit@10`; UserError when there is none."""
        return ranking.parse(name)

    def batches(
        self, data: SequenceData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> SequenceBatches:
        """Returns batches of the newest part of training sequences."""
        return SequenceBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: SequenceData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the last but one item of every user; the items shown are no candidates."""
        return _score(method, data.valid, metrics, masked=True).values

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method on the last item of every user."""
        protocol = dataset.protocol
        masked = not isinstance(protocol, SequenceProtocol) or protocol.mask == "history"
        return _score(method, dataset.test(), metrics, masked=masked)


def _score(method: Method, held_out: SequenceTargets, metrics: Sequence[str], *, masked: bool) -> Evaluation:
    if not isinstance(method, SequentialRecommender):
        raise TypeError(f"task 'sequential' scores a SequentialRecommender, but got {type(method).__name__}")
    device, block = block_of(method)
    # Histories of like length are scored together; ranks go back to their users' places.
    order = np.argsort(held_out.histories.lengths, kind="stable")
    ranks = np.empty(len(held_out), dtype=np.int64)
    buffer: torch.Tensor | None = None
    with scoring(method):
        for start in range(0, len(order), block):
            rows = order[start : start + block]
            shown = torch.from_numpy(padded(held_out.histories, rows, length=MAX_LENGTH)).to(device)
            scores = finite(method.score(shown), method)
            targets = torch.from_numpy(held_out.targets[rows]).to(device)
            if masked:
                _mask(scores, held_out, rows)
            buffer = torch.empty_like(scores) if buffer is None or buffer.dtype != scores.dtype else buffer
            every = torch.arange(len(rows), device=device)
            ahead = count_higher(scores, every, targets, buffer)
            reachable = torch.isfinite(scores[every, targets])
            ranks[rows] = torch.where(reachable, ahead + 1, ranking.NEVER).cpu().numpy()
    rows = np.arange(len(held_out))
    return Evaluation(held_out.users, ranking.ranking_metrics(rows, ranks, len(held_out), metrics))


def _mask(scores: torch.Tensor, held_out: SequenceTargets, rows: np.ndarray) -> None:
    """Takes the whole history of each row out of its candidates, the part before the last `MAX_LENGTH` included.

    A target that the user took before stays a candidate: otherwise it could never be hit.
    """
    histories = held_out.histories
    lengths = histories.lengths[rows]
    row = np.repeat(np.arange(len(rows)), lengths)
    begin = np.repeat(histories.offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
    items = histories.items[begin + np.arange(int(lengths.sum()))].astype(np.int64)
    keep = items != held_out.targets[rows][row]
    scores[torch.from_numpy(row[keep]).to(scores.device), torch.from_numpy(items[keep]).to(scores.device)] = -torch.inf


TASK = SequentialTask()
