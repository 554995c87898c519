"""Diffusion over users' interaction rows (DiffRec, Wang et al., SIGIR 2023, arXiv 2304.04971), shared by its heirs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from bench.methods.layers.histories import Histories

KEPT_LOSSES = 10
"""Losses remembered per step by `StepSampler`."""
UNIFORM_SHARE = 0.001
"""Share of the uniform distribution in the sampled one."""


class Schedule(nn.Module):
    """Noise of T steps, counted from 0: x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

    Everything is kept in float64: in float32 the loss weights are off by a thousandth. Buffers, none of them saved.

    Args:
        betas: (T,) float64 β_t.
    """

    alpha_bar: Tensor
    keep: Tensor
    back: Tensor
    weight: Tensor

    def __init__(self, betas: np.ndarray) -> None:
        super().__init__()
        alpha = 1.0 - betas
        alpha_bar = np.cumprod(alpha)
        before = np.concatenate([[1.0], alpha_bar[:-1]])
        noise = 1.0 - alpha_bar
        noisy = noise > 0
        safe = np.where(noisy, noise, 1.0)
        signal = alpha_bar / safe
        buffers = {
            "alpha_bar": alpha_bar,
            # The mean of q(x_{t-1} | x_t, x_0) is keep · x_0 + back · x_t; without noise it is x_0.
            "keep": np.where(noisy, betas * np.sqrt(before) / safe, 1.0),
            "back": np.where(noisy, (1.0 - before) * np.sqrt(alpha) / safe, 0.0),
            "weight": np.concatenate([[1.0], signal[:-1] - signal[1:]]),
        }
        for name, values in buffers.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    @classmethod
    def linear_variance(cls, steps: int, low: float, high: float, *, first_beta: float | None = None) -> Schedule:
        """Lets 1 − ᾱ grow linearly from `low` to `high`.

        Args:
            steps: T.
            low: 1 − ᾱ of the first step.
            high: 1 − ᾱ of the last step.
            first_beta: Put in place of the first β before ᾱ is computed, so that ᾱ is no longer exactly linear
                (1e-5 in DiffRec, 1e-4 in DiffMM); None leaves it.
        """
        alpha_bar = 1.0 - np.linspace(low, high, steps)
        betas = np.concatenate([[1.0 - alpha_bar[0]], np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999)])
        if first_beta is not None:
            betas[0] = first_beta
        return cls(betas)

    @property
    def steps(self) -> int:
        """T."""
        return self.alpha_bar.numel()

    def noisy(self, clean: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """Returns x_t from (B, n) x_0, (B,) int64 steps and (B, n) standard normal noise."""
        alpha_bar = self.alpha_bar[steps]
        signal, spread = alpha_bar.sqrt().to(clean.dtype), (1.0 - alpha_bar).sqrt().to(clean.dtype)
        return (spread[:, None] * noise).addcmul_(signal[:, None], clean)

    def weights(self, steps: Tensor, dtype: torch.dtype) -> Tensor:
        """Returns (B,) SNR(t − 1) − SNR(t), and 1 at step 0 (equation 10 and its code)."""
        return self.weight[steps].to(dtype)


def time_embedding(steps: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Returns (n, width) [cos(t f) ; sin(t f)] of (n,) steps, f falling geometrically from 1 towards 1e-4."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=dtype, device=steps.device) / half)
    angles = steps[:, None].to(dtype) * frequencies
    return functional.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, width % 2))


def normal_init(layer: nn.Linear) -> nn.Linear:
    """Draws weights from N(0, 2 / (inputs + outputs)) and biases from N(0, 1e-6), as DiffRec does."""
    with torch.no_grad():
        layer.weight.normal_(0.0, math.sqrt(2.0 / sum(layer.weight.shape)))
        if layer.bias is not None:
            layer.bias.normal_(0.0, 1e-3)
    return layer


def drop_entries(x: Tensor, share: float) -> Tensor:
    """Dropout by a comparison with uniform numbers, several times as fast on a CPU as torch's Bernoulli draws."""
    if share == 0.0:
        return x
    return (torch.rand_like(x) >= share).to(x.dtype).mul_(1.0 / (1.0 - share)).mul_(x)


