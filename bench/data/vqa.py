"""What loaded data looks like to a method that answers questions about images and videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PADDING, UNKNOWN = 0, 1
"""First two tokens of every vocabulary: nothing, and a word that training never saw."""


@dataclass(frozen=True, eq=False)
class Clips:
    """Features of what is asked about, cut into clips of frames. A still image is cut into regions in place of clips.

    Attributes:
        appearance: (v, N, F, A) floating: F frame vectors in each of N clips.
        motion: (v, N, M) floating: one vector for each clip.
        ids: (v,) text: name of each video or image.
    """

    appearance: np.ndarray
    motion: np.ndarray
    ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions with their answers.

    Attributes:
        tokens: (n, L) int32 words; `PADDING` fills up, every question has at least one word.
        lengths: (n,) int64 number of words, 1..L.
        clips: (n,) int64 row of the `Clips` each is about.
        answers: (n,) int64 class of the answer, or the right candidate; -1 for an answer that training never saw, which
            no prediction can match.
        types: (n,) int64 type of the question, an index into `VqaData.types`.
        ids: (n,) text: what each question is called in unit scores.
        candidates: (n, K, C) int32 words of the K answers to choose from; None for open-ended questions.
        candidate_lengths: (n, K) int64, or None.
        texts: (n,) the questions as written, for people.
        answer_texts: (n,) the true answers as written.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    clips: np.ndarray
    answers: np.ndarray
    types: np.ndarray
    ids: np.ndarray
    candidates: np.ndarray | None
    candidate_lengths: np.ndarray | None
    texts: np.ndarray
    answer_texts: np.ndarray

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, eq=False)
class VqaSplit:
    """Questions and what they are about."""

    questions: Questions
    clips: Clips


@dataclass(frozen=True, eq=False)
class VqaData:
    """The part of a question-answering dataset that training may see.

    Attributes:
        name: The dataset's name (a generated twin carries its own).
        vocabulary: Words of the training questions (and candidates) by token; `PADDING` and `UNKNOWN` first.
        answers: Distinct answers of the training questions, by class; empty where every question brings candidates.
        types: Names of the question types.
        choices: Number of candidates K of every question; 0 for open-ended questions.
        train: Training questions and clips.
        valid: Validation questions and clips.
        word_vectors: (words, dim) float32 vectors to start word embeddings from, rows by token; None where there are
            none.
        digest: sha256 of the content, the split and the features.
    """

    name: str
    vocabulary: tuple[str, ...]
    answers: tuple[str, ...]
    types: tuple[str, ...]
    choices: int
    train: VqaSplit
    valid: VqaSplit
    word_vectors: np.ndarray | None = None
    digest: str = ""

    @property
    def n_clips(self) -> int:
        """N, the number of clips of every video."""
        return int(self.train.clips.appearance.shape[1])
