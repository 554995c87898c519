"""LD4MRec (arXiv 2309.15363). RECONSTRUCTED: no code is published and only the abstracts were at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.sparse.linalg import svds
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Context, Loss, Needs, ScheduledConfig
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.diffusion import (
    Schedule,
    StepSampler,
    drop_entries,
    normal_init,
    row_errors,
    time_embedding,
)
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch, HistoryRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.data.types import RecommendationData


class ConditionalBlock(nn.Module):
    """h ← h + L₂ Drop(GELU(L₁(LN(h) ⊙ (1 + A g) + B g))), g a condition.

    Args:
        width: Of h and g.
        dropout: Share of units dropped.
        dtype: Floating type.
    """

    def __init__(self, width: int, dropout: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, dtype=dtype)
        self.scale, self.shift = (normal_init(nn.Linear(width, width, dtype=dtype)) for _ in range(2))
        self.first = normal_init(nn.Linear(width, width, dtype=dtype))
        self.second = nn.Linear(width, width, dtype=dtype)
        # A block starts as the identity; otherwise the first epochs go into making its output small again.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Returns the changed h, both (B, width)."""
        modulated = self.norm(h) * (1.0 + self.scale(condition)) + self.shift(condition)
        changed: Tensor = h + self.second(self.drop(functional.gelu(self.first(modulated))))
        return changed


