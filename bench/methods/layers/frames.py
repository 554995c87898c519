"""Content of items that come as several frames: what to keep of them, and the context of their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping


class RefinedFrames(NamedTuple):
    """Content of all items.

    Attributes:
        content: (I, d); zero for items without frames.
        context: (I, d) temporal context g; zero where the order of frames does not count.
    """

    content: Tensor
    context: Tensor


class FrameContent(nn.Module):
    """Weighs the frames of every item (MealRec's temporal correlation, RECONSTRUCTED).

    f_k = W F_k + pos_k; g is the last state of a GRU over f_1 … f_m; δ_k = 1 − cos(f_k, f_{k−1}), δ_1 = 1, is what is
    new in a frame; ω = softmax_k(κ · (δ_k + cos(f_k, g))) and v⁰ = Σ_k ω_k f_k. Without temporal guidance v⁰ is the
    mean of W F_k and g is zero, so that the order of frames changes nothing. Several modalities are put side by side.

    Args:
        frames: Modality to (I, m, D) frames, or (I, D) for one; an item whose vectors are all zero has no content.
        dim: d.
        temporal: Whether the order counts.
        sharpness: κ.
        dtype: Floating type.
    """

    frames: Tensor
    present: Tensor

    def __init__(
        self, frames: Mapping[str, np.ndarray], dim: int, *, temporal: bool, sharpness: float, dtype: torch.dtype
    ) -> None:
        super().__init__()
        arrays = [np.asarray(part, dtype=np.float32) for part in frames.values()]
        longest = max(part.shape[1] if part.ndim == 3 else 1 for part in arrays)
        arrays = [part if part.ndim == 3 else np.repeat(part[:, None], longest, axis=1) for part in arrays]
        short = min(part.shape[1] for part in arrays)
        joined = np.concatenate([part[:, :short] for part in arrays], axis=2)
        present = np.abs(joined).sum(axis=(1, 2)) > 0
        # Columns of unlike scale would drown each other in W F.
        known = joined[present].reshape(-1, joined.shape[2])
        scaled = (joined - known.mean(0)) / np.maximum(known.std(0), 1e-6)
        self.register_buffer("frames", torch.from_numpy(scaled).to(dtype), persistent=False)
        self.register_buffer("present", torch.from_numpy(present).to(dtype), persistent=False)
        self.temporal, self.sharpness = temporal, sharpness
        self.project = nn.Linear(joined.shape[2], dim)
        if temporal:
            self.positions = nn.Parameter(torch.zeros(short, dim))
            self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self) -> RefinedFrames:
        """Returns the clean content v⁰ and the context g of all items."""
        found = self.project(self.frames)
        mask = self.present[:, None]
        if not self.temporal:
            return RefinedFrames(found.mean(1) * mask, torch.zeros_like(found[:, 0]))
        found = found + self.positions
        context = self.gru(found)[1][-1]
        fresh = 1.0 - functional.cosine_similarity(found[:, 1:], found[:, :-1], dim=2)
        fresh = functional.pad(fresh, (1, 0), value=1.0)
        salience = fresh + functional.cosine_similarity(found, context[:, None], dim=2)
        weights = torch.softmax(self.sharpness * salience, dim=1)
        return RefinedFrames((weights[:, :, None] * found).sum(1) * mask, context * mask)
