"""The contract of methods that answer questions about videos and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch.nn import functional

from bench.methods.base import Loss, Method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bench.data.vqa import VqaData
    from bench.methods.base import Context
    from bench.spec.config import MethodConfig


class Visual(NamedTuple):
    """What is asked about.

    Attributes:
        appearance: (B, N, F, A) F frame vectors in each of N clips.
        motion: (B, N, M) one vector for each clip.
    """

    appearance: Tensor
    motion: Tensor


class Words(NamedTuple):
    """Text.

    Attributes:
        tokens: (B, L) int64; 0 pads.
        lengths: (B,) int64 number of words, at least 1.
    """

    tokens: Tensor
    lengths: Tensor


class Asked(NamedTuple):
    """Questions without their answers: all that scoring gets.

    Attributes:
        question: The questions.
        candidates: (B, K, C) int64 words of the answers to choose from; None for open-ended questions.
        candidate_lengths: (B, K) int64, or None.
    """

    question: Words
    candidates: Tensor | None = None
    candidate_lengths: Tensor | None = None


class QuestionBatch(NamedTuple):
    """A training batch.

    Attributes:
        visual: What is asked about.
        asked: The questions.
        answers: (B,) int64 right class or right candidate; never -1 in training.
    """

    visual: Visual
    asked: Asked
    answers: Tensor


class Answerer(Method):
    """A method that answers a question about clips (task `vqa`).

    Subclasses override `respond`. For questions with candidates the loop of choices is here: each candidate is appended
    to its question, every text gets one score, and the K scores of a question are its logits (HCRN's and HGA's way).

    Args:
        config: A validated `Config`.
        context: `VqaData`, views and floating type.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"vqa"})

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.data: VqaData = context.data
        self.outputs = 1 if self.data.choices else len(self.data.answers)
        """Width of `respond`."""

    def respond(self, visual: Visual, words: Words) -> Tensor:
        """Returns (B, `outputs`) scores of the answers, or one score of a question with its candidate."""
        raise TypeError(f"{type(self).__name__} must override respond")

    def logits(self, visual: Visual, asked: Asked) -> Tensor:
        """Returns (B, answers) logits, or (B, K) where questions bring candidates."""
        if asked.candidates is None:
            return self.respond(visual, asked.question)
        batch, choices, _ = asked.candidates.shape
        repeated = Visual(*(part.repeat_interleave(choices, dim=0) for part in visual))
        return self.respond(repeated, with_candidates(asked)).view(batch, choices)

    def loss(self, batch: QuestionBatch) -> Loss:
        """Returns the cross-entropy of the right answers."""
        return Loss(functional.cross_entropy(self.logits(batch.visual, batch.asked), batch.answers))

    def explain(self, visual: Visual, asked: Asked) -> Mapping[str, Tensor]:
        """Returns what the reasoning looked at, by name: weights whose first axis is B; nothing by default."""
        return {}


def with_candidates(asked: Asked) -> Words:
    """Appends each candidate to its question; (B · K, L + C) words in the order of the candidates.

    Raises:
        ValueError: The questions bring no candidates.
    """
    if asked.candidates is None or asked.candidate_lengths is None:
        raise ValueError("with_candidates needs questions that bring candidates")
    batch, choices, width = asked.candidates.shape
    question, lengths = asked.question
    rows = batch * choices
    tokens = question.new_zeros(rows, question.shape[1] + width)
    tokens[:, : question.shape[1]] = question.repeat_interleave(choices, dim=0)
    begin = lengths.repeat_interleave(choices)
    added = asked.candidate_lengths.reshape(rows)
    place = torch.arange(width, device=question.device)
    row, column = torch.nonzero(place < added.unsqueeze(1), as_tuple=True)
    tokens[row, begin[row] + column] = asked.candidates.reshape(rows, width)[row, column]
    return Words(tokens, begin + added)
