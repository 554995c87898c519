"""SASRec: self-attentive sequential recommendation (Kang & McAuley, ICDM 2018, arXiv 1808.09781)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import GradientConfig, Group, Loss
from bench.methods.layers.sequences import (
    PlainTransformerEncoder,
    TransformerEncoder,
    cut,
    full_cross_entropy,
    pairwise_cross_entropy,
)
from bench.methods.sequential_recommender import MAX_LENGTH, SequenceBatch, SequentialRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.methods.base import Context

PMIXER_BETAS = (0.9, 0.98)
"""Decay rates of Adam in pmixer's port."""


class SASRec(SequentialRecommender):
    """A causal transformer over the history; the score of an item is its vector times the newest state.

    `variant: recbole` is the encoder of RecBole 1.2.1 (RUCAIBox/RecBole), `variant: pmixer` that of
    pmixer/SASRec.pytorch, trained with that port's Adam (decay rates 0.9 and 0.98; its batches hold 128 users);
    `objective` chooses between cross-entropy over all items, which full ranking calls for, and the paper's binary
    cross-entropy with one negative (equation 6). As in the paper (section III-A: the most recent n actions), all places
    of a user's last 51 training items are trained at once. RecBole trains on every prefix by itself, cut to its newest
    items: of histories of up to 51 items the same targets in other batches, of longer ones the older transitions too.
    On `ml-100k` 38,762 of 97,171 training transitions (40 %) are trained on here, on `beauty` 128,031 of 131,413
    (97.4 %), on `instruments` 84,418 of 84,890 (99.4 %).
    """

    class Config(GradientConfig):
        """Settings of `sasrec`."""

        batch_size: int = 256
        """Users in a batch; 128 in pmixer's port."""
        dim: int = 64
        """d, width of the item vectors; 64 in RecBole, 50 in the paper."""
        length: int = Field(default=MAX_LENGTH, ge=1, le=MAX_LENGTH)
        """Newest items that are looked at; 50 for sparse data."""
        blocks: Annotated[int, Choices(1, 2, 3)] = 2
        """Transformer blocks."""
        heads: int = 2
        """Attention heads; 2 in RecBole, 1 in pmixer's port. They divide `dim`."""
        inner: int = 256
        """Width of the feed-forward layers of `variant: recbole`; the other's is `dim`."""
        dropout: Annotated[float, Choices(0.2, 0.5)] = 0.5
        """Dropout on embeddings and layers."""
        attention_dropout: float = 0.5
        """Dropout on attention weights of `variant: recbole`."""
        variant: Literal["recbole", "pmixer"] = "recbole"
        """Whose encoder, and whose decay rates of Adam."""
        objective: Literal["ce", "bce"] = "ce"
        """Cross-entropy over all items, or binary cross-entropy with one negative for each target."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.items = nn.Embedding(self.n_items + 1, config.dim, padding_idx=0)
        if config.variant == "recbole":
            nn.init.normal_(self.items.weight, std=0.02)
            self.encoder: nn.Module = TransformerEncoder(
                config.dim,
                config.length,
                blocks=config.blocks,
                heads=config.heads,
                inner=config.inner,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
            )
        else:
            nn.init.xavier_normal_(self.items.weight)
            with torch.no_grad():
                self.items.weight[0].zero_()
            self.encoder = PlainTransformerEncoder(
                config.dim, config.length, blocks=config.blocks, heads=config.heads, dropout=config.dropout
            )
        self.to(context.dtype)

    def groups(self) -> Mapping[str, Group]:
        """Returns pmixer's Adam over everything for its variant; otherwise nothing, for the usual one."""
        if self.config.variant != "pmixer":
            return {}
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return {"": Group(parameters, self.config.lr, PMIXER_BETAS, self.config.weight_decay)}

    def encode(self, tokens: Tensor) -> Tensor:
        """Returns (B, L, d) states of (B, L) left-padded tokens."""
        states: Tensor = self.encoder(self.items(tokens), tokens)
        return states

    def loss(self, batch: SequenceBatch) -> Loss:
        """Returns the cross-entropy of every next item."""
        length = self.config.length
        states, targets = self.encode(cut(batch.inputs, length)), cut(batch.targets, length)
        if self.config.objective == "ce":
            return Loss(full_cross_entropy(states, targets, self.items.weight))
        return Loss(pairwise_cross_entropy(states, targets, cut(batch.negatives, length), self.items.weight))

    def score(self, histories: Tensor) -> Tensor:
        """Returns (n, items) inner products with the newest state."""
        newest = self.encode(cut(histories, self.config.length))[:, -1]
        return functional.linear(newest, self.items.weight[1:])


METHOD = SASRec
