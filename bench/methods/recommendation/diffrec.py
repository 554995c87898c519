"""DiffRec (Wang et al., SIGIR 2023, arXiv 2304.04971)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field

from bench.methods.base import Loss, ScheduledConfig
from bench.methods.layers.diffusion import Denoiser, Reverse, Schedule, StepSampler, row_errors
from bench.methods.layers.history_batch import HistoryBatch, HistoryRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context

FIRST_BETA = 1e-5


class DiffRec(HistoryRecommender):
    """Diffusion over users' interaction rows: noise them a little, learn to undo it, read the undone row as scores.

    Formulas follow the authors' code (YiyanXu/DiffRec at d35a6c6, folder `DiffRec`): it predicts x_0, draws steps in
    proportion to their losses, and at inference takes T reverse steps from the clean row. The code's settings are T 100
    and noise 0.1; the default of 5 steps is that of its published models for Amazon-book and Yelp.
    """

    batches_of: ClassVar[str] = "histories"

    class Config(ScheduledConfig):
        """Settings of `diffrec`; defaults of the authors' main.py and, in the choices, of their published models."""

        lr: Annotated[float, Choices(1e-5, 5e-5, 1e-4, 1e-3)] = 1e-4
        """AdamW's step size."""
        optimiser: Literal["adam", "adamw"] = "adamw"
        """The code uses AdamW, without weight decay."""
        batch_size: int = 400
        """Users in a batch."""
        hidden: int = 1000
        """Units of the hidden layer."""
        time_width: int = 10
        """Width of the time embedding."""
        dropout: float = 0.5
        """Share of the noisy row's entries set to 0 in training."""
        steps: Annotated[int, Choices(5, 10, 40, 100), Field(ge=1)] = 5
        """T, diffusion steps."""
        noise_scale: Annotated[float, Choices(1e-4, 5e-3, 1e-2, 1e-1), Field(gt=0)] = 1e-1
        """s: 1 − ᾱ grows from s · noise_min to s · noise_max."""
        noise_min: Annotated[float, Choices(1e-4, 5e-4, 1e-3, 5e-3), Field(gt=0)] = 1e-4
        """See noise_scale."""
        noise_max: Annotated[float, Choices(5e-3, 1e-2, 2e-2)] = 2e-2
        """See noise_scale."""
        reweight: bool = True
        """Weigh errors by SNR(t − 1) − SNR(t), the code's default; several published models do not."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        low, high = config.noise_scale * config.noise_min, config.noise_scale * config.noise_max
        self.schedule = Schedule.linear_variance(config.steps, low, high, first_beta=FIRST_BETA)
        self.sampler = StepSampler(config.steps)
        self.denoiser = Denoiser(self.n_items, config.hidden, config.time_width, config.dropout, context.dtype)
        self._reverse: Reverse | None = None

    def errors(self, clean: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """Returns the (B,) weighted errors of (B, items) rows at (B,) steps under (B, items) noise."""
        errors = row_errors(self.denoiser(self.schedule.noisy(clean, steps, noise), steps), clean)
        return self.schedule.weights(steps, errors.dtype) * errors if self.config.reweight else errors

    def loss(self, batch: HistoryBatch) -> Loss:
        """Returns the mean of the users' errors, each over p_t · T."""
        clean = batch.dense(self.n_items, self.denoiser.read.dtype)
        steps, share = self.sampler.draw(len(clean))
        errors = self.errors(clean, steps, torch.randn_like(clean))
        self.sampler.record(steps, errors)
        return Loss((errors / share.to(errors.dtype)).mean())

    def begin_scoring(self) -> None:
        """Prepares the reverse steps."""
        self._reverse = self.denoiser.reverse()

    def score(self, users: Tensor) -> Tensor:
        """Returns the (n, items) rows after T reverse steps from the clean ones."""
        reverse = self._reverse or self.denoiser.reverse()
        return self.denoiser.denoise(self.denoiser.project(self.batch_of(users).histories), self.schedule, reverse)


METHOD = DiffRec
