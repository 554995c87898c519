"""Caption matching: the candidate whose words are nearest to a video's captions. Nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn import functional

from bench.errors import BenchError
from bench.methods.answerer import Answerer, Asked, Visual, Words
from bench.methods.base import Needs
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.base import Context


class CaptionMatch(Answerer):
    """Cosine of each candidate's words with the vectors of a video's captions.

    For data whose appearance vectors are sums of the vectors of caption words (nextqa-captions): a candidate is the sum
    of its words' vectors, and its score the largest, the mean or the mean of the four largest cosines with the video's
    frames. The baseline of the data's publication here, which uses sparse TF-IDF vectors, without a network.
    """

    class Config(MethodConfig):
        """Settings of caption matching."""

        pooling: Annotated[Literal["max", "top4", "mean"], Choices("max", "top4", "mean")] = "max"
        """How the cosines of a candidate with the frames become one score."""
        question: Annotated[float, Choices(0.0, 0.1, 0.3, 1.0), Field(ge=0)] = 0.0
        """Weight of the question's words beside the candidate's."""

    closed_form: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(modalities=frozenset({"candidates"}))

    vectors: Tensor

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        found, width = self.data.word_vectors, self.data.train.clips.appearance.shape[-1]
        if not self.data.choices or found is None or found.shape[1] != width:
            raise BenchError(
                f"caption_match needs candidates and word vectors in the space of the frames, and {self.data.name!r} "
                "has none.",
                hint="It is a baseline of nextqa-captions; leave it out for other datasets.",
            )
        self.register_buffer("vectors", torch.from_numpy(found.copy()).to(context.dtype))

    def fit(self) -> None:
        """Does nothing: the word vectors come with the data."""

    def logits(self, visual: Visual, asked: Asked) -> Tensor:
        """Returns (B, K) cosines."""
        if asked.candidates is None or asked.candidate_lengths is None:
            raise BenchError("caption_match needs questions that bring candidates.")
        batch, choices, width = asked.candidates.shape
        flat = Words(asked.candidates.reshape(-1, width), asked.candidate_lengths.reshape(-1))
        told = self._sum(flat).view(batch, choices, -1)
        told = told + self.config.question * self._sum(asked.question)[:, None]
        frames = functional.normalize(visual.appearance.flatten(1, 2), dim=-1)
        cosines = functional.normalize(told, dim=-1) @ frames.transpose(1, 2)
        if self.config.pooling == "max":
            return cosines.amax(dim=2)
        if self.config.pooling == "mean":
            return cosines.mean(dim=2)
        return cosines.topk(min(4, cosines.shape[2]), dim=2).values.mean(dim=2)

    def _sum(self, words: Words) -> Tensor:
        """Returns (B, dim) sums of the vectors of each text's words."""
        inside = torch.arange(words.tokens.shape[1], device=words.tokens.device) < words.lengths[:, None]
        return (self.vectors[words.tokens] * inside[..., None]).sum(dim=1)


METHOD = CaptionMatch
