"""HGA (Jiang and Han, Reasoning with Heterogeneous Graph Alignment for Video Question Answering, AAAI 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from bench.methods.layers.steps import AnswererConfig, WatchThenAnswer, time_steps
from bench.methods.layers.video import MFB
from bench.methods.layers.word_frame_graph import (
    Adjacency,
    CoAttention,
    GraphConvolutions,
    ScoreFusion,
    SentenceEncoder,
    Sequence,
    VideoEncoder,
    nonzero_rows,
)
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bench.methods.answerer import Asked, Visual, Words
    from bench.methods.base import Context


class Reasoned(NamedTuple):
    """What the graph made of questions and videos.

    Attributes:
        nodes: (B, L + T, d) words, then steps of the video; non-negative, zero at the padding.
        words: L, words of the batch's longest question.
        globally: (B, d) fusion of the last states of both encoders.
    """

    nodes: Tensor
    words: int
    globally: Tensor


class HGA(WatchThenAnswer):
    """Heterogeneous graph alignment: one graph over the words of a question and the steps of a video.

    The states of two GRUs attend to each other and become nodes; edges are H Hᵀ; graph convolutions mix them; their sum
    is fused with the fused last states of the GRUs. Formulas follow the authors' code (Jumpin2/HGA at 8109050), which
    means to pool by attention, but its softmax runs over an axis of size one and leaves the sum. `MFB` stands in for
    their fusion, Block, from a third party's package.
    """

    class Config(AnswererConfig):
        """Settings of `hga`; published: step size 1e-4, batches of 128, no clipping."""

        step: Literal["clip", "frame"] = "clip"
        """What a node of the video is: a clip with the mean of its frames, or a frame with its clip's motion
        (published)."""
        bidirectional: bool = False
        """Whether the GRUs read both ways (published script: False)."""
        attention_layers: int = Field(default=1, ge=0)
        """Layers of co-attention; 0 makes the GRUs' states nodes as they are."""
        gcn_layers: int = Field(default=2, ge=1)
        """The authors' `gcn_layers`, which gives one convolution more: 2 (published) means three."""
        fusion: int = Field(default=256, ge=1)
        """Inner width of the bilinear fusions (DualVGR's; Block had other sizes)."""
        dropout: Annotated[float, Choices(0.1, 0.3), Field(ge=0, lt=1)] = 0.3
        """Dropout of word vectors, of single weights (drop-connect), of the GRUs' inputs and after each convolution."""
        elu_scores: bool = False
        """Whether scores pass a last ELU, as in the recorded numbers. The authors' fusion ends with a linear layer;
        behind an ELU the one score of a candidate may get stuck at −1."""
        authors_bugs: bool = False
        """Whether to keep two mistakes of the authors' code: padding is what sums to zero after a layer norm, which
        happens to real rows too, and layers with drop-connect stay at their initial weights."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        data, dim, dtype, dropout = self.data, config.dim, context.dtype, config.dropout
        trained = not config.authors_bugs
        self.sentence = SentenceEncoder(
            len(data.vocabulary),
            config.word_dim,
            dim,
            dtype,
            vectors=data.word_vectors,
            bidirectional=config.bidirectional,
            dropout=dropout,
        )
        self.video = VideoEncoder(
            data.train.clips.appearance.shape[3],
            data.train.clips.motion.shape[2],
            dim,
            dtype,
            bidirectional=config.bidirectional,
            dropout=dropout,
            trained=trained,
        )
        self.attention = nn.ModuleList(
            CoAttention(dim, dtype, dropout=dropout, trained=trained) for _ in range(config.attention_layers)
        )
        self.adjacency = Adjacency(dim, dtype)
        self.convolutions = GraphConvolutions(dim, config.gcn_layers + 1, dtype, dropout=dropout)
        self.fuse_ends = MFB(dim, dim, dim, dtype, inner=config.fusion)
        self.conclude = (MFB if config.elu_scores else ScoreFusion)(dim, dim, self.outputs, dtype, inner=config.fusion)
        self.dropout = nn.Dropout(dropout)

    def watch(self, visual: Visual) -> tuple[Tensor, ...]:
        """Returns the states, the last state and the mask of the video's steps."""
        appearance, motion = time_steps(visual, self.config.step)
        lengths = torch.full(motion.shape[:1], motion.shape[1], dtype=torch.int64, device=motion.device)
        encoded: Sequence = self.video(appearance, motion, lengths)
        return encoded

    def reason(self, video: Sequence, question: Sequence) -> Reasoned:
        """Returns what the graph makes of encoded videos and questions."""
        words, steps = self.align(video, question)
        nodes = torch.cat([words, steps], dim=1)
        nodes = self.convolutions(nodes, self.adjacency(nodes))
        globally = self.fuse_ends(self.dropout(question.final), self.dropout(video.final))
        return Reasoned(nodes, words.shape[1], globally)

    def align(self, video: Sequence, question: Sequence) -> tuple[Tensor, Tensor]:
        """Returns (B, L, d) words and (B, T, d) steps after co-attention."""
        words, steps = question.states, video.states
        if not len(self.attention):
            return words, steps
        words = functional.layer_norm(words, words.shape[-1:])
        steps = functional.layer_norm(steps, steps.shape[-1:])
        real_words, real_steps = question.mask, video.mask
        if self.config.authors_bugs:
            real_words, real_steps = nonzero_rows(words), nonzero_rows(steps)
        for layer in self.attention:
            words, steps = layer(words, steps, real_words, real_steps)
        return words, steps

    def answer(self, watched: tuple[Tensor, ...], words: Words) -> Tensor:
        """Returns (R, `outputs`) scores."""
        reasoned = self.reason(Sequence(*watched), self.sentence(words))
        scores: Tensor = self.conclude(reasoned.globally, reasoned.nodes.sum(1))
        return scores

    @torch.no_grad()
    def explain(self, visual: Visual, asked: Asked) -> Mapping[str, Tensor]:
        """Returns the share of each node in the pooled vector: `words` (B, L) and `steps` (B, T).

        Nodes are non-negative and pooled by their sum, so a node's share is its part of the sum's entries; the shares
        of a text sum to 1. With candidates there is one row for each, (B, K, L) and (B, K, T).
        """
        watched, words, shape = self.pair(visual, asked)
        reasoned = self.reason(Sequence(*watched), self.sentence(words))
        mass = reasoned.nodes.sum(2)
        shares = mass / mass.sum(1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)
        shares = shares.unflatten(0, shape)
        return {"words": shares[..., : reasoned.words], "steps": shares[..., reasoned.words :]}


METHOD = HGA
