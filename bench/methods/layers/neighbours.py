"""Nearest neighbours of trained vectors, with gradients through the cosines. `bench.graph.knn` is for raw features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_SIMILARITIES = 1 << 22
"""Similarities held at a time: 16 MB in float32, reused from block to block."""


class Nearest(NamedTuple):
    """The k nearest rows of every row, itself among them.

    Attributes:
        items: (n, k) int64.
        cosines: (n, k) with gradients towards the vectors.
    """

    items: Tensor
    cosines: Tensor


def nearest(vectors: Tensor, k: int) -> Nearest:
    """Finds the k nearest rows by cosine, a block of rows at a time; only their cosines are differentiated.

    Args:
        vectors: (n, d).
        k: Neighbours of a row, itself included; all rows where there are fewer.
    """
    unit = functional.normalize(vectors, dim=1)
    count = len(unit)
    width = min(k, count)
    with torch.no_grad():
        items = torch.empty(count, width, dtype=torch.int64, device=unit.device)
        block = max(1, min(count, _SIMILARITIES // max(1, count)))
        buffer = unit.new_empty(block, count)
        for start in range(0, count, block):
            part = unit[start : start + block]
            similarity = torch.mm(part, unit.T, out=buffer[: len(part)])
            items[start : start + block] = similarity.topk(width, dim=1).indices
    cosines = (unit[:, None, :] * unit.index_select(0, items.flatten()).view(count, width, -1)).sum(-1)
    return Nearest(items, cosines)
