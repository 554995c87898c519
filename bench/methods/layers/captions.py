"""Words of captions as tokens that an image network can attend to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Words(NamedTuple):
    """Captions as vectors.

    Attributes:
        tokens: (n, L, width).
        real: (n, L) bool, true where there is a word.
    """

    tokens: Tensor
    real: Tensor

    @property
    def mean(self) -> Tensor:
        """(n, width) means over the real words."""
        real = self.real[:, :, None].to(self.tokens.dtype)
        return (self.tokens * real).sum(1) / real.sum(1)


class CaptionEncoder(nn.Module):
    """Word and position vectors, then transformer layers.

    Token 0, elsewhere padding, is a word here: it stands alone for a caption that is left out.

    Args:
        vocabulary: Words by token.
        width: Of a token.
        words: Most words that are read; longer captions are cut.
        layers: Transformer layers.
        heads: Attention heads.
        dtype: Floating type.
    """

    def __init__(self, vocabulary: int, width: int, *, words: int, layers: int, heads: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.width, self.words = width, words
        self.table = nn.Embedding(vocabulary, width, dtype=dtype)
        self.position = nn.Parameter(0.02 * torch.randn(words, width, dtype=dtype))
        self.mixer = transformer(width, layers, heads, dtype)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Words:
        """Encodes (n, L) int64 tokens with (n,) lengths of at least 1."""
        longest = min(int(lengths.max()), self.words)
        tokens = tokens[:, :longest]
        real = torch.arange(longest, device=tokens.device) < lengths.clamp(max=self.words)[:, None]
        vectors = self.table(tokens) + self.position[:longest]
        return Words(self.mixer(vectors, src_key_padding_mask=~real), real)

    def left_out(self, tokens: Tensor, lengths: Tensor, drop: Tensor) -> tuple[Tensor, Tensor]:
        """Returns tokens and lengths in which the captions of the rows `drop`, (n,) bool, are left out."""
        tokens = tokens.masked_fill(drop[:, None], 0)
        return tokens, lengths.masked_fill(drop, 1)


def transformer(width: int, layers: int, heads: int, dtype: torch.dtype) -> nn.TransformerEncoder:
    """Returns a pre-norm transformer encoder without dropout, of (B, n, width) with a final norm."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=dtype
    )
    # The nested-tensor path would make the output's length depend on the batch's padding.
    norm = nn.LayerNorm(width, dtype=dtype)
    return nn.TransformerEncoder(layer, layers, norm=norm, enable_nested_tensor=False)
