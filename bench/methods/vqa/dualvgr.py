"""DualVGR: dual-visual graph reasoning (Wang et al., IEEE TMM 2021, arXiv 2107.04768)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.clips import ClipGraph
from bench.methods.answerer import Answerer, Asked, QuestionBatch, Visual, Words
from bench.methods.base import Context, Loss, ScheduledConfig
from bench.methods.layers.clip_reasoning import (
    GraphAttention,
    QueryPunishment,
    ViewFusion,
    WordAttention,
    common_loss,
    dependence,
)
from bench.methods.layers.video import (
    MFB,
    AnswerHead,
    Attended,
    AttentionReadout,
    ClipEncoder,
    ClipStates,
    QuestionEncoder,
    QuestionStates,
    pair_with_texts,
)
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig


class Channel(NamedTuple):
    """What one cycle makes of one channel.

    Attributes:
        punishment: (B, N) in (0, 1), or None without query punishment.
        common: (B, N, d) from the graph whose similarity structure both channels should share.
        specific: (B, N, d) from the other graph.
        fused: (B, N, d) weighted sum of both.
        weights: (B, 2, N, 1) of that sum, [common, specific].
    """

    punishment: Tensor | None
    common: Tensor
    specific: Tensor
    fused: Tensor
    weights: Tensor


class Cycle(NamedTuple):
    """One cycle of reasoning.

    Attributes:
        words: Query and word attention; None without query punishment, which alone uses them.
        appearance: Of the appearance channel.
        motion: Of the motion channel.
    """

    words: Attended | None
    appearance: Channel
    motion: Channel


class Reasoning(NamedTuple):
    """The whole way from encodings to scores.

    Attributes:
        cycles: In order.
        fused: (B, N, d) both channels after the bilinear fusion.
        readout: (B, d) vector and (B, N) weights of clips.
        scores: (B, outputs).
    """

    cycles: list[Cycle]
    fused: Tensor
    readout: Attended
    scores: Tensor


class ChannelUnit(nn.Module):
    """The parts of one cycle that one channel has to itself: punishment, two graphs and their fusion.

    Args:
        config: `DualVGR.Config`.
        mask: (N, N) bool edges of the clip graph.
        dtype: Floating type.
    """

    def __init__(self, config: DualVGR.Config, mask: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.punish = QueryPunishment(config.word_dim, config.dim, dtype) if config.query_punishment else None
        self.common = GraphAttention(config.dim, mask, dtype, heads=config.heads, dropout=config.dropout)
        self.specific = GraphAttention(config.dim, mask, dtype, heads=config.heads, dropout=config.dropout)
        self.fuse = ViewFusion(config.dim, dtype)

    def forward(self, clips: Tensor, query: Tensor | None) -> Channel:
        """Reasons over (B, N, d) clips, asked by (B, word_dim) queries."""
        punishment = None if self.punish is None or query is None else self.punish(query, clips)
        common, specific = self.common(clips, punishment), self.specific(clips, punishment)
        fused, weights = self.fuse(torch.stack([common, specific], dim=1))
        return Channel(punishment, common, specific, fused, weights)


class Unit(nn.Module):
    """One cycle over both channels; each adds what it fused to what it was given.

    Args:
        config: `DualVGR.Config`.
        mask: (N, N) bool edges of the clip graph.
        dtype: Floating type.
    """

    def __init__(self, config: DualVGR.Config, mask: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.attend = (
            WordAttention(config.dim, dtype, over_padding=config.softmax_over_padding)
            if config.query_punishment
            else None
        )
        self.appearance = ChannelUnit(config, mask, dtype)
        self.motion = ChannelUnit(config, mask, dtype)

    def forward(self, clips: ClipStates, question: QuestionStates) -> tuple[ClipStates, Cycle]:
        """Returns the clips after the cycle, and what happened."""
        words = None if self.attend is None else self.attend(question.words, question.states, question.mask)
        query = None if words is None else words.vector
        appearance, motion = self.appearance(clips.appearance, query), self.motion(clips.motion, query)
        after = ClipStates(clips.appearance + appearance.fused, clips.motion + motion.fused)
        return after, Cycle(words, appearance, motion)


class DualVGR(Answerer):
    """Reasons in cycles over a graph of clips, in an appearance and a motion channel.

    Each cycle attends to words, punishes the clips that do not answer to them, and passes the clips of each channel
    through two graph attention layers, one for what both channels share and one for the rest. Edges are those of the
    view `clips` (the published graph is complete); its weights are not used. Formulas follow the authors' code
    (NJUPT-MCC/DualVGR-VideoQA at 7fbd38e), T = 2 being what it always runs; the paper's T, α and β for each dataset
    were not found. That code answers open-ended questions alone: scoring a question with each candidate is HCRN's way.
    """

    class Config(ScheduledConfig):
        """Settings of `dualvgr`. Widths are sized for small features and a CPU; help names the published values."""

        lr: Annotated[float, Choices(1e-4, 5e-4, 1e-3, 2e-3)] = 1e-3
        """Adam's step size; published: 1e-4 at width 768."""
        schedule: Literal["exponential", "step", "cosine"] = "step"
        """How the step size falls: lr_gamma^(epoch / lr_period); the same with whole steps (StepLR); or half a cosine
        over the budget's epochs."""
        lr_gamma: float = 0.5
        """The step size is multiplied by it every lr_period epochs."""
        lr_period: float = 10.0
        """See lr_gamma."""
        clip_norm: float | None = 12.0
        """Largest norm of the whole gradient; None does not clip."""
        batch_size: int = 64
        """Questions in a batch; published: 256. The dependence loss is a sum over the batch."""
        units: Annotated[int, Choices(1, 2, 3, 4)] = 2
        """T, cycles of reasoning, each with its own weights."""
        query_punishment: bool = True
        """Whether clips are scaled by how they answer to the query. Without it the question enters at the answer only,
        and there is no word attention."""
        alpha: Annotated[float, Choices(0.0, 0.1, 1.0)] = 1.0
        """α, weight of the loss that makes the common graphs of both channels alike."""
        beta: Annotated[float, Choices(0.0, 1e-8, 1e-6)] = 1e-8
        """β, weight of the loss that makes common and specific graphs independent: a raw sum, thousands at the
        published width."""
        dim: int = 128
        """d, width of clips and questions, even and a multiple of heads; published: 768."""
        word_dim: int = 64
        """Width of word vectors; published: 300."""
        heads: int = 4
        """Heads of each graph attention layer."""
        fusion_dim: int = 256
        """Width inside the bilinear fusion of both channels."""
        dropout: float = 0.15
        """Dropout of words, frames, graphs, read-out and answer."""
        encoder_dropout: float = 0.18
        """Dropout of encoded questions and clips."""
        clip_window: int | None = None
        """Clips at most this far apart are neighbours; None for the published complete graph."""
        softmax_over_padding: bool = False
        """Whether word attention runs over the padding first, as in the authors' code, whose result moves by 1e-5 with
        the amount of padding."""

        @model_validator(mode="after")
        def _check(self) -> DualVGR.Config:
            if self.units < 1 or self.heads < 1 or self.dim % 2 or self.dim % self.heads:
                raise ValueError(
                    f"units and heads must be at least 1, and dim an even multiple of heads, "
                    f"but are units={self.units}, heads={self.heads}, dim={self.dim}"
                )
            return self

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        dim, dtype = config.dim, context.dtype
        dropouts = {"dropout": config.encoder_dropout}
        self.question = QuestionEncoder(
            self.data,
            word_dim=config.word_dim,
            dim=dim,
            dtype=dtype,
            separate=config.query_punishment,
            word_dropout=config.dropout,
            **dropouts,
        )
        self.clips = ClipEncoder(self.data, dim=dim, dtype=dtype, frame_dropout=config.dropout, **dropouts)
        mask = context.views["clips"].dense() > 0
        self.units = nn.ModuleList([Unit(config, mask, dtype) for _ in range(config.units)])
        self.fuse = MFB(dim, dim, dim, dtype, inner=config.fusion_dim)
        self.read = AttentionReadout(dim, dtype, dropout=config.dropout)
        self.answer = AnswerHead(dim, self.outputs, dtype, dropout=config.dropout)

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the graph over the clips of a video."""
        assert isinstance(config, cls.Config)  # noqa: S101 - the caller validated it with this class
        return {"clips": (ClipGraph(window=config.clip_window),)}

    def reason(self, visual: Visual, asked: Asked) -> Reasoning:
        """Returns all cycles and the scores; one row for each question, or K where questions bring K candidates."""
        clips, words = pair_with_texts(self.clips(visual), asked)
        question = self.question(words)
        cycles = []
        for unit in self.units:
            clips, cycle = unit(clips, question)
            cycles.append(cycle)
        fused = self.fuse(clips.appearance, clips.motion)
        readout = self.read(fused)
        return Reasoning(cycles, fused, readout, self.answer(readout.vector, question.final))

    def respond(self, visual: Visual, words: Words) -> Tensor:
        """Returns (B, `outputs`) scores."""
        return self.reason(visual, Asked(words)).scores

    def logits(self, visual: Visual, asked: Asked) -> Tensor:
        """Returns (B, answers) logits, or (B, K) where questions bring candidates."""
        return self._by_question(self.reason(visual, asked).scores, asked)

    def loss(self, batch: QuestionBatch) -> Loss:
        """Returns cross-entropy + α/T Σ_t L_com + β/T Σ_t L_dif; a weight of 0 leaves its term out.

        L_com is the mean over batch and pairs of clips, L_dif the sum over batch and both channels.
        """
        reasoning = self.reason(batch.visual, batch.asked)
        logits = self._by_question(reasoning.scores, batch.asked)
        parts = {"ce": functional.cross_entropy(logits, batch.answers)}
        total, cycles = parts["ce"], reasoning.cycles
        if self.config.alpha:
            common = [common_loss(cycle.appearance.common, cycle.motion.common) for cycle in cycles]
            parts["common"] = self.config.alpha * torch.stack(common).sum() / len(cycles)
            total = total + parts["common"]
        if self.config.beta:
            channels = [channel for cycle in cycles for channel in (cycle.appearance, cycle.motion)]
            terms = [dependence(channel.specific, channel.common) for channel in channels]
            parts["dependence"] = self.config.beta * torch.stack(terms).sum() / len(cycles)
            total = total + parts["dependence"]
        return Loss(total, parts)

    def explain(self, visual: Visual, asked: Asked) -> Mapping[str, Tensor]:
        """Returns what the reasoning looked at; of questions with candidates, with the candidate it chose.

        Returns:
            `readout` (B, N) weights of clips; with query punishment also `punishment_appearance` and
            `punishment_motion` (B, T, N), near 1 for clips a cycle kept, and `words` (B, T, L) word attention.
        """
        with torch.no_grad():
            reasoning = self.reason(visual, asked)
        rows = torch.arange(len(asked.question.lengths), device=reasoning.scores.device)
        if asked.candidates is not None:
            choices = asked.candidates.shape[1]
            rows = rows * choices + reasoning.scores.view(-1, choices).argmax(1)
        found = {"readout": reasoning.readout.weights}
        for name in ("appearance", "motion"):
            scores = [getattr(cycle, name).punishment for cycle in reasoning.cycles]
            if self.config.query_punishment:
                found[f"punishment_{name}"] = torch.stack(scores, dim=1)
        attention = [cycle.words.weights for cycle in reasoning.cycles if cycle.words is not None]
        if attention:
            found["words"] = torch.stack(attention, dim=1)
        return {name: weights[rows] for name, weights in found.items()}

    @staticmethod
    def _by_question(scores: Tensor, asked: Asked) -> Tensor:
        return scores if asked.candidates is None else scores.view(asked.candidates.shape[:2])


METHOD = DualVGR
