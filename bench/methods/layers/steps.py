"""What the baselines of video question answering share: settings, the order of work, and videos as steps in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.methods.answerer import Answerer, with_candidates
from bench.methods.base import ScheduledConfig
from bench.methods.layers.video import Attended, xavier_uniform
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.answerer import Asked, Visual, Words


class AnswererConfig(ScheduledConfig):
    """What every method of the family can set; defaults are sized for two processor cores."""

    lr: Annotated[float, Choices(5e-4, 1e-3, 2e-3), Field(gt=0)] = 1e-3
    """Adam's step size (published: 1e-4)."""
    batch_size: int = Field(default=64, ge=1)
    """Questions in a batch (published: 32 for HCRN, 128 for HGA)."""
    clip_norm: float | None = 12.0
    """Largest norm of the whole gradient (HCRN's and DualVGR's); None does not clip."""
    dim: int = Field(default=128, ge=2, multiple_of=2)
    """d, width of all states (published: 512)."""
    word_dim: int = Field(default=64, ge=1)
    """Width of word vectors (published: 300); vectors of another width that come with the data are projected."""


class Paired(NamedTuple):
    """Texts to be scored, row by row with what they are about.

    Attributes:
        watched: Encoded videos; the first axis of each part has R rows.
        words: R texts.
        shape: How the R texts are arranged: (B,), or (B, K) where questions bring candidates.
    """

    watched: tuple[Tensor, ...]
    words: Words
    shape: tuple[int, ...]


class WatchThenAnswer(Answerer):
    """Encodes a video before the question is known, once for all texts about it.

    Subclasses override `watch` and `answer`.

    Args:
        config: A validated `Config`.
        context: `VqaData`, views and floating type.
    """

    def watch(self, visual: Visual) -> tuple[Tensor, ...]:
        """Returns what is made of B videos without a question; the first axis of each part is B."""
        raise TypeError(f"{type(self).__name__} must override watch")

    def answer(self, watched: tuple[Tensor, ...], words: Words) -> Tensor:
        """Returns (R, `outputs`) scores of R texts about R encoded videos."""
        raise TypeError(f"{type(self).__name__} must override answer")

    def pair(self, visual: Visual, asked: Asked) -> Paired:
        """Encodes videos and repeats them for each candidate of their question."""
        watched = self.watch(visual)
        if asked.candidates is None:
            return Paired(watched, asked.question, asked.question.lengths.shape)
        choices = asked.candidates.shape[1]
        repeated = tuple(part.repeat_interleave(choices, dim=0) for part in watched)
        return Paired(repeated, with_candidates(asked), asked.candidates.shape[:2])

    def respond(self, visual: Visual, words: Words) -> Tensor:
        """Returns (B, `outputs`) scores."""
        return self.answer(self.watch(visual), words)

    def logits(self, visual: Visual, asked: Asked) -> Tensor:
        """Returns (B, answers) logits, or (B, K) where questions bring candidates."""
        watched, words, shape = self.pair(visual, asked)
        scores = self.answer(watched, words)
        return scores if asked.candidates is None else scores.view(shape)


class Steps(NamedTuple):
    """A video as T steps in time.

    Attributes:
        appearance: (B, T, A).
        motion: (B, T, M).
    """

    appearance: Tensor
    motion: Tensor


def time_steps(visual: Visual, step: Literal["clip", "frame"]) -> Steps:
    """Cuts videos into steps: clips with the mean of their frames, or frames with the motion of their clip."""
    appearance, motion = visual
    if step == "clip":
        return Steps(appearance.mean(2), motion)
    return Steps(appearance.flatten(1, 2), motion.repeat_interleave(appearance.shape[2], dim=1))


class TemporalAttention(nn.Module):
    """Steps weighed by a question: softmax over steps of w · tanh(V h + Q q), and the weighted sum.

    Args:
        dim: d of steps and question.
        dtype: Floating type.
    """

    def __init__(self, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.step = nn.Linear(dim, dim, dtype=dtype)
        self.question = nn.Linear(dim, dim, bias=False, dtype=dtype)
        self.score = nn.Linear(dim, 1, bias=False, dtype=dtype)
        xavier_uniform(self)

    def forward(self, states: Tensor, question: Tensor) -> Attended:
        """Reads (B, T, d) states for (B, d) questions."""
        scores = self.score(torch.tanh(self.step(states) + self.question(question)[:, None])).squeeze(-1)
        weights = torch.softmax(scores, dim=1)
        return Attended((weights[:, :, None] * states).sum(1), weights)
