"""Parts of HGA (Jiang and Han, AAAI 2020): encoders, co-attention and the graph over words and frames.

Formulas follow the authors' code (Jumpin2/HGA at 8109050). Padding is found by lengths and every layer is trained; what
the code does instead is behind `authors_bugs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from bench.methods.layers.video import MFB

if TYPE_CHECKING:
    import numpy as np

    from bench.methods.answerer import Words


class Sequence(NamedTuple):
    """An encoded batch of sequences.

    Attributes:
        states: (B, L, d), zero at the padding.
        final: (B, d) the state after each sequence's own last step.
        mask: (B, L) bool, True at real steps.
    """

    states: Tensor
    final: Tensor
    mask: Tensor


class RecurrentEncoder(nn.Module):
    """One GRU layer over inputs of width d; two directions are joined by ReLU(W ·), W of states and ends apart.

    Args:
        dim: d.
        dtype: Floating type.
        bidirectional: Whether there are two directions, of width d each.
        dropout: Dropout of joined states.
    """

    def __init__(self, dim: int, dtype: torch.dtype, *, bidirectional: bool = False, dropout: float = 0.3) -> None:
        super().__init__()
        self.ahead = nn.GRU(dim, dim, batch_first=True, dtype=dtype)
        self.back = nn.GRU(dim, dim, batch_first=True, dtype=dtype) if bidirectional else None
        self.join_states = nn.Linear(2 * dim, dim, bias=False, dtype=dtype) if bidirectional else None
        self.join_finals = nn.Linear(2 * dim, dim, bias=False, dtype=dtype) if bidirectional else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Sequence:
        """Reads (B, L, d) inputs, of which the first `lengths` (B,) count."""
        place = torch.arange(inputs.shape[1], device=inputs.device)
        row = torch.arange(inputs.shape[0], device=inputs.device)
        mask = place < lengths[:, None]
        states, _ = self.ahead(inputs)
        final = states[row, lengths - 1]
        if self.back is not None and self.join_states is not None and self.join_finals is not None:
            # Each sequence is turned about its own last step: packed sequences compute the same and take longer.
            mirror = (lengths[:, None] - 1 - place).clamp(min=0)
            back, _ = self.back(inputs[row[:, None], mirror])
            both = torch.cat([states, back[row[:, None], mirror]], dim=2)
            states = self.dropout(functional.relu(self.join_states(both)))
            final = self.dropout(functional.relu(self.join_finals(torch.cat([final, back[row, lengths - 1]], dim=1))))
        return Sequence(states * mask[:, :, None], final, mask)


class SentenceEncoder(nn.Module):
    """A GRU over ReLU(W dropout(E[token])).

    Args:
        words: Size of the vocabulary, padding included.
        word_dim: Width of word vectors, where they do not start from `vectors`.
        dim: d.
        dtype: Floating type.
        vectors: (words, any) vectors to start from; None for normal ones.
        bidirectional: See `RecurrentEncoder`.
        dropout: Of word vectors and joined states.
    """

    def __init__(
        self,
        words: int,
        word_dim: int,
        dim: int,
        dtype: torch.dtype,
        *,
        vectors: np.ndarray | None = None,
        bidirectional: bool = False,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        width = word_dim if vectors is None else vectors.shape[1]
        self.table = nn.Embedding(words, width, dtype=dtype)
        if vectors is not None:
            with torch.no_grad():
                self.table.weight.copy_(torch.from_numpy(vectors))
        self.project = nn.Linear(width, dim, bias=False, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.encoder = RecurrentEncoder(dim, dtype, bidirectional=bidirectional, dropout=dropout)

    def forward(self, words: Words) -> Sequence:
        """Reads a batch of texts and cuts it to the longest."""
        tokens = words.tokens[:, : int(words.lengths.max())]
        encoded: Sequence = self.encoder(functional.relu(self.project(self.dropout(self.table(tokens)))), words.lengths)
        return encoded


class DropConnect(nn.Module):
    """A linear layer without bias of which single weights are dropped, the same for the whole batch.

    Args:
        inputs: Width of the input.
        outputs: Width of the output.
        dtype: Floating type.
        dropout: Probability of dropping a weight.
        trained: False leaves the weights as they start: the authors' code wraps them in a new parameter at each call,
            which no optimiser knows.
    """

    def __init__(
        self, inputs: int, outputs: int, dtype: torch.dtype, *, dropout: float = 0.3, trained: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(inputs, outputs, bias=False, dtype=dtype).weight.detach())
        self.weight.requires_grad_(trained)
        self.dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the (…, outputs) product."""
        return functional.linear(inputs, functional.dropout(self.weight, self.dropout, self.training))


