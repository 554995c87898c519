"""The order in which training rows are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


class Shuffled:
    """Shuffled rows of an epoch. A last batch of one row joins the one before it: batch normalisation needs two.

    Args:
        rows: Number of rows.
        batch_size: Rows in a batch; the last of an epoch may be smaller, or larger by one.
        generator: CPU random stream.
    """

    def __init__(self, rows: int, batch_size: int, generator: torch.Generator) -> None:
        self.rows, self.batch_size, self.generator = rows, batch_size, generator

    def epoch(self) -> Iterator[np.ndarray]:
        """Yields (B,) int64 rows."""
        parts = list(torch.randperm(self.rows, generator=self.generator).split(self.batch_size))
        if len(parts) > 1 and self.batch_size > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        for part in parts:
            yield part.numpy()
