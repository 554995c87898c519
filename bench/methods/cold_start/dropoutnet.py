"""DropoutNet (Volkovs, Yu and Poutanen, NeurIPS 2017), after the authors' code (layer6ai-labs/DropoutNet)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.methods.base import Context, GradientConfig, Loss, Needs
from bench.methods.layers.embedding import EmbeddingRecommender, Representation, take
from bench.methods.layers.histories import Histories
from bench.methods.layers.wmf import weighted_factors
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.layers.history_batch import HistoryBatch

CLIP = 5.0
"""Standardised inputs are cut off at ±5, as in the authors' code."""


class Tower(nn.Module):
    """Linear, batch normalisation and tanh, then a linear layer: (n, d_in) to (n, d_out)."""

    def __init__(self, d_in: int, hidden: int, d_out: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_in, hidden, dtype=dtype)
        self.norm = nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.01, dtype=dtype)
        self.out = nn.Linear(hidden, d_out, dtype=dtype)
        for layer in (self.hidden, self.out):
            nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the (n, d_out) representation."""
        found: Tensor = self.out(torch.tanh(self.norm(self.hidden(inputs))))
        return found


class DropoutNet(EmbeddingRecommender):
    """Two towers that reproduce the scores of a factorisation, also where an input of theirs is missing.

    A weighted matrix factorisation gives preference vectors U and V (computed before the first epoch). With Φ the item
    content, û = f_U(U_u) and v̂ = f_V([V_v ; Φ_v]) are trained on (U_u·V_v − û·v̂)² (equation 2). In every batch a
    random `dropout` share of the pairs has V_v set to 0, and another share, drawn apart, U_u (algorithm 1, `user
    dropout` and `item dropout`). An item without a training row enters scoring as such a pair does: V_v = 0.

    As in the code: pairs are a user's best items by U·V and as many drawn at random; inputs are standardised and cut
    off at ±5, targets are not; towers of one hidden layer of 200 (its setting for CiteULike).

    What differs: Adam in place of SGD with momentum 0.9 and steps of 0.1; d = 64 in place of 200, as for all methods
    here; pairs are drawn anew for each batch of users (the code takes all of a user's 2,500 best and 2,500 random items
    in shuffled batches of 100); the best are at most a fifth of the trained items, so that small catalogues have others
    too; no user content, which the data lacks; no `transform` of the paper (the code has none): users are never cold.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)
    tasks: ClassVar[frozenset[str]] = frozenset({"cold_start"})
    batches_of: ClassVar[str | None] = "histories"

    class Config(GradientConfig):
        """Settings of `dropoutnet`."""

        dim: int = 64
        """d, width of the preference vectors and of the towers' outputs."""
        hidden: int = 200
        """Width of the hidden layer of each tower."""
        dropout: Annotated[float, Choices(0.0, 0.25, 0.5, 0.75), Field(ge=0, le=1)] = 0.5
        """Share of pairs that lose the item's preference vector, and share that lose the user's."""
        best: int = Field(default=2500, ge=1)
        """A user's best items by the factorisation among which half of the pairs are drawn."""
        pairs: int = Field(default=32, ge=1)
        """Pairs of each of the two kinds for each user in a batch."""
        batch_size: int = 64
        """Users in a batch."""
        confidence: Annotated[float, Choices(1.0, 5.0, 10.0, 40.0), Field(gt=0)] = 10.0
        """α of the factorisation: a training pair weighs 1 + α, any other 1."""
        factor_reg: Annotated[float, Choices(1.0, 10.0, 100.0), Field(gt=0)] = 10.0
        """λ of the factorisation."""
        factor_iterations: int = Field(default=15, ge=1)
        """Rounds of alternating least squares."""

    user_factors: Tensor
    item_factors: Tensor
    factorised: Tensor
    content: Tensor
    history_indptr: Tensor
    history_items: Tensor
    trained: Tensor

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        history = Histories.of(context.data)
        self.register_buffer("history_indptr", history.indptr, persistent=False)
        self.register_buffer("history_items", history.items, persistent=False)
        self.register_buffer("trained", history.items.unique(), persistent=False)
        raw = torch.cat([context.features(name) for name in context.data.modalities], dim=1)
        self.register_buffer("content", _standardised(raw, self.trained), persistent=False)
        self.register_buffer("user_factors", torch.zeros(self.n_users, config.dim, dtype=context.dtype))
        self.register_buffer("item_factors", torch.zeros(self.n_items, config.dim, dtype=context.dtype))
        self.register_buffer("factorised", torch.zeros((), dtype=torch.bool))
        self.user_tower = Tower(config.dim, config.hidden, config.dim, context.dtype)
        self.item_tower = Tower(config.dim + raw.shape[1], config.hidden, config.dim, context.dtype)
        self._inputs: Representation | None = None

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Factorises the training matrix before the first epoch; a resumed training has the factors already."""
        if not bool(self.factorised):
            config = self.config
            found = weighted_factors(
                Histories(self.history_indptr, self.history_items),
                self.n_items,
                dim=config.dim,
                confidence=config.confidence,
                reg=config.factor_reg,
                iterations=config.factor_iterations,
                generator=generator,
                dtype=self.user_factors.dtype,
            )
            self.user_factors.copy_(found.users)
            self.item_factors.copy_(found.items)
            self.factorised.fill_(True)
        self._inputs = self._standardised_factors()

    def _standardised_factors(self) -> Representation:
        known = (self.history_indptr.diff() > 0).nonzero()[:, 0]
        found = []
        for factors, rows in ((self.user_factors, known), (self.item_factors, self.trained)):
            scaled = torch.zeros_like(factors)
            scaled[rows] = _standardised(factors, rows)[rows]
            found.append(scaled)
        return Representation(*found)

    def represent(self) -> Representation:
        """Returns û of every user and v̂ of every item."""
        inputs = self._standardised_factors()
        return Representation(
            self.user_tower(inputs.users), self.item_tower(torch.cat([inputs.items, self.content], dim=1))
        )

    def loss(self, batch: HistoryBatch) -> Loss:
        """Returns the mean squared difference between û·v̂ and U_u·V_v over pairs of the batch's users."""
        inputs = self._inputs or self._standardised_factors()
        users, items = self._pairs(batch.users)
        targets = (take(self.user_factors, users) * take(self.item_factors, items)).sum(1)
        user_in = self._with_zeros(take(inputs.users, users))
        item_in = self._with_zeros(take(inputs.items, items))
        made = self.item_tower(torch.cat([item_in, take(self.content, items)], dim=1))
        return Loss((self.user_tower(user_in) * made).sum(1).sub(targets).square().mean())

    def _pairs(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Draws (pairs,) users and trained items: `pairs` among each user's best, and as many uniformly."""
        best = max(1, min(self.config.best, self.trained.numel() // 5))
        scores = take(self.user_factors, users) @ take(self.item_factors, self.trained).T
        ranked = scores.topk(best, dim=1).indices
        shape = (users.numel(), self.config.pairs)
        high = ranked.gather(1, torch.randint(best, shape).to(users.device))
        low = torch.randint(self.trained.numel(), shape).to(users.device)
        return users.repeat_interleave(2 * self.config.pairs), self.trained[torch.cat([high, low], dim=1)].flatten()

    def _with_zeros(self, rows: Tensor) -> Tensor:
        """Returns the rows with a random share of them 0."""
        dropped = torch.randperm(rows.shape[0])[: int(self.config.dropout * rows.shape[0])]
        keep = torch.ones(rows.shape[0], 1, dtype=rows.dtype)
        keep[dropped] = 0.0
        return rows * keep.to(rows.device)


def _standardised(rows: Tensor, known: Tensor) -> Tensor:
    """Returns rows with mean 0 and deviation 1 in every column over the known ones (their ids), cut off at ±CLIP."""
    mean, deviation = rows[known].mean(dim=0), rows[known].std(dim=0, correction=0)
    scale = torch.where(deviation > 1e-6, deviation, torch.inf)
    return ((rows - mean) / scale).clamp(-CLIP, CLIP)


METHOD = DropoutNet
