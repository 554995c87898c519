"""How fast vectors are noised: the β schedules of DreamRec's code (YangZhengyi98/DreamRec, `DreamRec.py`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from bench.methods.layers.vector_diffusion import VectorDiffusion

if TYPE_CHECKING:
    from torch import Tensor

BetaSchedule = Literal["exp", "cosine", "linear", "scaled_linear"]


def betas(kind: BetaSchedule, steps: int) -> Tensor:
    """Returns (T,) float64 β_1 … β_T.

    - `exp`: 1 − exp(−0.1 / T − (10 − 0.1) x_t / (2 T²)), x evenly from 1 to 2 T + 1;
    - `cosine`: 1 − f(t) / f(t − 1), f(t) = cos²((t / T + 0.008) / 1.008 · π / 2), within [1e-4, 0.9999];
    - `linear`: evenly from 1e-4 to 0.02 whatever T is, so that few steps leave much of the clean vector;
    - `scaled_linear`: the same times 1000 / T, at most 0.999.
    """
    if kind == "exp":
        places = torch.linspace(1, 2 * steps + 1, steps, dtype=torch.float64)
        return 1.0 - torch.exp(-0.1 / steps - places * 0.5 * (10.0 - 0.1) / steps**2)
    if kind == "cosine":
        places = torch.arange(steps + 1, dtype=torch.float64)
        kept = torch.cos((places / steps + 0.008) / 1.008 * math.pi / 2).square()
        return (1.0 - kept[1:] / kept[:-1]).clamp(1e-4, 0.9999)
    scale = 1000.0 / steps if kind == "scaled_linear" else 1.0
    return torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64).clamp(max=0.999)


class ScheduledDiffusion(VectorDiffusion):
    """A `VectorDiffusion` whose β follows a named schedule.

    Args:
        steps: T, at least 2.
        kind: See `betas`.
        dtype: Floating type.
    """

    def __init__(self, steps: int, kind: BetaSchedule, dtype: torch.dtype) -> None:
        super().__init__(steps, dtype)
        alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), (1.0 - betas(kind, steps)).cumprod(0)])
        self.alpha_bar = alpha_bar.to(dtype)