class LD4MRec(HistoryRecommender, ContentRecommender):
    """Light diffusion: a conditioned network reads future behaviour straight off the observed row, in one pass.

    RECONSTRUCTED. Known from the abstracts and from notes of others: rows are noised as in DiffRec; the network (C-Net,
    blocks "BD" then "BI") is told a collaborative signal, the truncated SVD of the training matrix, c_u = U_k Σ_k^½,
    and a modality preference e_{u,m} = Σ_{i ∈ N_u} x_{i,m} / √(|N_u| |N_i|); clean behaviour is not observable, so the
    target is softened; inference takes one pass with a learned time t_in. Chosen here: rows of length 1 with dropout
    as input; BD blocks told c_u and BI blocks the modalities' preferences, weighed by a softmax; features of length 1;
    blocks that start as the identity; and t_in, which an earlier re-implementation never trains, stands for the clean
    row in 1 of T + 1 draws.

    As noise vanishes (s → 0), a trained model ranks in one pass as by its reverse step where T = 1. Where T > 1 it does
    so roughly: a reverse step weighs x̂_0 against x_t by the ratio of two noise levels, which s leaves as it is, and the
    C-Net reads its own x̂_0 again.

    Under an adapter an item's ID embedding is its row in the output layer.
    """

    batches_of: ClassVar[str] = "histories"
    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(ScheduledConfig):
        """Settings of `ld4mrec`. No published ones were found: RECONSTRUCTED, around DiffRec's."""

        lr: Annotated[float, Choices(5e-5, 1e-4, 5e-4, 1e-3)] = 1e-3
        """Adam's step size."""
        batch_size: int = 400
        """Users in a batch."""
        hidden: Annotated[int, Choices(256, 1000)] = 256
        """Width of C-Net."""
        blocks: Annotated[int, Choices(1, 2, 3), Field(ge=0)] = 1
        """BD blocks, and as many BI blocks."""
        dropout: Annotated[float, Choices(0.1, 0.5)] = 0.5
        """Of the input row and inside the blocks."""
        time_width: int = 10
        """Width of the time embedding."""
        steps: Annotated[int, Choices(5, 10, 40), Field(ge=1)] = 5
        """T, diffusion steps in training."""
        noise_scale: Annotated[float, Choices(0.01, 0.1, 1.0), Field(ge=0)] = 0.1
        """s: 1 − ᾱ grows from s · noise_min to s · noise_max; 0 adds no noise."""
        noise_min: float = 1e-4
        """See noise_scale."""
        noise_max: float = 2e-2
        """See noise_scale."""
        inference_steps: int = Field(default=1, ge=1)
        """1: one pass with t_in. More: that many reverse steps from the clean row, at most T, as DiffRec infers."""
        collaborative: bool = True
        """Whether C-Net is told the collaborative signal."""
        rank: Annotated[int, Choices(64, 128, 256), Field(ge=1)] = 64
        """k of the truncated SVD."""
        preference: bool = True
        """Whether C-Net is told the modality preference."""
        soften: Annotated[float, Choices(0.1, 0.3, 0.5), Field(ge=0, le=1)] = 0.1
        """p, share of users (see soften_entries) whose target is (1 − γ) x + γ (1 − x) in place of x."""
        smoothing: Annotated[float, Choices(0.01, 0.05, 0.1), Field(ge=0, le=1)] = 0.01
        """γ, see soften."""
        soften_entries: bool = False
        """Draw p for each entry in place of each user."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        width, dtype = config.hidden, context.dtype
        spread = math.sqrt(2.0 / (self.n_items + width))
        self.items = nn.Parameter(torch.empty(self.n_items, width, dtype=dtype).normal_(0.0, spread))
        self.item_bias = nn.Parameter(torch.empty(self.n_items, dtype=dtype).normal_(0.0, 1e-3))
        self.read = nn.Parameter(torch.empty(self.n_items, width, dtype=dtype).normal_(0.0, spread))
        self.read_bias = nn.Parameter(torch.empty(width, dtype=dtype).normal_(0.0, 1e-3))
        self.time = normal_init(nn.Linear(config.time_width, width, dtype=dtype))
        # Starts where step 0 would be.
        self.time_in = nn.Parameter(time_embedding(torch.zeros(1, dtype=torch.int64), config.time_width, dtype)[0])
        low, high = config.noise_scale * config.noise_min, config.noise_scale * config.noise_max
        self.schedule = Schedule.linear_variance(config.steps, low, high)
        self.sampler = StepSampler(config.steps)
        self.behaviour_blocks = self._blocks()
        if config.collaborative:
            # Saved with the weights: another machine's SVD may turn singular vectors of equal size.
            self.register_buffer("collaborative", collaborative_signal(context.data, config.rank).to(dtype))
            self.tell_collaborative = normal_init(nn.Linear(self.collaborative.shape[1], width, dtype=dtype))
        self.names: tuple[str, ...] = tuple(context.data.modalities) if config.preference else ()
        self.project = nn.ModuleDict()
        self.preference_blocks = self._blocks() if self.names else nn.ModuleList()
        self.modality_logits = nn.Parameter(torch.zeros(len(self.names), dtype=dtype))
        degree = torch.bincount(self.history_items, minlength=self.n_items).clamp(min=1)
        self.register_buffer("item_share", degree.to(dtype).rsqrt(), persistent=False)
        for name in self.names:
            features = functional.normalize(context.features(name), dim=1)
            self.register_buffer(f"features_{name}", features, persistent=False)
            self.project[name] = normal_init(nn.Linear(features.shape[1], width, bias=False, dtype=dtype))

    collaborative: Tensor
    item_share: Tensor

    def _blocks(self) -> nn.ModuleList:
        config, dtype = self.config, self.items.dtype
        return nn.ModuleList(ConditionalBlock(config.hidden, config.dropout, dtype) for _ in range(config.blocks))

    def content_names(self) -> tuple[str, ...]:
        """Returns the modalities that are told."""
        return self.names

    def preferences(self, batch: HistoryBatch) -> Tensor:
        """Returns Σ_m softmax(w)_m W_m e_{u,m}, (B, hidden)."""
        items, indptr = batch.histories.items, batch.histories.indptr
        rows, places = items.unique(return_inverse=True)
        count = indptr.diff().clamp(min=1).to(self.item_share.dtype)
        weights = self.item_share[items] * count.rsqrt()[batch.rows()]
        total = self.read.new_zeros(len(batch.users), self.config.hidden)
        for share, name in zip(torch.softmax(self.modality_logits, dim=0), self.names, strict=True):
            features: Tensor = self.get_buffer(f"features_{name}").index_select(0, rows)
            # Projection and sum commute; summed first, there is less to project.
            if self.content_adapter is not None:
                features = self.content_adapter(name, self.project[name](features), self.items.index_select(0, rows))
            summed = functional.embedding_bag(
                places, features, indptr, mode="sum", per_sample_weights=weights, include_last_offset=True
            )
            total = total + share * (summed if self.content_adapter is not None else self.project[name](summed))
        return total

    def predict(self, read: Tensor, time: Tensor, batch: HistoryBatch) -> Tensor:
        """C-Net: returns x̂_0, (B, items).

        Args:
            read: (B, hidden) the input row times W.
            time: (B, time_width) or (1, time_width) time embedding or t_in.
            batch: Whose conditions are told.
        """
        h, moment = read + self.read_bias, self.time(time)
        told = moment.expand_as(h)
        if self.config.collaborative:
            told = told + self.tell_collaborative(self.collaborative[batch.users])
        for block in self.behaviour_blocks:
            h = block(h, told)
        if self.names:
            told = moment + self.preferences(batch)
            for block in self.preference_blocks:
                h = block(h, told)
        return functional.linear(h, self.items, self.item_bias)

    def read_row(self, x: Tensor) -> Tensor:
        """Returns (B, hidden) of dense (B, items) rows, brought to length 1."""
        unit = functional.normalize(x, dim=1)
        return (drop_entries(unit, self.config.dropout) if self.training else unit) @ self.read

    def target(self, clean: Tensor) -> Tensor:
        """Returns the softened (B, items) rows."""
        shape = clean.shape if self.config.soften_entries else (len(clean), 1)
        chosen = torch.rand(shape, dtype=clean.dtype, device=clean.device) < self.config.soften
        return torch.where(chosen, clean + self.config.smoothing * (1.0 - 2.0 * clean), clean)

    def loss(self, batch: HistoryBatch) -> Loss:
        """Returns the mean squared error to the softened rows, each over p_t · T; 1 of T + 1 rows is clean, at t_in."""
        clean = batch.dense(self.n_items, self.items.dtype)
        steps, share = self.sampler.draw(len(clean))
        observed = torch.rand(len(clean), device=clean.device) < 1.0 / (self.config.steps + 1)
        noisy = self.schedule.noisy(clean, steps, torch.randn_like(clean))
        noisy[observed] = clean[observed]
        time = time_embedding(steps, self.config.time_width, clean.dtype)
        time = torch.where(observed[:, None], self.time_in, time)
        errors = row_errors(self.predict(self.read_row(noisy), time, batch), self.target(clean))
        self.sampler.record(steps[~observed], errors[~observed])
        return Loss((errors / torch.where(observed, 1.0, share).to(errors.dtype)).mean())

    def begin_scoring(self) -> None:
        """Prepares nothing: every row is predicted by itself."""

    def score(self, users: Tensor) -> Tensor:
        """Returns the (n, items) predicted rows."""
        batch = self.batch_of(users)
        if self.config.inference_steps == 1:
            histories = batch.histories
            read = functional.embedding_bag(
                histories.items, self.read, histories.indptr, mode="sum", include_last_offset=True
            )
            length = histories.indptr.diff().clamp(min=1).to(read.dtype).sqrt()
            return self.predict(read / length[:, None], self.time_in[None], batch)
        x = batch.dense(self.n_items, self.items.dtype)
        for step in range(min(self.config.inference_steps, self.config.steps) - 1, -1, -1):
            at = torch.tensor([step], device=x.device)
            predicted = self.predict(self.read_row(x), time_embedding(at, self.config.time_width, x.dtype), batch)
            x = float(self.schedule.keep[step]) * predicted + float(self.schedule.back[step]) * x
        return x


def collaborative_signal(data: RecommendationData, rank: int) -> Tensor:
    """Returns U_k Σ_k^½ of the binary training matrix, (users, k) float64, largest singular value first.

    k is at most min(users, items) − 1. Signs are fixed: the largest entry of each item vector is positive.
    """
    matrix = Histories.of(data).matrix(data.n_items)
    k = min(rank, min(matrix.shape) - 1)
    left, values, right = svds(matrix, k=k, v0=np.ones(min(matrix.shape)))
    order = np.argsort(-values)
    left, values, right = left[:, order], values[order], right[order]
    signs = np.sign(right[np.arange(k), np.abs(right).argmax(1)])
    return torch.from_numpy(left * signs * np.sqrt(values))


METHOD = LD4MRec
