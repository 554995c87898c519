"""Parts that video question answering methods share: word and clip encoders, bilinear fusion, read-out, answer head.

They are DualVGR's (arXiv 2107.04768), most of which are HCRN's. Not every method uses all of them: HCRN takes the
question encoder and the head, ST-VQA the head, HGA the fusion alone; the rest of each is its own paper's, so between
those methods more than the reasoning core differs. Every part starts from `xavier_uniform_` weights and zero biases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.answerer import with_candidates

if TYPE_CHECKING:
    import numpy as np

    from bench.data.vqa import VqaData
    from bench.methods.answerer import Asked, Visual, Words


class QuestionStates(NamedTuple):
    """An encoded batch of questions, cut to its longest question of L words.

    Attributes:
        words: (B, L, word_dim) word vectors; at the padding whatever vector the padding token has.
        states: (B, L, d) the state at each word; zero at the padding.
        final: (B, d) the state after the whole question.
        mask: (B, L) bool, True at real words.
    """

    words: Tensor
    states: Tensor
    final: Tensor
    mask: Tensor


class ClipStates(NamedTuple):
    """Encoded clips.

    Attributes:
        appearance: (B, N, d).
        motion: (B, N, d).
    """

    appearance: Tensor
    motion: Tensor


class Attended(NamedTuple):
    """A weighted sum and its weights.

    Attributes:
        vector: (B, d).
        weights: (B, N), non-negative, rows sum to 1.
    """

    vector: Tensor
    weights: Tensor


def pair_with_texts(clips: ClipStates, asked: Asked) -> tuple[ClipStates, Words]:
    """Returns encoded clips and the texts to be scored about them, row by row.

    Where questions bring K candidates, a text is a question with one of them, and each row of clips is repeated K times
    after encoding, which saves encoding it K times.

    Args:
        clips: States of B videos.
        asked: B questions.
    """
    if asked.candidates is None:
        return clips, asked.question
    choices = asked.candidates.shape[1]
    return ClipStates(*(part.repeat_interleave(choices, dim=0) for part in clips)), with_candidates(asked)


def xavier_uniform(module: nn.Module) -> None:
    """Fills the weights of all linear and recurrent layers inside with `xavier_uniform_` and their biases with zeros.

    A recurrent layer's stacked gates are filled as one matrix, as the authors of HCRN and DualVGR do.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.RNNBase):
            for name, weight in part.named_parameters(recurse=False):
                if "bias" in name:
                    nn.init.zeros_(weight)
                else:
                    nn.init.xavier_uniform_(weight)


