"""Task `vqa`: answer questions about videos and images, open-ended as one of the training answers, or by choice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.errors import DivergedError, UserError
from bench.methods.answerer import Answerer, Asked, QuestionBatch, Visual, Words
from bench.metrics import vqa as metrics_of
from bench.metrics.wordnet import open_wordnet
from bench.tasks.base import Evaluation, Sample
from bench.tasks.batches import Shuffled
from bench.tasks.scoring import place_of, scoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.data.dataset import Dataset
    from bench.data.vqa import Questions, VqaData, VqaSplit
    from bench.methods.base import Method
    from bench.metrics.base import Metric

TEXTS_PER_BLOCK = 512
"""Questions times candidates that are scored at a time."""
_DIGITS = 5


class QuestionBatches:
    """Training questions with what they are about.

    Questions whose answer is no class (-1) cannot train and are left out. A last batch of one question joins the one
    before it, since statistics of a batch need two.

    Args:
        data: Training questions and clips.
        batch_size: Questions in a batch; the last of an epoch may be smaller, or larger by one.
        device: Where batches live.
        generator: CPU random stream for the order of questions.

    Raises:
        UserError: No training question has a known answer.
    """

    def __init__(self, data: VqaData, *, batch_size: int, device: torch.device, generator: torch.Generator) -> None:
        self.split = data.train
        self.rows = np.flatnonzero(data.train.questions.answers >= 0)
        if not len(self.rows):
            raise UserError(f"{data.name}: no training question has an answer that could be learnt.")
        self.order, self.device = Shuffled(len(self.rows), batch_size, generator), device

    def epoch(self) -> Iterator[QuestionBatch]:
        """Yields the shuffled batches of one epoch."""
        for shuffled in self.order.epoch():
            rows = self.rows[shuffled]
            answers = torch.from_numpy(self.split.questions.answers[rows]).to(self.device)
            yield QuestionBatch(
                visual_of(self.split, rows, self.device), asked_of(self.split, rows, self.device), answers
            )


def visual_of(split: VqaSplit, rows: np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Visual:
    """Gathers what some questions are about; a video that several ask about is read once."""
    distinct, place = np.unique(split.questions.clips[rows], return_inverse=True)
    index = torch.from_numpy(place).to(device)
    wanted = torch.float32 if dtype is None else dtype
    return Visual(
        *(
            torch.from_numpy(np.array(table[distinct], dtype=np.float32)).to(device, wanted).index_select(0, index)
            for table in (split.clips.appearance, split.clips.motion)
        )
    )


def asked_of(split: VqaSplit, rows: np.ndarray, device: torch.device) -> Asked:
    """Gathers questions and candidates, cut to the longest of them."""
    questions = split.questions
    lengths = questions.lengths[rows]
    words = Words(_tokens(questions.tokens[rows, : lengths.max()], device), torch.from_numpy(lengths).to(device))
    if questions.candidates is None or questions.candidate_lengths is None:
        return Asked(words)
    among = questions.candidate_lengths[rows]
    candidates = questions.candidates[rows][:, :, : among.max()]
    return Asked(words, _tokens(candidates, device), torch.from_numpy(among).to(device))


class VqaTask:
    """Question answering about videos and images."""

    name = "vqa"
    family = "vqa"
    unit = "question"
    summary = "Answer questions about videos and images, from features of their clips."
    default_metrics = ("accuracy",)

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `accuracy[count]`; UserError when there is none."""
        return metrics_of.parse(name)

    def batches(
        self, data: VqaData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> QuestionBatches:
        """Returns batches of training questions."""
        return QuestionBatches(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: VqaData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the validation questions."""
        answerer = _answerer(method)
        predicted = predict(answerer, data.valid)
        return Evaluation(data.valid.questions.ids, scores_of(predicted, data.valid.questions, data, metrics)).values

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method on it."""
        answerer = _answerer(method)
        data: VqaData = dataset.training()
        split: VqaSplit = dataset.test()
        predicted = predict(answerer, split)
        scores = scores_of(predicted, split.questions, data, metrics)
        samples = (types_sample(predicted, split.questions, data), *reasoning_samples(answerer, split, predicted, data))
        return Evaluation(split.questions.ids, scores, samples=samples)


def predict(method: Answerer, split: VqaSplit) -> np.ndarray:
    """Returns the (n,) int64 class or candidate with the highest logit, the first of equal ones.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    questions = split.questions
    choices = 1 if questions.candidates is None else questions.candidates.shape[1]
    block = max(1, TEXTS_PER_BLOCK // choices)
    place = place_of(method)
    # Questions about one video lie together then, and are read once.
    order = np.argsort(questions.clips, kind="stable")
    predicted = np.empty(len(questions), dtype=np.int64)
    with scoring(method):
        for start in range(0, len(order), block):
            rows = order[start : start + block]
            logits = method.logits(visual_of(split, rows, *place), asked_of(split, rows, place.device))
            if not bool(torch.isfinite(logits).all()):
                raise DivergedError(f"{type(method).__name__} gave logits that are not finite", epoch=0)
            predicted[rows] = logits.argmax(dim=1).cpu().numpy()
    return predicted


def scores_of(
    predicted: np.ndarray, questions: Questions, data: VqaData, metrics: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns each metric's (n,) values.

    Raises:
        UserError: The data has no such question type, or there is no WordNet for wups.
    """
    right = metrics_of.accuracy(predicted, questions.answers)
    scores: dict[str, np.ndarray] = {}
    for name in metrics:
        kind, threshold = metrics_of.type_of(name), metrics_of.threshold_of(name)
        if kind is not None:
            scores[name] = metrics_of.of_type(right, questions.types, data.types, kind)
        elif threshold is not None:
            similarity = open_wordnet().similarity
            given = [_answer(data, questions, row, int(predicted[row])) for row in range(len(questions))]
            pairs = zip(given, questions.answer_texts.tolist(), strict=True)
            scores[name] = np.array([metrics_of.wups(one, truth, threshold, similarity) for one, truth in pairs])
        else:
            scores[name] = right
    return scores


def types_sample(predicted: np.ndarray, questions: Questions, data: VqaData) -> Sample:
    """Returns a table of accuracy by question type, with how many answers training never saw."""
    right = metrics_of.accuracy(predicted, questions.answers)
    rows = [
        {
            "type": name,
            "questions": int(of.sum()),
            "accuracy": round(float(right[of].mean()), _DIGITS),
            "unseen_answers": int((questions.answers[of] < 0).sum()),
        }
        for name, of in ((name, questions.types == index) for index, name in enumerate(data.types))
        if of.any()
    ]
    return Sample("accuracy by type", "application/json", json.dumps(rows).encode(), notes={"kind": "table"})


def reasoning_samples(method: Answerer, split: VqaSplit, predicted: np.ndarray, data: VqaData) -> Iterator[Sample]:
    """Yields what the method looked at for the first answerable question of each type, the same for every method."""
    questions = split.questions
    place = place_of(method)
    for index, name in enumerate(data.types):
        found = np.flatnonzero((questions.answers >= 0) & (questions.types == index))[:1]
        if not len(found):
            continue
        row = int(found[0])
        with scoring(method):
            weights = method.explain(visual_of(split, found, *place), asked_of(split, found, place.device))
        if not weights:
            continue
        video = str(split.clips.ids[questions.clips[row]])
        content = {
            "question": str(questions.texts[row]),
            "type": name,
            "answer": str(questions.answer_texts[row]),
            "prediction": _answer(data, questions, row, int(predicted[row])),
            "about": video,
            "clips": [f"{video}/{clip}" for clip in range(split.clips.appearance.shape[1])],
            "weights": {key: _rounded(value[0]) for key, value in weights.items()},
            **_read_words(data, questions, row, int(predicted[row])),
        }
        yield Sample(
            f"reasoning {questions.ids[row]}",
            "application/json",
            json.dumps(content).encode(),
            prompt=str(questions.texts[row]),
            notes={"kind": "reasoning", "type": name},
        )


def _answer(data: VqaData, questions: Questions, row: int, predicted: int) -> str:
    """Returns a predicted answer as text; of candidates their known words."""
    if questions.candidates is None or questions.candidate_lengths is None:
        return data.answers[predicted]
    if predicted == questions.answers[row]:
        return str(questions.answer_texts[row])
    return " ".join(_candidate(data, questions, row, predicted))


def _candidate(data: VqaData, questions: Questions, row: int, place: int) -> list[str]:
    """Returns the known words of one candidate of a question that brings some."""
    assert questions.candidates is not None and questions.candidate_lengths is not None  # noqa: S101
    tokens = questions.candidates[row, place, : int(questions.candidate_lengths[row, place])]
    return [data.vocabulary[token] for token in tokens.tolist()]


def _read_words(data: VqaData, questions: Questions, row: int, predicted: int) -> dict[str, object]:
    """Returns the words that a method reads (with the candidate it chose), and the candidates, for people."""
    words = [data.vocabulary[token] for token in questions.tokens[row, : int(questions.lengths[row])].tolist()]
    if questions.candidates is None:
        return {"words": words}
    every = [_candidate(data, questions, row, place) for place in range(questions.candidates.shape[1])]
    texts = [" ".join(words_) for words_ in every]
    if questions.answers[row] >= 0:
        texts[int(questions.answers[row])] = str(questions.answer_texts[row])
    return {"words": words + every[predicted], "candidates": texts, "chosen": predicted}


def _answerer(method: Method) -> Answerer:
    if not isinstance(method, Answerer):
        raise TypeError(f"task 'vqa' scores an Answerer, but got {type(method).__name__}")
    return method


def _tokens(values: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)


def _rounded(values: torch.Tensor) -> list[float]:
    rounded: list[float] = np.round(values.double().cpu().numpy(), _DIGITS).tolist()
    return rounded


TASK = VqaTask()
