"""DreamRec: generate the next item by guided diffusion (Yang et al., NeurIPS 2023, arXiv 2310.20453)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Loss, ScheduledConfig
from bench.methods.layers.beta_schedules import BetaSchedule, ScheduledDiffusion
from bench.methods.layers.sequences import TransformerEncoder, cut
from bench.methods.layers.vector_diffusion import Denoiser
from bench.methods.sequential_recommender import MAX_LENGTH, PADDING, SequenceBatch, SequentialRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


class LinearDenoiser(nn.Module):
    """W [x_t ; c ; τ(t)] + b → x̂_0, τ = Linear-GELU-Linear (d, 2 d, d) on sinusoids of t − 1 (the authors' `mlp1`).

    Args:
        dim: d, at least 4.
        dtype: Floating type.
    """

    frequencies: Tensor

    def __init__(self, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        half = dim // 2
        places = torch.arange(half, dtype=torch.float64)
        frequencies = torch.exp(-math.log(10_000.0) / (half - 1) * places)
        self.register_buffer("frequencies", frequencies.to(dtype), persistent=False)
        self.time = nn.Sequential(
            nn.Linear(2 * half, 2 * dim, dtype=dtype), nn.GELU(), nn.Linear(2 * dim, dim, dtype=dtype)
        )
        self.layer = nn.Linear(3 * dim, dim, dtype=dtype)

    def forward(self, noisy: Tensor, condition: Tensor, t: Tensor) -> Tensor:
        """Returns x̂_0, (B, d), from x_t and c, (B, d), and (B,) int64 steps from 1."""
        angles = (t - 1)[:, None].to(self.frequencies.dtype) * self.frequencies
        told = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        clean: Tensor = self.layer(torch.cat([noisy, condition, told], dim=1))
        return clean


class DreamRec(SequentialRecommender):
    """Draws an "oracle" item vector from noise, guided by the history, and ranks items by their likeness to it.

    x_0 is the vector of the next item (N(0, 1) at the start), c the newest state of a one-block transformer over the
    history, replaced by a learned vector with probability `null` in training. The loss is mean ‖x_0 − x̂_0(x_t, c, t)‖²
    without negatives, and the target is not detached. At test T steps lead from noise to an item vector: each takes
    x̂_0 = (1 + w) · x̂(c) − w · x̂(null) and draws from the posterior q(x_{t−1} | x_t, x̂_0), the last one its mean. The
    score of an item is its inner product with the outcome.

    Differences from the authors' code (YangZhengyi98/DreamRec) that no setting takes away:

    - every place of a user's last 51 training items is trained at once, where they draw rows of one history and its
      next item;
    - the encoder is SASRec's as RecBole has it: LayerNorm on the embeddings and after each residual sum, GELU within a
      width of 4 d, an output projection of the attention, N(0, 0.02) weights and positions. Theirs normalises queries
      before the attention but not keys and values, adds what was attended to the normalised queries, scales by √d
      whatever the heads, has no output projection, a ReLU layer of width d, one more LayerNorm before it and one at the
      end, torch's default weights and N(0, 1) positions;
    - the padding row is zero, is not trained and is not ranked;
    - the noise at test, of the start and of every step, is the same for all users and all evaluations of a run, so
      that a user's scores depend neither on who is scored beside nor on when. Each user's draw is distributed as
      theirs; draws of several users are not independent;
    - they print the test metrics for w = 0 … 10 and leave the choice to the reader; here w is a setting.
    """

    class Config(ScheduledConfig):
        """Settings of `dreamrec`; the defaults are those published for YooChoose, except for `heads` and `length`."""

        lr: Annotated[float, Choices(5e-5, 1e-4, 1e-3, 1e-2)] = 1e-3
        """AdamW's step size; 1e-3 on YooChoose, 5e-5 on KuaiRec, 0.01 on Zhihu."""
        batch_size: int = 256
        """Users in a batch."""
        optimiser: Literal["adam", "adamw"] = "adamw"
        """As published."""
        dim: int = Field(default=64, ge=4)
        """d, width of item vectors."""
        length: int = Field(default=MAX_LENGTH, ge=1, le=MAX_LENGTH)
        """Newest items that are looked at; 10 in the authors' data."""
        heads: int = 2
        """Heads of the transformer block; 1 in the authors' code."""
        dropout: float = 0.1
        """Dropout of the transformer block."""
        steps: Annotated[int, Choices(200, 500, 1000, 2000), Field(ge=2)] = 500
        """T, diffusion steps; 500 on YooChoose and Zhihu, 2000 on KuaiRec."""
        beta_schedule: Annotated[BetaSchedule, Choices("exp", "cosine", "linear")] = "exp"
        """How β rises: `exp` on YooChoose, `cosine` on KuaiRec, `linear` (1e-4 to 0.02) on Zhihu; `scaled_linear` is
        `linear` times 1000 / T, which reaches pure noise with few steps too."""
        denoiser: Literal["linear", "mlp"] = "linear"
        """`linear` as published (`mlp1`): one linear layer over vector, history and a small network of the step; `mlp`
        has three layers with SiLU, 4 d wide."""
        stochastic: bool = True
        """Whether each step at test but the last adds noise, as published; otherwise the posterior means are taken."""
        guidance: Annotated[float, Choices(0.0, 2.0, 4.0)] = 2.0
        """w, strength of guidance; 2 on YooChoose and KuaiRec, 4 on Zhihu."""
        null: float = Field(default=0.1, ge=0, le=1)
        """Share of training rows without guidance."""

    noise: Tensor

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.items = nn.Embedding(self.n_items + 1, config.dim, padding_idx=0)
        nn.init.normal_(self.items.weight)
        self.encoder = TransformerEncoder(
            config.dim,
            config.length,
            blocks=1,
            heads=config.heads,
            inner=4 * config.dim,
            dropout=config.dropout,
            attention_dropout=config.dropout,
        )
        self.nothing = nn.Parameter(torch.randn(config.dim))
        self.diffusion = ScheduledDiffusion(config.steps, config.beta_schedule, context.dtype)
        self.denoise: nn.Module = (
            LinearDenoiser(config.dim, context.dtype)
            if config.denoiser == "linear"
            else Denoiser(config.dim, config.dim, 4 * config.dim, context.dtype)
        )
        # Drawn once and saved with the weights: row t − 1 is the noise in x_t at test.
        self.register_buffer("noise", torch.randn(config.steps, config.dim))
        self.to(context.dtype)

    def loss(self, batch: SequenceBatch) -> Loss:
        """Returns the mean squared error of the denoised next item."""
        inputs, targets = cut(batch.inputs, self.config.length), cut(batch.targets, self.config.length)
        wanted = targets != PADDING
        states = self.encoder(self.items(inputs), inputs)[wanted]
        clean = self.items(targets[wanted])
        hidden = torch.rand(len(states), 1, device=states.device, dtype=states.dtype) < self.config.null
        t = self.diffusion.draw_steps(len(clean), 0.0, clean.device)
        noisy = self.diffusion.noised(clean, t, torch.randn_like(clean))
        found = self.denoise(noisy, torch.where(hidden, self.nothing, states), t)
        return Loss(functional.mse_loss(found, clean))

    def guided(self, noisy: Tensor, states: Tensor, t: Tensor) -> Tensor:
        """Returns (1 + w) · x̂(c) − w · x̂(null), (n, d), of x_t and c, (n, d), and (n,) steps."""
        found: Tensor = self.denoise(noisy, states, t)
        weight = self.config.guidance
        if weight:
            found = (1.0 + weight) * found - weight * self.denoise(noisy, self.nothing.expand_as(states), t)
        return found

    def score(self, histories: Tensor) -> Tensor:
        """Returns (n, items) inner products with the vector that T reverse steps lead to."""
        tokens = cut(histories, self.config.length)
        states = self.encoder(self.items(tokens), tokens)[:, -1]
        noisy = self.noise[-1].expand_as(states)
        for step in range(self.config.steps, 0, -1):
            t = torch.full((len(states),), step, dtype=torch.int64, device=states.device)
            reverse = self.diffusion.posterior(self.guided(noisy, states, t), noisy, t)
            noisy = reverse.mean
            if self.config.stochastic and step > 1:
                noisy = noisy + reverse.variance.sqrt() * self.noise[step - 2]
        return functional.linear(noisy, self.items.weight[1:])


METHOD = DreamRec
