"""From rows of questions and features of what they are about to `VqaData`: what all readers of questions share."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data.content import Content
from bench.data.readers.text import TOKENIZER_VERSION, as_tokens, stem, vocabulary_of, words
from bench.data.types import ModalityInfo
from bench.data.vqa import UNKNOWN, Questions, VqaData, VqaSplit
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.data.content import Request
    from bench.data.vqa import Clips

READER_VERSION = 1
PARTS = ("train", "valid", "test")
TOP_ANSWERS = 4000
"""Training answers that become classes, the most frequent first (HCRN and DualVGR); the rest is never predicted."""


class QuestionRow(NamedTuple):
    """A question as it was read.

    Attributes:
        place: Where it was read, for messages: file and row.
        id: What unit scores call it.
        about: Id of the video or image.
        text: The question.
        answer: The answer as written.
        type: Name of the question's type.
        candidates: The answers to choose from; none for open-ended questions.
        right: Index of the right candidate.
    """

    place: str
    id: str
    about: str
    text: str
    answer: str
    type: str
    candidates: tuple[str, ...] = ()
    right: int = -1


class Visuals(NamedTuple):
    """Where the features of what is asked about come from.

    Attributes:
        appearance: Width of frame vectors.
        motion: Width of clip vectors.
        derived: How they were made, for `ModalityInfo`; None for published features.
        load: From a part's name and ids of videos to their `Clips`, rows in that order.
        identity: What the features are a function of.
    """

    appearance: int
    motion: int
    derived: str | None
    load: Callable[[str, Sequence[str]], Clips]
    identity: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Encoder:
    """Vocabulary and answer classes of the training questions, and how any question is written with them.

    Attributes:
        train: Rows of the training part, the only ones that words and answers are taken from.
        types: Names of the question types of all parts.
        top: How many answers become classes.
        more_words: Words that are known besides those of training questions and candidates.
        by_stem: Whether a word nobody knows is written as the first known one with the same stem.
    """

    train: Sequence[QuestionRow]
    types: tuple[str, ...]
    top: int = TOP_ANSWERS
    more_words: tuple[str, ...] = ()
    by_stem: bool = False

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Words of training questions and candidates."""
        asked = [words(text) for row in self.train for text in (row.text, *row.candidates)]
        return vocabulary_of([*asked, self.more_words])

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The most frequent answers, equal counts in alphabetical order; empty where questions bring candidates."""
        if self.train[0].candidates:
            return ()
        counts = Counter(normalised(row.answer) for row in self.train)
        return tuple(sorted(counts, key=lambda answer: (-counts[answer], answer))[: self.top])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.vocabulary)}

    @cached_property
    def _stems(self) -> dict[str, int]:
        known = {stem(word): token for word, token in reversed(self._index.items()) if token > UNKNOWN}
        return known if self.by_stem else {}

    def token_of(self, word: str) -> int:
        """Returns the token of a word, `UNKNOWN` where training had neither it nor, with `by_stem`, its stem."""
        token = self._index.get(word)
        return self._stems.get(stem(word), UNKNOWN) if token is None else token

    @cached_property
    def _classes(self) -> dict[str, int]:
        return {answer: label for label, answer in enumerate(self.answers)}

    def encode(self, rows: Sequence[QuestionRow], about: Sequence[str]) -> Questions:
        """Encodes the questions of a part.

        Args:
            rows: The questions.
            about: Ids of the part's videos, in the order of its clips.

        Raises:
            DataError: A question or candidate has no word; names the place.
        """
        place = {id_: row for row, id_ in enumerate(about)}
        types = {name: index for index, name in enumerate(self.types)}
        tokens, lengths = as_tokens([words(row.text) for row in rows], self.token_of, [row.place for row in rows])
        candidates = candidate_lengths = None
        if rows[0].candidates:
            texts = [words(text) for row in rows for text in row.candidates]
            places = [f"{row.place}, candidate {k}" for row in rows for k in range(len(row.candidates))]
            flat, flat_lengths = as_tokens(texts, self.token_of, places)
            candidates = flat.reshape(len(rows), -1, flat.shape[1])
            candidate_lengths = flat_lengths.reshape(len(rows), -1)
            answers = [row.right for row in rows]
        else:
            answers = [self._classes.get(normalised(row.answer), -1) for row in rows]
        return Questions(
            tokens=tokens,
            lengths=lengths,
            clips=np.array([place[row.about] for row in rows], dtype=np.int64),
            answers=np.array(answers, dtype=np.int64),
            types=np.array([types[row.type] for row in rows], dtype=np.int64),
            ids=np.array([row.id for row in rows]),
            candidates=candidates,
            candidate_lengths=candidate_lengths,
            texts=np.array([row.text for row in rows]),
            answer_texts=np.array([row.answer for row in rows]),
        )


def normalised(answer: str) -> str:
    """Returns an answer as a class name: lower case, single spaces."""
    return " ".join(answer.lower().split())


def vqa_content(
    request: Request,
    parts: Mapping[str, Sequence[QuestionRow]],
    visuals: Visuals,
    *,
    types: tuple[str, ...],
    identity: Mapping[str, Any],
    about: str = "videos",
    word_vectors: Callable[[tuple[str, ...]], np.ndarray] | None = None,
    more_words: tuple[str, ...] = (),
    by_stem: bool = False,
    notes: Mapping[str, Any] | None = None,
) -> Content:
    """Returns what `open_content` wants of questions about videos or images.

    Args:
        request: What was asked for.
        parts: Rows of train, valid and test; no video in two of them.
        visuals: Features.
        types: Names of the question types.
        identity: What else the data is a function of: checksums of files, rules and seeds.
        about: What sizes call the things asked about.
        word_vectors: From the vocabulary to (words, dim) float32.
        more_words: Words to know besides those of training questions and candidates.
        by_stem: See `Encoder`.
        notes: What a result should carry along.

    Raises:
        DataError: See `check_rows`.
    """
    check_rows(parts, request.id)
    encoder = Encoder(parts["train"], types, more_words=more_words, by_stem=by_stem)
    order = {part: list(dict.fromkeys(row.about for row in rows)) for part, rows in parts.items()}

    def load(part: str) -> VqaSplit:
        return VqaSplit(encoder.encode(parts[part], order[part]), visuals.load(part, order[part]))

    def training(digest: str) -> VqaData:
        vocabulary = encoder.vocabulary
        return VqaData(
            name=request.id,
            vocabulary=vocabulary,
            answers=encoder.answers,
            types=types,
            choices=len(parts["train"][0].candidates),
            train=load("train"),
            valid=load("valid"),
            word_vectors=word_vectors(vocabulary) if word_vectors is not None else None,
            digest=digest,
        )

    known = set(encoder.answers)
    texts = ("question", "candidates") if parts["train"][0].candidates else ("question",)
    unseen = {part: sum(normalised(row.answer) not in known for row in parts[part]) if known else 0 for part in PARTS}
    asked = hashlib.sha256(repr([(part, list(map(tuple, parts[part]))) for part in PARTS]).encode()).hexdigest()
    return Content(
        identity={
            "reader": READER_VERSION,
            "tokenizer": TOKENIZER_VERSION,
            "questions": asked,
            "features": dict(visuals.identity),
            **identity,
        },
        modalities={
            "appearance": ModalityInfo("clips", visuals.appearance, visuals.derived),
            "motion": ModalityInfo("clips", visuals.motion, visuals.derived),
            **{name: ModalityInfo("text", len(encoder.vocabulary), None) for name in texts},
        },
        sizes={
            **{part: len(parts[part]) for part in PARTS},
            about: sum(len(ids) for ids in order.values()),
            **({"answers": len(encoder.answers)} if encoder.answers else {}),
        },
        training=training,
        test=lambda: load("test"),
        notes={
            "features": visuals.derived or "published",
            "questions_with_unseen_answer": unseen,
            **(notes or {}),
        },
    )


def check_rows(parts: Mapping[str, Sequence[QuestionRow]], where: str) -> None:
    """Checks what holds of every set of questions.

    Raises:
        DataError: A part is empty, a video is in two parts, an id is there twice, a question has no word, another
            number of candidates than the others or its right one out of range; names the place.
    """
    first: dict[str, str] = {}
    ids: dict[str, str] = {}
    choices: int | None = None
    for part in PARTS:
        if not parts[part]:
            raise DataError(f"{where}: the part {part!r} has no questions.")
        for row in parts[part]:
            if first.setdefault(row.about, part) != part:
                raise DataError(f"{row.place}: {row.about!r} is in {part!r}, but {first[row.about]!r} has it already.")
            if row.id in ids:
                raise DataError(f"{row.place}: question {row.id!r} was read before, from {ids[row.id]}.")
            ids[row.id] = row.place
            if not words(row.text):
                raise DataError(f"{row.place}: the question {row.text!r} is empty: it has no word.")
            choices = len(row.candidates) if choices is None else choices
            if len(row.candidates) != choices:
                raise DataError(f"{row.place} has {len(row.candidates)} candidates, those before it {choices}.")
            if choices and not 0 <= row.right < choices:
                raise DataError(f"{row.place}: the right answer is {row.right}, but must be 0 to {choices - 1}.")
            if not choices and not normalised(row.answer):
                raise DataError(f"{row.place}: the answer is empty.")


def grouped(ids: Iterable[str], *, seed: str, shares: Mapping[str, float]) -> dict[str, list[str]]:
    """Splits ids at random by a rule that depends on nothing but the ids and the seed.

    Args:
        ids: Distinct ids, in any order.
        seed: Mixed into the hash that orders them.
        shares: Part to its share of the ids; the last takes what the others leave.

    Returns:
        Part to its ids, in the order of their hashes.
    """
    order = sorted(ids, key=lambda id_: hashlib.sha256(f"{seed}:{id_}".encode()).digest())
    parts: dict[str, list[str]] = {}
    begin = 0
    for part in shares:
        last = part == list(shares)[-1]
        end = len(order) if last else begin + round(shares[part] * len(order))
        parts[part] = order[begin:end]
        begin = end
    return parts
