"""Encoders of the text beside training images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from bench.data.classification import TrainingText
    from bench.methods.classifier import TextBatch

TextKind = Literal["auto", "multi_hot", "mean", "gru"]
"""`multi_hot`: an MLP over which words occur; `mean`: the mean of word vectors, then a layer; `gru`: a GRU over the
words, its states averaged; `auto`: `multi_hot` for a set, `gru` for sentences."""


def multi_hot(tokens: Tensor, words: int, dtype: torch.dtype) -> Tensor:
    """Returns (B, words − 1) with 1 where a word occurs among (B, L) tokens; the padding, token 0, has no column."""
    occurs = torch.zeros(tokens.shape[0], words, dtype=dtype, device=tokens.device)
    return occurs.scatter_(1, tokens, 1.0)[:, 1:]


class MultiHotEncoder(nn.Module):
    """Linear-ReLU-Linear over which words occur; blind to order and number.

    Args:
        words: Size of the vocabulary, padding included.
        width: Width of the output.
        dtype: Floating type.
    """

    def __init__(self, words: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.words, self.dtype = words, dtype
        self.layers = nn.Sequential(
            nn.Linear(words - 1, width, dtype=dtype), nn.ReLU(), nn.Linear(width, width, dtype=dtype)
        )

    def forward(self, text: TextBatch) -> Tensor:
        """Returns (B, width) vectors."""
        vectors: Tensor = self.layers(multi_hot(text.tokens, self.words, self.dtype))
        return vectors


class MeanEncoder(nn.Module):
    """Mean of word vectors, then ReLU-Linear; blind to order.

    Args:
        words: Size of the vocabulary, padding included.
        width: Width of word vectors and of the output.
        dtype: Floating type.
    """

    def __init__(self, words: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=0, dtype=dtype)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(width, width, dtype=dtype))

    def forward(self, text: TextBatch) -> Tensor:
        """Returns (B, width) vectors."""
        vectors: Tensor = self.layers(self.table(text.tokens).sum(1) / text.lengths[:, None])
        return vectors


class GRUEncoder(nn.Module):
    """Mean of the states that a forward GRU has at real words; what follows a text never reaches them.

    Args:
        words: Size of the vocabulary, padding included.
        width: Width of word vectors, states and output.
        dtype: Floating type.
    """

    def __init__(self, words: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=0, dtype=dtype)
        self.gru = nn.GRU(width, width, batch_first=True, dtype=dtype)

    def forward(self, text: TextBatch) -> Tensor:
        """Returns (B, width) vectors."""
        longest = int(text.lengths.max())
        states, _ = self.gru(self.table(text.tokens[:, :longest]))
        real = torch.arange(longest, device=text.lengths.device) < text.lengths[:, None]
        mean: Tensor = (states * real[:, :, None]).sum(1) / text.lengths[:, None]
        return mean


def text_encoder(text: TrainingText, width: int, dtype: torch.dtype, *, kind: TextKind = "auto") -> nn.Module:
    """Builds an encoder that maps a `TextBatch` to (B, width).

    Args:
        text: What the training images have; its vocabulary and form count.
        width: Width of the output.
        dtype: Floating type.
        kind: See `TextKind`.
    """
    if kind == "auto":
        kind = "multi_hot" if text.form == "set" else "gru"
    encoders = {"multi_hot": MultiHotEncoder, "mean": MeanEncoder, "gru": GRUEncoder}
    return encoders[kind](len(text.vocabulary), width, dtype)
