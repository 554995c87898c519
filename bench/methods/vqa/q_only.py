"""The question alone: what a dataset gives away without its videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from bench.methods.layers.steps import AnswererConfig, WatchThenAnswer
from bench.methods.layers.video import AnswerHead, QuestionEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.answerer import Visual, Words
    from bench.methods.base import Context


class QOnly(WatchThenAnswer):
    """DualVGR's question encoder and answer head with v = 0: the bias check that every other method must beat."""

    class Config(AnswererConfig):
        """Settings of `q_only`."""

        word_dropout: float = Field(default=0.15, ge=0, lt=1)
        """Dropout of word vectors."""
        dropout: float = Field(default=0.15, ge=0, lt=1)
        """Dropout of the question's state and in the answer head."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.encoder = QuestionEncoder(
            self.data,
            word_dim=config.word_dim,
            dim=config.dim,
            dtype=context.dtype,
            word_dropout=config.word_dropout,
            dropout=config.dropout,
        )
        self.head = AnswerHead(config.dim, self.outputs, context.dtype, dropout=config.dropout)

    def watch(self, visual: Visual) -> tuple[Tensor, ...]:
        """Returns nothing: the videos are not looked at."""
        return ()

    def answer(self, watched: tuple[Tensor, ...], words: Words) -> Tensor:
        """Returns (R, `outputs`) scores."""
        question = self.encoder(words).final
        scores: Tensor = self.head(torch.zeros_like(question), question)
        return scores


METHOD = QOnly