class VideoEncoder(nn.Module):
    """Joins both channels step by step and reads them with a GRU.

    x = ReLU(W_f [a ; ReLU(W_c m)]) with drop-connect on both, then a GRU over dropout(ReLU(P x)).

    Args:
        appearance: Width A of the appearance, and of x.
        motion: Width M of the motion.
        dim: d.
        dtype: Floating type.
        bidirectional: See `RecurrentEncoder`.
        dropout: Of weights, inputs and joined states.
        trained: See `DropConnect`.
    """

    def __init__(
        self,
        appearance: int,
        motion: int,
        dim: int,
        dtype: torch.dtype,
        *,
        bidirectional: bool = False,
        dropout: float = 0.3,
        trained: bool = True,
    ) -> None:
        super().__init__()
        self.motion = DropConnect(motion, appearance, dtype, dropout=dropout, trained=trained)
        self.join = DropConnect(2 * appearance, appearance, dtype, dropout=dropout, trained=trained)
        self.project = nn.Linear(appearance, dim, bias=False, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.encoder = RecurrentEncoder(dim, dtype, bidirectional=bidirectional, dropout=dropout)

    def forward(self, appearance: Tensor, motion: Tensor, lengths: Tensor) -> Sequence:
        """Reads (B, T, A) and (B, T, M) steps, of which the first `lengths` (B,) count."""
        moved = functional.relu(self.motion(motion))
        joined = functional.relu(self.join(torch.cat([appearance, moved], dim=2)))
        return self.read(joined, lengths)

    def read(self, joined: Tensor, lengths: Tensor) -> Sequence:
        """Reads (B, T, A) joined steps."""
        encoded: Sequence = self.encoder(self.dropout(functional.relu(self.project(joined))), lengths)
        return encoded


class CoAttention(nn.Module):
    """Words attend to frames and frames to words, each with a residual and a layer norm.

    One matrix of products A W_q (B W_k)ᵀ / √d serves both directions.

    Args:
        dim: d.
        dtype: Floating type.
        dropout: Drop-connect of all six layers.
        trained: See `DropConnect`.
    """

    def __init__(self, dim: int, dtype: torch.dtype, *, dropout: float = 0.3, trained: bool = True) -> None:
        super().__init__()

        def layer() -> DropConnect:
            return DropConnect(dim, dim, dtype, dropout=dropout, trained=trained)

        self.match_words, self.match_frames = layer(), layer()
        self.value_words, self.value_frames = layer(), layer()
        self.out_words, self.out_frames = layer(), layer()

    def forward(self, words: Tensor, frames: Tensor, real_words: Tensor, real_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (B, L, d) words and (B, T, d) frames; what is not real attends to nothing and is not attended to.

        Args:
            words: (B, L, d).
            frames: (B, T, d).
            real_words: (B, L) bool.
            real_frames: (B, T) bool.
        """
        width = words.shape[-1]
        products = self.match_words(words) @ self.match_frames(frames).transpose(1, 2) * width**-0.5
        of_frames = attention(products, real_words, real_frames) @ self.value_frames(frames)
        of_words = attention(products.transpose(1, 2), real_frames, real_words) @ self.value_words(words)
        return (
            functional.layer_norm(self.out_words(of_frames) + words, (width,)),
            functional.layer_norm(self.out_frames(of_words) + frames, (width,)),
        )


def attention(scores: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Returns softmax weights over the real keys, zero for queries that are not real.

    Where no key is real (which only `nonzero_rows` can say) the weights are even.

    Args:
        scores: (B, L, T).
        queries: (B, L) bool, True where real.
        keys: (B, T) bool, True where real.
    """
    masked = scores.masked_fill(~keys[:, None, :], torch.finfo(scores.dtype).min)
    return torch.softmax(masked, dim=-1).masked_fill(~queries[:, :, None], 0.0)


def nonzero_rows(states: Tensor) -> Tensor:
    """Returns (B, L) bool: which rows do not sum to zero, the authors' way to tell padding from the rest.

    A layer-normed row sums to zero up to rounding, so real rows are taken for padding by chance: measured on random
    rows, 12 % of those of width 8, 2 % at width 64 and 4 % at width 512.
    """
    summed: Tensor = (states @ states.new_ones(states.shape[-1], 1)).squeeze(-1)
    return summed != 0


class Adjacency(nn.Module):
    """A = H Hᵀ with H = ReLU(W₂ ReLU(W₁ x)), both weights normed; not normalised.

    Args:
        dim: d.
        dtype: Floating type.
    """

    def __init__(self, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = weight_norm(nn.Linear(dim, dim, bias=False, dtype=dtype))
        self.second = weight_norm(nn.Linear(dim, dim, bias=False, dtype=dtype))

    def forward(self, nodes: Tensor) -> Tensor:
        """Returns the (B, n, n) weights between (B, n, d) nodes; a node of zeros has no edges."""
        hidden = functional.relu(self.second(functional.relu(self.first(nodes))))
        return hidden @ hidden.transpose(1, 2)


class GraphConvolutions(nn.Module):
    """Layers x ← dropout(ReLU(LayerNorm(A W x))).

    Args:
        dim: d.
        layers: Number of layers.
        dtype: Floating type.
        dropout: After each layer.
    """

    def __init__(self, dim: int, layers: int, dtype: torch.dtype, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim, bias=False, dtype=dtype) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Returns (B, n, d) nodes, non-negative; a node without edges becomes zero."""
        for layer in self.layers:
            mixed = adjacency @ layer(nodes)
            nodes = self.dropout(functional.relu(functional.layer_norm(mixed, mixed.shape[-1:])))
        return nodes


class ScoreFusion(MFB):
    """Bilinear pooling whose output are scores: without the last ELU, below which no score could fall (−1)."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Returns (…, dim) of (…, first) and (…, second)."""
        product = functional.elu(self.first(first)) * functional.elu(self.second(second))
        scores: Tensor = self.out(product.unflatten(-1, (-1, self.factors)).sum(-1))
        return scores
