"""The task of answering questions: batches, scores by type, samples."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.vqa import Clips, Questions, VqaData, VqaSplit
from bench.errors import BenchError, DivergedError, UserError
from bench.methods.answerer import Answerer, Asked, Visual, Words
from bench.methods.base import Context
from bench.methods.vqa.caption_match import CaptionMatch
from bench.spec.config import MethodConfig
from bench.tasks.vqa import TASK

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = ("what", "how", "never")


def split(count: int, *, choices: int = 0, videos: int = 3, part: str = "a") -> VqaSplit:
    rng = np.random.default_rng(count)
    lengths = rng.integers(1, 5, count)
    tokens = np.where(np.arange(4) < lengths[:, None], rng.integers(2, 6, (count, 4)), 0).astype(np.int32)
    clips = rng.random((videos, 2, 3, 4), dtype=np.float32)
    return VqaSplit(
        Questions(
            tokens=tokens,
            lengths=lengths,
            clips=np.arange(count) % videos,
            answers=np.arange(count) % 3 - (0 if choices else 1),
            types=np.arange(count) % 2,
            ids=np.array([f"{part}{k}" for k in range(count)]),
            candidates=rng.integers(2, 6, (count, choices, 2)).astype(np.int32) if choices else None,
            candidate_lengths=np.full((count, choices), 2) if choices else None,
            texts=np.array([f"what {k}" for k in range(count)]),
            answer_texts=np.array(["dog"] * count),
        ),
        Clips(clips, rng.random((videos, 2, 5), dtype=np.float32), np.array([f"v{k}" for k in range(videos)])),
    )


def data(count: int = 10, *, choices: int = 0, vectors: bool = False) -> VqaData:
    words = ("<pad>", "<unknown>", "a", "b", "c", "d")
    table = np.random.default_rng(1).random((6, 4), dtype=np.float32) if vectors else None
    answers = () if choices else ("dog", "cat")
    return VqaData(
        "toy", words, answers, TYPES, choices, split(count, choices=choices), split(6, choices=choices, part="b"), table
    )


class Fixed(Answerer):
    """Always answers `config.answer`, and says which clips it looked at."""

    class Config(MethodConfig):
        """Settings."""

        answer: float = 0.0
        """The class; logits are NaN below 0."""

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__(config, context)
        self.config = config

    def logits(self, visual: Visual, asked: Asked) -> Tensor:
        outputs = asked.candidates.shape[1] if asked.candidates is not None else len(self.data.answers)
        logits = torch.zeros(len(asked.question.tokens), outputs)
        if self.config.answer < 0:
            return logits + float("nan")
        logits[:, int(self.config.answer)] = 1
        return logits

    def explain(self, visual: Visual, asked: Asked) -> Mapping[str, Tensor]:
        return {"cycle 1": visual.motion.mean(dim=2)}


def batches(loaded: VqaData, size: int, seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return list(TASK.batches(loaded, batch_size=size, device=torch.device("cpu"), generator=generator).epoch())


class TestBatches:
    def test_questions_with_unseen_answers_do_not_train_and_no_batch_has_one_row(self) -> None:
        loaded = data(10)
        known = int((loaded.train.questions.answers >= 0).sum())
        found = batches(loaded, 5)
        assert known == 6 and [len(batch.answers) for batch in found] == [6]
        assert all((batch.answers >= 0).all() for batch in found)

    def test_rows_stay_together_and_the_order_is_the_generators(self) -> None:
        loaded = data(12, choices=3)
        (batch,) = batches(loaded, 100)
        questions = loaded.train.questions
        for row in range(12):
            width = batch.asked.question.tokens.shape[1]
            alike = questions.tokens[:, :width] == batch.asked.question.tokens[row].numpy()
            match = np.flatnonzero(alike.all(axis=1))
            motions = loaded.train.clips.motion[questions.clips[match]]
            assert any(np.allclose(batch.visual.motion[row].numpy(), one) for one in motions)
        assert torch.equal(batch.answers, batches(loaded, 100)[0].answers)
        assert not torch.equal(batch.answers, batches(loaded, 100, seed=3)[0].answers)

    def test_a_batch_of_one_is_kept_where_there_is_no_other(self) -> None:
        assert [len(batch.answers) for batch in batches(data(2), 5)] == [1]

    def test_data_without_a_known_answer_cannot_train(self) -> None:
        with pytest.raises(UserError, match="no training question has an answer"):
            batches(data(1), 5)


class TestScores:
    def evaluate(self, metrics: list[str], answer: float = 0.0, choices: int = 0) -> Any:
        loaded = data(choices=choices)
        method = Fixed(Fixed.Config(answer=answer), Context(loaded))
        dataset: Any = SimpleNamespace(training=lambda: loaded, test=lambda: split(9, choices=choices, part="t"))
        return TASK.evaluate(method, dataset, metrics)

    def test_accuracy_counts_unseen_answers_as_wrong(self) -> None:
        found = self.evaluate(["accuracy", "accuracy[what]"])
        assert found.values["accuracy"] == pytest.approx(3 / 9)
        assert np.isnan(found.scores["accuracy[what]"][1::2]).all() and len(found.units) == 9

    def test_a_type_without_questions_is_nan_and_an_unknown_one_an_error(self) -> None:
        assert np.isnan(self.evaluate(["accuracy[never]"]).values["accuracy[never]"])
        with pytest.raises(UserError, match="The types are what, how, never"):
            self.evaluate(["accuracy[who]"])

    def test_choices_are_scored_by_place(self) -> None:
        assert self.evaluate(["accuracy"], 2.0, choices=3).values["accuracy"] == pytest.approx(1 / 3)

    def test_validation_never_opens_test(self) -> None:
        loaded = data()
        assert 0 <= TASK.validate(Fixed(Fixed.Config(), Context(loaded)), loaded, ["accuracy"])["accuracy"] <= 1

    def test_logits_that_are_not_finite_have_diverged(self) -> None:
        with pytest.raises(DivergedError):
            self.evaluate(["accuracy"], -1.0)

    def test_samples_show_types_and_reasoning(self) -> None:
        table, *reasoning = self.evaluate(["accuracy"]).samples
        rows = json.loads(table.data)
        assert {row["type"] for row in rows} == {"what", "how"} and sum(row["unseen_answers"] for row in rows) == 3
        assert [sample.notes["kind"] for sample in reasoning] == ["reasoning", "reasoning"]
        shown = json.loads(reasoning[0].data)
        assert shown["prediction"] == "dog" and len(shown["weights"]["cycle 1"]) == len(shown["clips"]) == 2
        assert "candidates" not in shown
        test = split(9, part="t").questions
        row = test.ids.tolist().index(reasoning[0].name.removeprefix("reasoning "))
        assert shown["words"] == ["abcd"[token - 2] for token in test.tokens[row, : test.lengths[row]]]

    def test_samples_of_choices_name_the_candidates_and_the_chosen_one(self) -> None:
        shown = json.loads(self.evaluate(["accuracy"], answer=1.0, choices=3).samples[1].data)
        test = split(9, choices=3, part="t").questions
        assert test.candidates is not None
        words = [["abcd"[token - 2] for token in candidate] for candidate in test.candidates[0]]
        assert shown["chosen"] == 1 and shown["words"][-2:] == words[1]
        # The true one is shown as it was written, the others by the words that are known.
        assert shown["candidates"] == ["dog", " ".join(words[1]), " ".join(words[2])]


class TestCaptionMatch:
    def test_the_candidate_whose_words_are_the_captions_wins(self) -> None:
        loaded = data(choices=2, vectors=True)
        vectors = torch.from_numpy(loaded.word_vectors)
        method = CaptionMatch(CaptionMatch.Config(), Context(loaded))
        frames = (vectors[2] + vectors[3]).expand(1, 2, 3, 4)
        asked = Asked(
            Words(torch.tensor([[2]]), torch.tensor([1])), torch.tensor([[[4, 0], [2, 3]]]), torch.tensor([[1, 2]])
        )
        logits = method.logits(Visual(frames, torch.zeros(1, 2, 5)), asked)
        assert logits.argmax().item() == 1 and logits[0, 1].item() == pytest.approx(1, abs=1e-5)

    def test_data_without_candidates_is_refused(self) -> None:
        with pytest.raises(BenchError, match="caption_match needs candidates"):
            CaptionMatch(CaptionMatch.Config(), Context(data()))
