"""Task `cold_start`: recommend items nobody has taken yet; full ranking over cold items, warm items and all items.

Rules: `bench.data.protocols.ColdStartProtocol`. At validation the cold items are those of group `COLD_VALID`, at test
those of group `COLD_TEST`; what the others are, the protocol says. Scores are computed with every privileged word
taken out of reach.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from bench.data.cold_start import COLD_TEST, COLD_VALID, WARM, ColdStartData
from bench.errors import UserError, did_you_mean
from bench.methods.annotated import AnnotatedPairBatch, ItemWords
from bench.methods.base import Method, Recommender
from bench.metrics import ranking
from bench.tasks.base import Evaluation
from bench.tasks.ranks import UserRows, block_of, finite, group_by_user, mask_rows, ranks_of
from bench.tasks.recommendation import HistoryBatches, PairBatches
from bench.tasks.scoring import scoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from bench.data.dataset import Dataset
    from bench.data.types import Interactions
    from bench.metrics.base import Metric

CONDITIONS = ("cold", "warm", "all")
"""What is ranked: cold items alone, warm items alone, or both; targets are the held-out rows of what is ranked."""
CUTOFFS = (5, 10, 20)
FAMILIES = ("recall", "ndcg", "hit")
REPORTED = tuple(f"{name}@{k}[{condition}]" for condition in CONDITIONS for name in FAMILIES for k in CUTOFFS)
"""What every run reports."""
_PATTERN = re.compile(r"([^\[\]]*)\[(.*)\]")


class ConditionMetric(NamedTuple):
    """A metric name taken apart.

    Attributes:
        name: As written, `recall@20[cold]`.
        base: The metric, `recall@20`.
        condition: One of `CONDITIONS`.
    """

    name: str
    base: str
    condition: str


def take_apart(name: str) -> ConditionMetric:
    """Reads a metric name such as `recall@20[cold]`.

    Raises:
        UserError: The brackets are missing or hold no condition, or the metric before them does not exist.
    """
    match = _PATTERN.fullmatch(name)
    base, condition = match.groups() if match else (name, "")
    ranking.parse(base)
    if condition not in CONDITIONS:
        raise UserError(
            f"metric {name!r} needs what is ranked in brackets: {', '.join(CONDITIONS)}."
            f"{did_you_mean(condition, CONDITIONS) if condition else ''}",
            hint=f"Write for example {base}[cold].",
        )
    return ConditionMetric(name, base, condition)


class AnnotatedPairBatches:
    """Training rows with one fresh negative each, and the privileged words of the items of a batch.

    A negative is uniform over the items with a training row, which are the warm ones.

    Args:
        data: Training rows and annotations.
        batch_size: Rows in a batch; the last of an epoch may be smaller.
        device: Where batches live.
        generator: CPU random stream for the order of rows and for negatives.
    """

    def __init__(
        self, data: ColdStartData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.pairs = PairBatches(data, batch_size=batch_size, device=device, generator=generator)
        self.words = data.annotations

    def epoch(self) -> Iterator[AnnotatedPairBatch]:
        """Yields the shuffled batches of one epoch."""
        for batch in self.pairs.epoch():
            yield AnnotatedPairBatch(*batch, self._words(torch.cat([batch.pos, batch.neg])))

    def _words(self, items: Tensor) -> ItemWords | None:
        if self.words is None:
            return None
        distinct = np.unique(items.cpu().numpy())
        distinct = distinct[self.words.known[distinct]]
        multi_hot = torch.from_numpy(self.words.multi_hot(distinct))
        return ItemWords(torch.from_numpy(distinct).to(items.device), multi_hot.to(items.device))


class ColdStartTask:
    """Recommendation of cold items, with warm and all items beside them."""

    name = "cold_start"
    family = "recommendation"
    unit = "user"
    summary = "Rank items nobody has taken yet, known by their content alone; warm and all items are reported too."
    default_metrics = REPORTED

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `recall@20[cold]`; UserError when there is none."""
        parsed = take_apart(name)
        base = ranking.parse(parsed.base)
        what = "all items ranked" if parsed.condition == "all" else f"{parsed.condition} items ranked alone"
        return base._replace(name=name, summary=f"{base.summary}, {what}")

    def batches(
        self,
        data: ColdStartData,
        *,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator,
        of: Literal["pairs", "histories"] = "pairs",
    ) -> AnnotatedPairBatches | HistoryBatches:
        """Returns the training batches a method names in `batches_of`: annotated rows, or users' histories."""
        if of == "histories":
            return HistoryBatches(data, batch_size=batch_size, device=device, generator=generator)
        return AnnotatedPairBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: ColdStartData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the validation rows of warm and cold items; the user's training rows are masked.

        Raises:
            UserError: A metric has no condition in brackets.
            DivergedError: A score is not finite.
        """
        return score(method, data, data.valid, [data.train], COLD_VALID, metrics).values

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method; train and validation rows are masked.

        Whatever is asked for, the result holds `REPORTED` too: a cold result means little without the warm one.
        """
        data: ColdStartData = dataset.training()
        wanted = tuple(dict.fromkeys((*metrics, *REPORTED)))
        return score(method, data, dataset.test(), [data.train, data.valid], COLD_TEST, wanted)


