"""HCRN (Le et al., CVPR 2020, arXiv 2002.10698)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field
from torch import nn

from bench.methods.layers.crn import FeatureAggregation, RelationUnit
from bench.methods.layers.steps import AnswererConfig, WatchThenAnswer
from bench.methods.layers.video import AnswerHead, QuestionEncoder, xavier_uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from bench.methods.answerer import Visual, Words
    from bench.methods.base import Context

AUTHORS_WIDTH = 512


class Subsets(NamedTuple):
    """Subsets for all four relation units, in place of those they would draw; see `RelationUnit.subsets`.

    Attributes:
        clip_motion: Of the frames of each clip.
        clip_question: Of what the unit before found in each clip.
        video_motion: Of the clips.
        video_question: Of what the unit before found in the video.
    """

    clip_motion: Sequence[Tensor]
    clip_question: Sequence[Tensor]
    video_motion: Sequence[Tensor]
    video_question: Sequence[Tensor]


class HCRN(WatchThenAnswer):
    """Hierarchical conditional relation network.

    In each clip a relation unit looks at subsets of the frames under the clip's motion, and a gated one at what that
    found under the question; over the clips the same again, under the last state of an LSTM over the motion and under
    the question. The question then weighs all that came out. Formulas follow the authors' code
    (thaolmk54/hcrn-videoqa at eb92c9b), which needs at least four clips of four frames; `subset_sizes` says what
    happens with fewer. Questions with candidates are scored text by text, as `Answerer` does it; the authors' code
    encodes question and candidate apart and has a wider head for them.
    """

    class Config(AnswererConfig):
        """Settings of `hcrn`; published: step size 1e-4, halved every 10 of 25 epochs, batches of 32."""

        subsets: Literal["sampled", "all"] = "sampled"
        """Which subsets training looks at: some of each size, drawn anew for each batch, or all; `all` looks at all in
        evaluation too and is possible for up to 14 clips and frames."""
        draws: int = Field(default=1, ge=1)
        """Subsets of each size in training with `sampled` (published: 1)."""
        eval_draws: int = Field(default=16, ge=1)
        """Subsets of each size in evaluation with `sampled`: all where there are no more, otherwise drawn once and kept
        (published: 1, drawn anew for each batch, so that the same question may get two answers)."""
        word_dropout: float = Field(default=0.15, ge=0, lt=1)
        """Dropout of word vectors."""
        question_dropout: float = Field(default=0.18, ge=0, lt=1)
        """Dropout of the question's state."""
        dropout: float = Field(default=0.15, ge=0, lt=1)
        """Dropout of what the relation units found and in the answer head."""
        authors_head: bool = False
        """Whether the answer head is 512 wide whatever dim is, as in the authors' code; the same at dim 512."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        data, dim, dtype = self.data, config.dim, context.dtype
        _, clips, frames, appearance = data.train.clips.appearance.shape
        motion = data.train.clips.motion.shape[2]
        self.encoder = QuestionEncoder(
            data,
            word_dim=config.word_dim,
            dim=dim,
            dtype=dtype,
            word_dropout=config.word_dropout,
            dropout=config.question_dropout,
        )
        self.frames = nn.Linear(appearance, dim, dtype=dtype)
        self.clip_motions = nn.Linear(motion, dim, dtype=dtype)
        self.motion_lstm = nn.LSTM(motion, dim, batch_first=True, dtype=dtype)
        self.video_motions = nn.Linear(dim, dim, dtype=dtype)
        self.questions = nn.Linear(dim, dim, dtype=dtype)
        for part in (self.frames, self.clip_motions, self.motion_lstm, self.video_motions, self.questions):
            xavier_uniform(part)
        self.clip_motion = self._unit(frames, groups=clips, seed=1)
        self.clip_question = self._unit(self.clip_motion.outputs, gated=True, groups=clips, seed=2)
        self.video_motion = self._unit(clips, seed=3)
        self.video_question = self._unit(self.video_motion.outputs, gated=True, seed=4)
        self.read = FeatureAggregation(dim, dtype, dropout=config.dropout)
        self.head = (_authors_head if config.authors_head else AnswerHead)(
            dim, self.outputs, dtype, dropout=config.dropout
        )

    def _unit(self, objects: int, *, gated: bool = False, groups: int = 1, seed: int = 0) -> RelationUnit:
        every = self.config.subsets == "all"
        return RelationUnit(
            objects,
            self.config.dim,
            self.context.dtype,
            gated=gated,
            draws=None if every else self.config.draws,
            eval_draws=None if every else self.config.eval_draws,
            groups=groups,
            seed=seed,
        )

    def watch(self, visual: Visual, subsets: Subsets | None = None) -> tuple[Tensor, ...]:
        """Returns what is found in each clip under its motion, (B, N, n, d), and the video's motion, (B, 1, d)."""
        found = self.clip_motion(
            self.frames(visual.appearance), self.clip_motions(visual.motion), subsets and subsets.clip_motion
        )
        _, (last, _) = self.motion_lstm(visual.motion)
        return found, self.video_motions(last.transpose(0, 1))

    def relate(self, watched: tuple[Tensor, ...], question: Tensor, subsets: Subsets | None = None) -> Tensor:
        """Returns (R, units, d): what the relation units find under (R, d) questions."""
        found, motion = watched
        asked = self.questions(question)[:, None]
        found = self.clip_question(found, asked, subsets and subsets.clip_question)
        # What was found in each clip are lists beside each other now, and the clips are the objects.
        found = self.video_motion(found.transpose(1, 2), motion, subsets and subsets.video_motion)
        found = self.video_question(found, asked, subsets and subsets.video_question)
        units: Tensor = found.transpose(1, 2).flatten(1, 2)
        return units

    def answer(self, watched: tuple[Tensor, ...], words: Words) -> Tensor:
        """Returns (R, `outputs`) scores."""
        question = self.encoder(words).final
        scores: Tensor = self.head(self.read(question, self.relate(watched, question)).vector, question)
        return scores


def _authors_head(dim: int, outputs: int, dtype: torch.dtype, *, dropout: float) -> AnswerHead:
    head = AnswerHead(AUTHORS_WIDTH, outputs, dtype, dropout=dropout, question=dim)
    head.layers[1] = nn.Linear(dim + AUTHORS_WIDTH, AUTHORS_WIDTH, dtype=dtype)
    xavier_uniform(head.layers[1])
    return head


METHOD = HCRN
