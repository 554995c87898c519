"""ST-VQA with temporal attention (Jang et al., CVPR 2017, arXiv 1704.04497)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn

from bench.methods.layers.steps import AnswererConfig, TemporalAttention, WatchThenAnswer, time_steps
from bench.methods.layers.video import AnswerHead, WordEmbedding, xavier_uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bench.methods.answerer import Asked, Visual, Words
    from bench.methods.base import Context


class STVQA(WatchThenAnswer):
    """Two-layer LSTMs over the video and over the words, and attention of the question to the steps of the video.

    RECONSTRUCTED from a summary of the paper; no code was at hand. The video's LSTM reads appearance and motion beside
    each other; v is the sum of its upper states weighed by softmax(w · tanh(V h_t + Q q)); the answer comes from
    [v ; q] through the head that DualVGR and HCRN use.
    """

    class Config(AnswererConfig):
        """Settings of `st_vqa`."""

        step: Literal["clip", "frame"] = "clip"
        """What a step of the video is: a clip with the mean of its frames, or a frame with its clip's motion."""
        word_dropout: float = Field(default=0.15, ge=0, lt=1)
        """Dropout of word vectors."""
        dropout: float = Field(default=0.2, ge=0, lt=1)
        """Dropout of the video's input, between the layers of both LSTMs, of the question's state and in the head."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        data, dim, dtype = self.data, config.dim, context.dtype
        clips = data.train.clips
        width = clips.appearance.shape[3] + clips.motion.shape[2]
        self.embed = WordEmbedding(
            len(data.vocabulary), config.word_dim, dtype, vectors=data.word_vectors, dropout=config.word_dropout
        )
        self.text = nn.LSTM(config.word_dim, dim, 2, batch_first=True, dropout=config.dropout, dtype=dtype)
        self.video = nn.LSTM(width, dim, 2, batch_first=True, dropout=config.dropout, dtype=dtype)
        xavier_uniform(self.text)
        xavier_uniform(self.video)
        self.attention = TemporalAttention(dim, dtype)
        self.head = AnswerHead(dim, self.outputs, dtype, dropout=config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def ask(self, words: Words) -> Tensor:
        """Returns (B, d): the upper layer's state after each question's own last word."""
        vectors = self.embed(words.tokens[:, : int(words.lengths.max())])
        states, _ = self.text(vectors)
        row = torch.arange(len(words.lengths), device=words.lengths.device)
        question: Tensor = self.dropout(states[row, words.lengths - 1])
        return question

    def watch(self, visual: Visual) -> tuple[Tensor, ...]:
        """Returns the (B, T, d) upper states of the video's LSTM."""
        states, _ = self.video(self.dropout(torch.cat(time_steps(visual, self.config.step), dim=2)))
        return (states,)

    def answer(self, watched: tuple[Tensor, ...], words: Words) -> Tensor:
        """Returns (R, `outputs`) scores."""
        question = self.ask(words)
        scores: Tensor = self.head(self.attention(*watched, question).vector, question)
        return scores

    @torch.no_grad()
    def explain(self, visual: Visual, asked: Asked) -> Mapping[str, Tensor]:
        """Returns `steps`: the attention to each step, (B, T), or (B, K, T) with one row for each candidate."""
        watched, words, shape = self.pair(visual, asked)
        return {"steps": self.attention(*watched, self.ask(words)).weights.unflatten(0, shape)}


METHOD = STVQA
