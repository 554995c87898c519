"""Most-popular: the floor every method has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from bench.methods.base import Recommender

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context
    from bench.spec.config import MethodConfig


class MostPop(Recommender):
    """Ranks items by their number of training rows, the same for every user. Ties are the protocol's to break."""

    closed_form: ClassVar[bool] = True

    counts: Tensor

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.register_buffer("counts", torch.zeros(self.n_items, dtype=context.dtype))

    def fit(self) -> None:
        """Counts the training rows of each item."""
        counts = np.bincount(self.context.data.train.items, minlength=self.n_items)
        self.counts.copy_(torch.from_numpy(counts))

    def score(self, users: Tensor) -> Tensor:
        """Returns the (n, items) counts of training rows, the same row for every user."""
        return self.counts.repeat(users.numel(), 1)


METHOD = MostPop
