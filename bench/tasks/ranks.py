"""Ranks of target items among all items, in blocks of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bench.errors import DivergedError
from bench.metrics.ranking import NEVER
from bench.tasks.scoring import scoring

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Recommender
    from bench.methods.sequential_recommender import SequentialRecommender

SCORES_PER_BLOCK = 2_000_000
"""Scores held at a time; 8 MB in float32, about what a core's share of the cache holds."""


class UserRows(NamedTuple):
    """Interactions grouped by user: the items of user k of `users` are items[offsets[k]:offsets[k + 1]].

    Attributes:
        users: (n,) int64 ascending user ids.
        offsets: (n + 1,) int64.
        items: (rows,) int64.
    """

    users: np.ndarray
    offsets: np.ndarray
    items: np.ndarray


def group_by_user(users: np.ndarray, items: np.ndarray) -> UserRows:
    """Groups rows by user, keeping their order within a user."""
    order = np.argsort(users, kind="stable")
    ids, counts = np.unique(users, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return UserRows(ids.astype(np.int64), offsets.astype(np.int64), items[order].astype(np.int64))


def count_higher(scores: Tensor, rows: Tensor, targets: Tensor, buffer: Tensor) -> Tensor:
    """Counts the candidates ahead of each target: higher scores, and equal ones with a lower item id.

    Args:
        scores: (n, items) finite or -inf.
        rows: (t,) row of each target, all distinct.
        targets: (t,) item of each target.
        buffer: (≥ t, items) scratch of the scores' type; a reused buffer avoids a page fault for every page of every
            comparison.

    Returns:
        (t,) int64 counts.
    """
    whole = rows.numel() == scores.shape[0]
    block = scores if whole else scores.index_select(0, rows)
    at_target = block.gather(1, targets[:, None])
    work = buffer[: block.shape[0]]
    ones = torch.ones(work.shape[1], dtype=work.dtype, device=work.device)
    # Counts are sums of ones: exact in float32 up to 2**24 items.
    ahead = torch.gt(block, at_target, out=work).mv(ones).long()
    ties = torch.eq(block, at_target, out=work).mv(ones).long()
    tied = torch.nonzero(ties > 1).flatten()
    if tied.numel():
        equal = block[tied] == at_target[tied]
        lower = torch.arange(work.shape[1], device=work.device)[None, :] < targets[tied, None]
        ahead[tied] += (equal & lower).sum(1)
    return ahead


def block_of(method: Recommender | SequentialRecommender) -> tuple[torch.device, int]:
    """Returns where a method computes, and how many rows it scores at a time there."""
    device = next((tensor.device for tensor in (*method.parameters(), *method.buffers())), torch.device("cpu"))
    block = max(1, SCORES_PER_BLOCK // max(1, method.n_items))
    return device, block * (1 if device.type == "cpu" else 64)


def finite(scores: Tensor, method: Recommender | SequentialRecommender) -> Tensor:
    """Returns the scores a method gave.

    Raises:
        DivergedError: One is NaN or infinite.
    """
    if not bool(torch.isfinite(scores.sum())) and not bool(torch.isfinite(scores).all()):
        raise DivergedError(f"{type(method).__name__} gave scores that are not finite", epoch=0)
    return scores


def rank_targets(method: Recommender, targets: UserRows, masked: UserRows) -> np.ndarray:
    """Ranks every target of every user among all items.

    Args:
        method: A trained method; `begin_scoring` is called here.
        targets: Held-out items of the users to score.
        masked: Items that are no candidates, by user (users without a row mask nothing).

    Returns:
        (targets rows,) int64 ranks from 1, in the order of `targets.items`; `NEVER` for a target that is masked itself.

    Raises:
        DivergedError: A score is NaN or infinite.
    """
    device, block = block_of(method)
    ranks = np.empty(len(targets.items), dtype=np.int64)
    buffer: Tensor | None = None
    with scoring(method):
        for start in range(0, len(targets.users), block):
            users = targets.users[start : start + block]
            scores = finite(method.score(torch.from_numpy(users).to(device)), method)
            if buffer is None or buffer.dtype != scores.dtype:
                buffer = torch.empty_like(scores)
            mask_rows(scores, users, masked)
            low, high = targets.offsets[start], targets.offsets[min(start + block, len(targets.users))]
            rows = np.repeat(np.arange(len(users)), np.diff(targets.offsets[start : start + len(users) + 1]))
            ranks[low:high] = ranks_of(scores, rows, targets.items[low:high], buffer)
    return ranks


def mask_rows(scores: Tensor, users: np.ndarray, masked: UserRows) -> None:
    """Takes the masked items of some users out of their candidates, in place.

    Args:
        scores: (n, items), a row per user.
        users: (n,) their ids.
        masked: Items by user; users without a row mask nothing.
    """
    if not len(masked.users):
        return
    place = np.minimum(np.searchsorted(masked.users, users), len(masked.users) - 1)
    found = masked.users[place] == users
    starts = np.where(found, masked.offsets[place], 0)
    counts = np.where(found, masked.offsets[place + 1] - starts, 0)
    rows = np.repeat(np.arange(len(users)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    items = masked.items[np.repeat(starts, counts) + within]
    scores[torch.from_numpy(rows).to(scores.device), torch.from_numpy(items).to(scores.device)] = -torch.inf


def ranks_of(scores: Tensor, rows: np.ndarray, columns: np.ndarray, buffer: Tensor) -> np.ndarray:
    """Ranks targets among the candidates of their rows.

    Args:
        scores: (n, candidates) finite or -inf.
        rows: (t,) int64 row of each target, ascending.
        columns: (t,) int64 column of each target; below 0 for what is no candidate.
        buffer: (≥ n, candidates) scratch of the scores' type.

    Returns:
        (t,) int64 ranks from 1; `NEVER` for what is no candidate or has the score -inf.
    """
    ranks = np.full(len(rows), NEVER, dtype=np.int64)
    inside = np.flatnonzero(columns >= 0)
    first = np.searchsorted(rows[inside], rows[inside])
    nth = np.arange(len(inside)) - first
    # Users have few targets each: the k-th targets of all users are ranked together, so each pass reads every row once.
    for k in range(int(nth.max(initial=-1)) + 1):
        chosen = inside[nth == k]
        row = torch.from_numpy(rows[chosen]).to(scores.device)
        column = torch.from_numpy(columns[chosen]).to(scores.device)
        ahead = count_higher(scores, row, column, buffer)
        reachable = torch.isfinite(scores[row, column])
        ranks[chosen] = torch.where(reachable, ahead + 1, NEVER).cpu().numpy()
    return ranks