def candidates(data: ColdStartData, cold_group: int) -> dict[str, np.ndarray]:
    """Returns the items ranked under each condition, in the order that decides between equal scores.

    Args:
        data: Groups of items, and the protocol.
        cold_group: The group whose rows are looked at: `COLD_VALID` or `COLD_TEST`.

    Returns:
        Condition to (candidates,) int64 distinct items.
    """
    cold_groups = [COLD_VALID, COLD_TEST] if data.protocol.others == "candidate" else [cold_group]
    order = np.random.default_rng([data.protocol.split_seed, data.n_items]).permutation(data.n_items)
    cold, warm = np.isin(data.groups, cold_groups), data.groups == WARM
    return {name: order[chosen[order]] for name, chosen in (("cold", cold), ("warm", warm), ("all", cold | warm))}


def score(
    method: Method,
    data: ColdStartData,
    held_out: Interactions,
    masked: Sequence[Interactions],
    cold_group: int,
    metrics: Sequence[str],
) -> Evaluation:
    """Ranks every held-out row under the conditions that metrics name.

    Args:
        method: A trained `Recommender`.
        data: Items and protocol.
        held_out: Rows to rank.
        masked: Rows that are no candidates of their users.
        cold_group: The group of cold items that `held_out` is about.
        metrics: Names accepted by `take_apart`.

    Returns:
        Scores of the users with a held-out row; NaN where a user has no target under the condition.

    Raises:
        DivergedError: A score is NaN or infinite.
    """
    if not isinstance(method, Recommender):
        raise TypeError(f"task 'cold_start' scores a Recommender, but got {type(method).__name__}")
    parsed = [take_apart(name) for name in metrics]
    targets = group_by_user(held_out.users, held_out.items)
    mask = group_by_user(
        np.concatenate([rows.users for rows in masked]), np.concatenate([rows.items for rows in masked])
    )
    asked = {metric.condition for metric in parsed}
    ranked = {name: items for name, items in candidates(data, cold_group).items() if name in asked}
    with without_annotations(method):
        ranks = _ranks(method, targets, mask, ranked)
    rows = np.repeat(np.arange(len(targets.users)), np.diff(targets.offsets))
    scores: dict[str, np.ndarray] = {}
    for condition, items in ranked.items():
        inside = np.isin(targets.items, items)
        users, own = np.unique(rows[inside], return_inverse=True)
        bases = [metric.base for metric in parsed if metric.condition == condition]
        values = ranking.ranking_metrics(own, ranks[condition][inside], len(users), list(dict.fromkeys(bases)))
        for base, found in values.items():
            scores[f"{base}[{condition}]"] = np.full(len(targets.users), np.nan)
            scores[f"{base}[{condition}]"][users] = found
    return Evaluation(targets.users, {metric.name: scores[metric.name] for metric in parsed})


@contextmanager
def without_annotations(method: Method) -> Iterator[None]:
    """Takes the privileged words out of reach of a method, and of what it wraps, and gives them back afterwards."""
    parts = [part for part in method.modules() if isinstance(part, Method)]
    kept = [part.context for part in parts]
    try:
        for part in parts:
            if isinstance(part.context.data, ColdStartData):
                part.context = replace(part.context, data=part.context.data.without_annotations())
        yield
    finally:
        for part, context in zip(parts, kept, strict=True):
            part.context = context


def _ranks(
    method: Recommender, targets: UserRows, mask: UserRows, ranked: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns for each condition the (targets,) rank from 1 of each target, `NEVER` for what is no candidate."""
    device, block = block_of(method)
    place = {name: np.full(method.n_items, -1, dtype=np.int64) for name in ranked}
    for name, items in ranked.items():
        place[name][items] = np.arange(len(items))
    columns = {name: torch.from_numpy(items).to(device) for name, items in ranked.items()}
    found = {name: np.full(len(targets.items), ranking.NEVER, dtype=np.int64) for name in ranked}
    with scoring(method):
        for start in range(0, len(targets.users), block):
            users = targets.users[start : start + block]
            scores = finite(method.score(torch.from_numpy(users).to(device)), method)
            mask_rows(scores, users, mask)
            low, high = int(targets.offsets[start]), int(targets.offsets[min(start + block, len(targets.users))])
            rows = np.repeat(np.arange(len(users)), np.diff(targets.offsets[start : start + len(users) + 1]))
            for name, column in columns.items():
                places = place[name][targets.items[low:high]]
                among = scores.index_select(1, column)
                found[name][low:high] = ranks_of(among, rows, places, torch.empty_like(among))
    return found


TASK = ColdStartTask()