class BiLSTM(nn.Module):
    """One bidirectional LSTM layer, d/2 units in each direction.

    The backward direction reads each padded sequence turned about its own last step. That is what packed sequences
    compute, at 0.7 to 0.9 of their time on a CPU, and lengths need not leave the device.

    Args:
        width: Width of the input vectors.
        dim: d, even.
        dtype: Floating type.

    Raises:
        ValueError: d is odd.
    """

    def __init__(self, width: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim must be even, since each direction of an LSTM gets one half, but is {dim}")
        self.ahead = nn.LSTM(width, dim // 2, batch_first=True, dtype=dtype)
        self.back = nn.LSTM(width, dim // 2, batch_first=True, dtype=dtype)
        xavier_uniform(self)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Reads padded sequences.

        Args:
            inputs: (B, L, width).
            lengths: (B,) int64 in 1..L.

        Returns:
            (B, L, d) states, zero at the padding, and (B, d) last states, [forward; backward].
        """
        place = torch.arange(inputs.shape[1], device=inputs.device)
        row = torch.arange(inputs.shape[0], device=inputs.device)
        mirror = (lengths[:, None] - 1 - place).clamp(min=0)
        ahead, _ = self.ahead(inputs)
        back, _ = self.back(inputs[row[:, None], mirror])
        last = torch.cat([ahead[row, lengths - 1], back[row, lengths - 1]], dim=1)
        states = torch.cat([ahead, back[row[:, None], mirror]], dim=2)
        return states * (place < lengths[:, None])[:, :, None], last

    def last(self, inputs: Tensor) -> Tensor:
        """Returns the (B, d) last states, [forward; backward], of (B, L, width) sequences without padding."""
        _, (ahead, _) = self.ahead(inputs)
        _, (back, _) = self.back(inputs.flip(1))
        return torch.cat([ahead[0], back[0]], dim=1)


class WordEmbedding(nn.Module):
    """Word vectors, tanh(dropout(E[token])) (HCRN, DualVGR).

    E starts uniform in [−1, 1), or from the dataset's vectors; it is trained in both cases. Vectors of another width
    than `dim` pass a linear layer without bias.

    Args:
        words: Size of the vocabulary, padding included.
        dim: Width of the output.
        dtype: Floating type.
        vectors: (words, any) vectors to start from, rows by token; None for none.
        dropout: Probability of dropping an entry.
    """

    def __init__(
        self, words: int, dim: int, dtype: torch.dtype, *, vectors: np.ndarray | None = None, dropout: float = 0.15
    ) -> None:
        super().__init__()
        width = dim if vectors is None else vectors.shape[1]
        self.table = nn.Embedding(words, width, dtype=dtype)
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim, bias=False, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        nn.init.uniform_(self.table.weight, -1.0, 1.0)
        if vectors is not None:
            with torch.no_grad():
                self.table.weight.copy_(torch.from_numpy(vectors))
        xavier_uniform(self.project)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns (B, L, dim) vectors of (B, L) int64 tokens."""
        return torch.tanh(self.dropout(self.project(self.table(tokens))))


class QuestionEncoder(nn.Module):
    """Reads questions with bidirectional LSTMs over trained word vectors (DualVGR, section "encoders" of its code).

    What follows a question in its row of tokens changes nothing.

    Args:
        data: The vocabulary and, where there are some, the word vectors.
        word_dim: Width of word vectors.
        dim: d, width of states.
        dtype: Floating type.
        separate: Whether the per-word states come from an LSTM of their own (DualVGR), or from the one that gives the
            final state (HCRN, and methods that do not use them).
        word_dropout: Dropout of word vectors.
        dropout: Dropout of the final state.
    """

    def __init__(
        self,
        data: VqaData,
        *,
        word_dim: int,
        dim: int,
        dtype: torch.dtype,
        separate: bool = False,
        word_dropout: float = 0.15,
        dropout: float = 0.18,
    ) -> None:
        super().__init__()
        self.embed = WordEmbedding(
            len(data.vocabulary), word_dim, dtype, vectors=data.word_vectors, dropout=word_dropout
        )
        self.final = BiLSTM(word_dim, dim, dtype)
        self.states = BiLSTM(word_dim, dim, dtype) if separate else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Words) -> QuestionStates:
        """Returns the states of a batch of questions."""
        longest = int(words.lengths.max())
        vectors = self.embed(words.tokens[:, :longest])
        states, final = self.final(vectors, words.lengths)
        if self.states is not None:
            states, _ = self.states(vectors, words.lengths)
        mask = torch.arange(longest, device=words.lengths.device) < words.lengths[:, None]
        return QuestionStates(vectors, states, self.dropout(final), mask)


class AppearanceEncoder(nn.Module):
    """One vector for each clip: the last states of a bidirectional LSTM over tanh(dropout(frame vectors)).

    Args:
        width: Width A of frame vectors.
        dim: d.
        dtype: Floating type.
        frame_dropout: Dropout of frame vectors.
        dropout: Dropout of the output.
    """

    def __init__(
        self, width: int, dim: int, dtype: torch.dtype, *, frame_dropout: float = 0.15, dropout: float = 0.18
    ) -> None:
        super().__init__()
        self.frame_dropout = nn.Dropout(frame_dropout)
        self.lstm = BiLSTM(width, dim, dtype)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns (B, N, d) vectors of (B, N, F, A) frames."""
        batch, clips = frames.shape[:2]
        last = self.lstm.last(torch.tanh(self.frame_dropout(frames.flatten(0, 1))))
        vectors: Tensor = self.dropout(last)
        return vectors.view(batch, clips, -1)


class ClipEncoder(nn.Module):
    """Both channels of a video: `AppearanceEncoder` over frames, and a linear layer over motion vectors.

    Args:
        data: Its training clips give the widths.
        dim: d.
        dtype: Floating type.
        frame_dropout: Dropout of frame vectors.
        dropout: Dropout of the encoded appearance.
    """

    def __init__(
        self, data: VqaData, *, dim: int, dtype: torch.dtype, frame_dropout: float = 0.15, dropout: float = 0.18
    ) -> None:
        super().__init__()
        clips = data.train.clips
        self.appearance = AppearanceEncoder(
            clips.appearance.shape[3], dim, dtype, frame_dropout=frame_dropout, dropout=dropout
        )
        self.motion = nn.Linear(clips.motion.shape[2], dim, dtype=dtype)
        xavier_uniform(self.motion)

    def forward(self, visual: Visual) -> ClipStates:
        """Returns the (B, N, d) states of both channels."""
        return ClipStates(self.appearance(visual.appearance), self.motion(visual.motion))


class MFB(nn.Module):
    """Multi-modal factorised bilinear pooling as DualVGR uses it: no power and no L2 normalisation.

    o = ELU(W (Σ over the factors of ELU(L_a a) ⊙ ELU(L_b b))).

    Args:
        first: Width of a.
        second: Width of b.
        dim: Width of the output.
        dtype: Floating type.
        inner: Entries after the sum.
        factors: Terms of each sum.
    """

    def __init__(
        self, first: int, second: int, dim: int, dtype: torch.dtype, *, inner: int = 256, factors: int = 2
    ) -> None:
        super().__init__()
        self.factors = factors
        self.first = nn.Linear(first, inner * factors, dtype=dtype)
        self.second = nn.Linear(second, inner * factors, dtype=dtype)
        self.out = nn.Linear(inner, dim, dtype=dtype)
        xavier_uniform(self)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Returns (…, dim) of (…, first) and (…, second)."""
        product = functional.elu(self.first(first)) * functional.elu(self.second(second))
        return functional.elu(self.out(product.unflatten(-1, (-1, self.factors)).sum(-1)))


class AttentionReadout(nn.Module):
    """One vector from those of all clips: softmax over clips of w · ELU(V dropout(o)), and the weighted sum.

    Args:
        dim: d.
        dtype: Floating type.
        dropout: Dropout of the input.
    """

    def __init__(self, dim: int, dtype: torch.dtype, *, dropout: float = 0.15) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(dim, dim, bias=False, dtype=dtype)
        self.score = nn.Linear(dim, 1, dtype=dtype)
        xavier_uniform(self)

    def forward(self, clips: Tensor) -> Attended:
        """Reads (B, N, d) vectors."""
        dropped = self.dropout(clips)
        weights = torch.softmax(self.score(functional.elu(self.project(dropped))).squeeze(-1), dim=1)
        return Attended((weights[:, :, None] * dropped).sum(1), weights)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a training batch of one row, which has no variance.

    Such a row is normalised with the running statistics, which it does not change.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised (B, d) rows."""
        if self.training and inputs.shape[0] == 1:
            return functional.batch_norm(
                inputs, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(inputs)


class AnswerHead(nn.Module):
    """Scores of the answers from a read-out v and a question q.

    [v ; W q] → dropout → Linear 2d → d → ELU → batch norm → dropout → Linear d → outputs (HCRN, DualVGR).

    Args:
        dim: d.
        outputs: Number of scores.
        dtype: Floating type.
        dropout: Of both dropouts.
        question: Width of q; None for d.
    """

    def __init__(
        self, dim: int, outputs: int, dtype: torch.dtype, *, dropout: float = 0.15, question: int | None = None
    ) -> None:
        super().__init__()
        self.question = nn.Linear(question or dim, dim, dtype=dtype)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * dim, dim, dtype=dtype),
            nn.ELU(),
            BatchNorm(dim, dtype=dtype),
            nn.Dropout(dropout),
            nn.Linear(dim, outputs, dtype=dtype),
        )
        xavier_uniform(self)

    def forward(self, vector: Tensor, question: Tensor) -> Tensor:
        """Returns (B, outputs) scores of (B, d) read-outs and (B, question) questions."""
        scores: Tensor = self.layers(torch.cat([vector, self.question(question)], dim=1))
        return scores
