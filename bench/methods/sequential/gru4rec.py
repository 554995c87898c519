"""GRU4Rec (Hidasi et al., ICLR 2016, arXiv 1511.06939), as RecBole 1.2.1 trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import GradientConfig, Loss
from bench.methods.layers.sequences import RecurrentEncoder, cut, full_cross_entropy
from bench.methods.sequential_recommender import MAX_LENGTH, SequenceBatch, SequentialRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


class GRU4Rec(SequentialRecommender):
    """A recurrent network over the history; the score of an item is its vector times the newest state.

    RecBole's loss is the cross-entropy over all items in place of the paper's ranking losses, and a dense layer leads
    back from the state to the width of the item vectors. All places of a user's last 51 training items are trained at
    once, where RecBole trains on every prefix by itself and so on older transitions too (see `sasrec` for how many).
    """

    class Config(GradientConfig):
        """Settings of `gru4rec`."""

        batch_size: int = 256
        """Users in a batch."""
        dim: int = 64
        """d, width of the item vectors."""
        hidden: Annotated[int, Choices(64, 128, 256)] = 128
        """Width of the GRU."""
        layers: Annotated[int, Choices(1, 2)] = 1
        """Layers of the GRU."""
        dropout: Annotated[float, Choices(0.1, 0.3, 0.5)] = 0.3
        """Dropout on the item vectors."""
        length: int = Field(default=MAX_LENGTH, ge=1, le=MAX_LENGTH)
        """Newest items that are looked at."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.items = nn.Embedding(self.n_items + 1, config.dim, padding_idx=0)
        nn.init.xavier_normal_(self.items.weight)
        self.encoder = RecurrentEncoder(config.dim, config.hidden, layers=config.layers, dropout=config.dropout)
        self.to(context.dtype)

    def encode(self, tokens: Tensor) -> Tensor:
        """Returns (B, L, d) states of (B, L) left-padded tokens."""
        states: Tensor = self.encoder(self.items(tokens), tokens)
        return states

    def loss(self, batch: SequenceBatch) -> Loss:
        """Returns the cross-entropy of every next item over all items."""
        length = self.config.length
        states = self.encode(cut(batch.inputs, length))
        return Loss(full_cross_entropy(states, cut(batch.targets, length), self.items.weight))

    def score(self, histories: Tensor) -> Tensor:
        """Returns (n, items) inner products with the newest state."""
        newest = self.encode(cut(histories, self.config.length))[:, -1]
        return functional.linear(newest, self.items.weight[1:])


METHOD = GRU4Rec
