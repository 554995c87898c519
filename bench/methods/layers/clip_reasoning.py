"""The parts of one cycle of DualVGR (arXiv 2107.04768, from the authors' code), and its two losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.layers.video import Attended, xavier_uniform

SLOPE = 0.01
"""Of the leaky ReLU of the graphs' attention logits."""


class WordAttention(nn.Module):
    """Which words a cycle asks about: softmax over words of w · normalize(V h_l), and that sum of word vectors.

    Args:
        dim: d, width of word states.
        dtype: Floating type.
        over_padding: Whether the softmax runs over the padding as well, which is then masked and the rest divided by
            its sum + 1e-5, as in the authors' code. The result moves by about 1e-5 with the amount of padding.
    """

    def __init__(self, dim: int, dtype: torch.dtype, *, over_padding: bool = False) -> None:
        super().__init__()
        self.over_padding = over_padding
        self.enhance = nn.Linear(dim, dim, dtype=dtype)
        self.score = nn.Linear(dim, 1, dtype=dtype)
        xavier_uniform(self)

    def forward(self, words: Tensor, states: Tensor, mask: Tensor) -> Attended:
        """Returns the (B, word_dim) query and the (B, L) weights.

        Args:
            words: (B, L, word_dim) word vectors.
            states: (B, L, d) states at the words.
            mask: (B, L) bool, True at real words.
        """
        scores = self.score(functional.normalize(self.enhance(states), dim=-1)).squeeze(-1)
        if self.over_padding:
            weights = torch.softmax(scores, dim=1) * mask
            weights = weights / (weights.sum(1, keepdim=True) + 1e-5)
        else:
            weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=1)
        return Attended(torch.bmm(weights.unsqueeze(1), words).squeeze(1), weights)


class QueryPunishment(nn.Module):
    """How much a clip has to do with the query: s_n = σ(⟨x_n, W q⟩). The authors' code computes √(w·d) and ignores it.

    Args:
        word_dim: Width of the query.
        dim: d, width of clips.
        dtype: Floating type.
    """

    def __init__(self, word_dim: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.query = nn.Linear(word_dim, dim, dtype=dtype)
        xavier_uniform(self)

    def forward(self, query: Tensor, clips: Tensor) -> Tensor:
        """Returns (B, N) scores in (0, 1) of (B, word_dim) queries and (B, N, d) clips."""
        return torch.sigmoid(torch.bmm(clips, self.query(query).unsqueeze(2)).squeeze(2))


class GraphAttention(nn.Module):
    """A graph attention layer whose values, not whose attention, are scaled by a punishment.

    Head: g = W x; e_ij = lrelu(u · [g_i ; g_j]); out_i = ELU(Σ_j dropout(softmax_j e_ij) s_j g_j). Heads are
    concatenated; dropout on input and output.

    Args:
        dim: d, a multiple of `heads`.
        mask: (N, N) bool, True where row receives from column.
        dtype: Floating type.
        heads: Number of heads, d / heads wide each.
        dropout: Of input, attention and output.
    """

    mask: Tensor

    def __init__(self, dim: int, mask: Tensor, dtype: torch.dtype, *, heads: int = 4, dropout: float = 0.15) -> None:
        super().__init__()
        width = dim // heads
        self.register_buffer("mask", mask, persistent=False)
        self.complete = bool(mask.all())
        self.lonely = not bool(mask.any(1).all())
        self.project = nn.Linear(dim, dim, dtype=dtype)
        self.logits = nn.Parameter(torch.empty(heads, 2 * width, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(heads, dtype=dtype))
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():
            # Each head is a layer of its own to the authors' initialisation.
            for head, rows in enumerate(self.project.weight.split(width)):
                nn.init.xavier_uniform_(rows)
                nn.init.xavier_uniform_(self.logits[head : head + 1])

    def forward(self, clips: Tensor, punishment: Tensor | None) -> Tensor:
        """Returns (B, N, d) clips of (B, N, d) clips and (B, N) punishments."""
        heads = self.logits.shape[0]
        g = self.project(self.dropout(clips)).unflatten(-1, (heads, -1)).transpose(1, 2)
        receiver, sender = self.logits.unsqueeze(-1).chunk(2, dim=1)
        scores = functional.leaky_relu(g @ receiver + (g @ sender).transpose(2, 3) + self.bias[:, None, None], SLOPE)
        if not self.complete:
            scores = scores.masked_fill(~self.mask, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1)
        if self.lonely:
            weights = weights * self.mask
        values = g if punishment is None else g * punishment[:, None, :, None]
        heads_out = functional.elu(self.dropout(weights) @ values)
        out: Tensor = self.dropout(heads_out.transpose(1, 2).flatten(2))
        return out


class ViewFusion(nn.Module):
    """Weighs two views of each clip: softmax over the views of v · tanh(U z).

    Args:
        dim: d.
        dtype: Floating type.
    """

    def __init__(self, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(dim, dim, dtype=dtype), nn.Tanh(), nn.Linear(dim, 1, bias=False, dtype=dtype)
        )
        xavier_uniform(self)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the (B, N, d) sum and the (B, 2, N, 1) weights of (B, 2, N, d) views."""
        weights = torch.softmax(self.score(views), dim=1)
        return (weights * views).sum(1), weights


def common_loss(first: Tensor, second: Tensor) -> Tensor:
    """Returns the mean square of S(X) − S(Y), S the cosines between the clips of a video about their mean.

    Args:
        first: (B, N, d) X.
        second: (B, N, d) Y.
    """
    similarities = []
    for clips in (first, second):
        unit = functional.normalize(clips - clips.mean(1, keepdim=True), dim=2)
        similarities.append(torch.bmm(unit, unit.transpose(1, 2)))
    return (similarities[0] - similarities[1]).square().mean()


def dependence(first: Tensor, second: Tensor) -> Tensor:
    """Returns HSIC(X, Y) = tr(R X Xᵀ R Y Yᵀ), R = I − 1/N, summed over the batch and divided by nothing.

    Args:
        first: (B, N, d) X.
        second: (B, N, d) Y.
    """
    kernels = []
    for clips in (first, second):
        centred = clips - clips.mean(1, keepdim=True)
        kernels.append(torch.bmm(centred, centred.transpose(1, 2)))
    return (kernels[0] * kernels[1]).sum()
