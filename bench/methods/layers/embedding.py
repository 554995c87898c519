"""Methods whose score is an inner product of a user and an item representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.graph.propagate import propagate
from bench.methods.base import Recommender

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.graph.view import View


class Representation(NamedTuple):
    """Final representations.

    Attributes:
        users: (users, d).
        items: (items, d).
    """

    users: Tensor
    items: Tensor


class EmbeddingRecommender(Recommender):
    """A recommender with score e_u · e_i; subclasses override `represent` and `loss`."""

    scoring: Representation | None = None

    def represent(self) -> Representation:
        """Returns the representations used for scoring, with gradients in training mode."""
        raise TypeError(f"{type(self).__name__} must override represent")

    def begin_scoring(self) -> None:
        """Computes the representations once for a series of `score` calls."""
        users, items = self.represent()
        self.scoring = Representation(users.detach(), items.detach())

    def score(self, users: Tensor) -> Tensor:
        """Returns (n, items) inner products for (n,) user ids."""
        if self.scoring is None:
            self.begin_scoring()
        assert self.scoring is not None  # noqa: S101 - set by begin_scoring
        return take(self.scoring.users, users) @ self.scoring.items.T


def table(
    rows: int, dim: int, dtype: torch.dtype, *, init: Callable[[Tensor], Tensor] = nn.init.xavier_uniform_
) -> nn.Parameter:
    """Returns a (rows, dim) trainable table, Xavier-uniform unless told otherwise."""
    return nn.Parameter(init(torch.empty(rows, dim, dtype=dtype)))


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Returns rows[index]; `index_select`, whose backward pass is an index_add and not a sort."""
    return rows.index_select(0, index)


def layer_mean(view: View, start: Tensor, layers: int) -> Tensor:
    """LightGCN propagation: the mean of E⁰ … Eᴸ with Eˡ⁺¹ = Â Eˡ (He et al., SIGIR 2020, equations 7 and 8).

    Args:
        view: (n, n) normalised graph.
        start: (n, d) layer 0.
        layers: L.
    """
    total = current = start
    for _ in range(layers):
        current = propagate(view, current)
        total = total + current
    return total / (layers + 1)
