"""Denoising diffusion of vectors (Ho et al. 2020, arXiv 2006.11239; DDIM: Song et al. 2021, arXiv 2010.02502)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


class Gaussian(NamedTuple):
    """A normal distribution with independent components.

    Attributes:
        mean: (B, d).
        variance: (B, 1).
    """

    mean: Tensor
    variance: Tensor


class VectorDiffusion(nn.Module):
    """The forward process and its reversal for (B, d) vectors; no weights.

    β rises linearly from 1e-4 · 1000 / T to 0.02 · 1000 / T (at most 0.999), so that ᾱ_T is about 0 whatever T is.
    ᾱ_t = Π_{i ≤ t} (1 − β_i) and ᾱ_0 = 1: step 0 is the clean vector.

    Args:
        steps: T, at least 2.
        dtype: Floating type.
    """

    alpha_bar: Tensor

    def __init__(self, steps: int, dtype: torch.dtype) -> None:
        super().__init__()
        if steps < 2:
            raise ValueError(f"`steps >= 2` must hold, but got {steps}")
        self.steps = steps
        scale = 1000.0 / steps
        beta = torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64).clamp(max=0.999)
        alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), (1.0 - beta).cumprod(0)])
        self.register_buffer("alpha_bar", alpha_bar.to(dtype), persistent=False)

    def draw_steps(self, count: int, power: float, device: torch.device) -> Tensor:
        """Draws (count,) int64 steps in 1..T with density about t^power; 0 is uniform."""
        uniform = torch.rand(count, device=device, dtype=torch.float64)
        return (uniform.pow(1.0 / (1.0 + power)) * self.steps).floor().long().clamp(max=self.steps - 1) + 1

    def noised(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Returns s_t = √ᾱ_t s_0 + √(1 − ᾱ_t) ε for (B, d) vectors and (B,) steps in 0..T."""
        alpha_bar = self.alpha_bar[t][:, None]
        return alpha_bar.sqrt() * clean + (1.0 - alpha_bar).sqrt() * noise

    def posterior(self, clean: Tensor, noisy: Tensor, t: Tensor) -> Gaussian:
        """Returns q(s_{t−1} | s_t, s_0), equations 6 and 7 of Ho et al., for steps in 1..T."""
        now, before = self.alpha_bar[t][:, None], self.alpha_bar[t - 1][:, None]
        beta = 1.0 - now / before
        mean = (before.sqrt() * beta * clean + (1.0 - beta).sqrt() * (1.0 - before) * noisy) / (1.0 - now)
        return Gaussian(mean, (1.0 - before) / (1.0 - now) * beta)

    def ddim(self, predict: Callable[[Tensor, Tensor], Tensor], noisy: Tensor, *, start: int, steps: int) -> Tensor:
        """Walks from s_start to s_0 without fresh noise (η = 0).

        At each step ŝ_0 = predict(s_t, t), ε̂ = (s_t − √ᾱ_t ŝ_0) / √(1 − ᾱ_t), and
        s_{t'} = √ᾱ_{t'} ŝ_0 + √(1 − ᾱ_{t'}) ε̂.

        Args:
            predict: From (B, d) and (B,) int64 steps to ŝ_0.
            noisy: s_start, (B, d).
            start: Step to start from, in 1..T.
            steps: Predictions to make; at most `start` are made.

        Returns:
            (B, d): the last ŝ_0.
        """
        count = min(steps, start)
        times = [start - (start - 1) * i // max(count - 1, 1) for i in range(count)]
        for now, then in zip(times, [*times[1:], 0], strict=True):
            clean = predict(noisy, torch.full((noisy.shape[0],), now, dtype=torch.int64, device=noisy.device))
            alpha_bar, after = self.alpha_bar[now], self.alpha_bar[then]
            noise = (noisy - alpha_bar.sqrt() * clean) / (1.0 - alpha_bar).sqrt()
            noisy = after.sqrt() * clean + (1.0 - after).sqrt() * noise
        return noisy


class Denoiser(nn.Module):
    """f_θ([s_t ; x ; temb(t)]) → ŝ_0: an MLP of three layers with SiLU.

    Args:
        width: d of the vectors.
        condition: Width of x.
        hidden: Width of the two inner layers.
        dtype: Floating type.
        time: Width of the sinusoidal embedding of t; even. 0 leaves t out.
    """

    frequencies: Tensor

    def __init__(self, width: int, condition: int, hidden: int, dtype: torch.dtype, *, time: int = 32) -> None:
        super().__init__()
        half = time // 2
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, dtype=torch.float64) / max(half, 1))
        self.register_buffer("frequencies", frequencies.to(dtype), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(width + condition + time, hidden, dtype=dtype),
            nn.SiLU(),
            nn.Linear(hidden, hidden, dtype=dtype),
            nn.SiLU(),
            nn.Linear(hidden, width, dtype=dtype),
        )

    def forward(self, noisy: Tensor, condition: Tensor, t: Tensor) -> Tensor:
        """Returns ŝ_0, (B, width).

        Args:
            noisy: s_t, (B, width).
            condition: x, (B, condition).
            t: (B,) int64.
        """
        angles = t[:, None].to(self.frequencies.dtype) * self.frequencies
        clean: Tensor = self.layers(torch.cat([noisy, condition, angles.sin(), angles.cos()], dim=1))
        return clean
