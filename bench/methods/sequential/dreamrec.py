"""DreamRec: generate the next item by guided diffusion (Yang et al., NeurIPS 2023, arXiv 2310.20453)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Loss, ScheduledConfig
from bench.methods.layers.sequences import TransformerEncoder, cut
from bench.methods.layers.vector_diffusion import Denoiser, VectorDiffusion
from bench.methods.sequential_recommender import PADDING, SequenceBatch, SequentialRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


class DreamRec(SequentialRecommender):
    """Draws an "oracle" item vector from noise, guided by the history, and ranks items by their likeness to it.

    x_0 is the vector of the next item (N(0, 1) at the start), c the newest state of a one-block transformer over the
    history, replaced by a learned vector with probability `null` in training. The loss is mean ‖x_0 − x̂_0(x_t, c, t)‖²
    without negatives. At test T steps lead from noise to x̂_0 = (1 + w) · x̂(c) − w · x̂(null), and the score of an item
    is its inner product with the outcome. Differences from the authors' code: their denoiser is a single linear layer
    and here an MLP, every place of a sequence is trained at once, the noise at test is one vector for all users (so
    that a user's scores do not depend on who is scored beside), and no padding row is ranked.
    """

    class Config(ScheduledConfig):
        """Settings of `dreamrec`."""

        batch_size: int = 256
        """Users in a batch."""
        optimiser: Literal["adam", "adamw"] = "adamw"
        """As published."""
        dim: int = 64
        """d, width of item vectors."""
        length: int = 50
        """Newest items that are looked at; 10 in the authors' data."""
        heads: int = 2
        """Heads of the transformer block."""
        dropout: float = 0.1
        """Dropout of the transformer block."""
        steps: Annotated[int, Choices(200, 500, 1000)] = 500
        """T, diffusion steps; 500 on YooChoose and Zhihu, 2000 on KuaiRec."""
        guidance: Annotated[float, Choices(0.0, 2.0, 4.0)] = 2.0
        """w, strength of guidance."""
        null: float = 0.1
        """Share of training rows without guidance."""

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
        self.diffusion = VectorDiffusion(config.steps, context.dtype)
        self.denoise = Denoiser(config.dim, config.dim, 4 * config.dim, context.dtype)
        start = torch.randn(1, config.dim)
        self.register_buffer("start", start)
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

    def score(self, histories: Tensor) -> Tensor:
        """Returns (n, items) inner products with the vector that T posterior means lead to."""
        tokens = cut(histories, self.config.length)
        states = self.encoder(self.items(tokens), tokens)[:, -1]
        nothing = self.nothing.expand_as(states)
        noisy = torch.as_tensor(self.start).expand_as(states)
        weight = self.config.guidance
        for step in range(self.config.steps, 0, -1):
            t = torch.full((len(states),), step, dtype=torch.int64, device=states.device)
            found = self.denoise(noisy, states, t)
            if weight:
                found = (1.0 + weight) * found - weight * self.denoise(noisy, nothing, t)
            noisy = self.diffusion.posterior(found, noisy, t).mean
        return functional.linear(noisy, self.items.weight[1:])


METHOD = DreamRec