class StepSampler(nn.Module):
    """Draws diffusion steps in proportion to the root mean square of their last losses.

    Uniform until every step has `KEPT_LOSSES` losses. The memory is saved with the weights.

    Args:
        steps: T.
    """

    losses: Tensor
    counts: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.register_buffer("losses", torch.zeros(steps, KEPT_LOSSES, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(steps, dtype=torch.int64))

    def probabilities(self) -> Tensor:
        """Returns the (T,) float64 probabilities of the steps."""
        steps = self.counts.numel()
        if bool((self.counts < KEPT_LOSSES).any()):
            return self.losses.new_full((steps,), 1.0 / steps)
        size = self.losses.square().mean(1).sqrt()
        return (1.0 - UNIFORM_SHARE) * size / size.sum() + UNIFORM_SHARE / steps

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Draws from the global random stream.

        Returns:
            (count,) int64 steps and (count,) float64 p_t · T, by which a loss is divided to stay unbiased.
        """
        probabilities = self.probabilities()
        steps = torch.multinomial(probabilities, count, replacement=True)
        return steps, probabilities[steps] * probabilities.numel()

    def record(self, steps: Tensor, losses: Tensor) -> None:
        """Remembers (n,) losses of (n,) steps, in that order."""
        order = torch.argsort(steps, stable=True)
        found, counts = steps.unique(return_counts=True)
        values = losses.detach()[order].to(self.losses).split(counts.tolist())
        for step, fresh in zip(found.tolist(), values, strict=True):
            old = self.losses[step, : int(self.counts[step])]
            last = torch.cat([old, fresh])[-KEPT_LOSSES:]
            self.losses[step, : len(last)] = last
            self.counts[step] = len(last)


class Reverse(NamedTuple):
    """A denoiser's output layer followed by its input layer, for steps that never leave the hidden layer.

    Attributes:
        kernel: (hidden, hidden).
        offset: (hidden,).
    """

    kernel: Tensor
    offset: Tensor


class Denoiser(nn.Module):
    """DiffRec's network: x̂_0 = V tanh(W [Drop(x_t) ; E τ(t)] + b) + c.

    Args:
        n_items: Width of a row.
        hidden: Units of the hidden layer.
        time_width: Width of the time embedding τ.
        dropout: Share of the row's entries set to 0 in training.
        dtype: Floating type.
    """

    def __init__(self, n_items: int, hidden: int, time_width: int, dropout: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.time_width = time_width
        # W by columns: a row of `read` per item, so that a history is read by summing rows.
        spread = math.sqrt(2.0 / (n_items + time_width + hidden))
        self.read = nn.Parameter(torch.empty(n_items, hidden, dtype=dtype).normal_(0.0, spread))
        self.read_time = nn.Parameter(torch.empty(time_width, hidden, dtype=dtype).normal_(0.0, spread))
        self.read_bias = nn.Parameter(torch.empty(hidden, dtype=dtype).normal_(0.0, 1e-3))
        self.time = normal_init(nn.Linear(time_width, time_width, dtype=dtype))
        self.write = normal_init(nn.Linear(hidden, n_items, dtype=dtype))
        self.dropout = dropout

    def hidden(self, projected: Tensor, steps: Tensor) -> Tensor:
        """Returns the (B, hidden) units from x_t W and (B,) or (1,) steps."""
        embedded = self.time(time_embedding(steps, self.time_width, projected.dtype))
        return torch.tanh(projected + torch.addmm(self.read_bias, embedded, self.read_time))

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        """Returns x̂_0, (B, items), from x_t and (B,) int64 steps."""
        dropped = drop_entries(x, self.dropout) if self.training else x
        predicted: Tensor = self.write(self.hidden(dropped @ self.read, steps))
        return predicted

    def reverse(self) -> Reverse:
        """Prepares `denoise` for the current weights."""
        return Reverse(self.write.weight.T @ self.read, self.write.bias @ self.read)

    def project(self, histories: Histories) -> Tensor:
        """Returns x_0 W of binary rows, (B, hidden)."""
        return functional.embedding_bag(
            histories.items, self.read, histories.indptr, mode="sum", include_last_offset=True
        )

    def denoise(self, projected: Tensor, schedule: Schedule, reverse: Reverse) -> Tensor:
        """Takes all reverse steps to the posterior mean, T − 1 down to 0.

        The network is linear on both sides of its hidden layer, so x_t is only ever needed as x_t W: all steps but the
        last cost a (hidden, hidden) product in place of two with all items. The same numbers as step by step.

        Args:
            projected: (B, hidden) x_T W, of clean or noisy rows.
            schedule: The steps.
            reverse: Made from the current weights.

        Returns:
            (B, items).
        """
        for step in range(schedule.steps - 1, 0, -1):
            hidden = self.hidden(projected, torch.tensor([step], device=projected.device))
            predicted = torch.addmm(reverse.offset, hidden, reverse.kernel)
            projected = float(schedule.keep[step]) * predicted + float(schedule.back[step]) * projected
        scores: Tensor = self.write(self.hidden(projected, torch.zeros(1, dtype=torch.int64, device=projected.device)))
        return scores


def row_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Returns the (B,) mean squared errors of (B, n) rows."""
    return functional.mse_loss(predicted, target, reduction="none").mean(1)
