"""What a third party's question-answering method can be tested with: a small world, and a contract every method keeps.

Use it in a test module of your own package::

    class TestMine(AnswererContract):
        method = "mine"

and once more with `choices = 5` for questions that bring candidates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from bench.data.vqa import UNKNOWN, Clips, Questions, VqaData, VqaSplit
from bench.methods.answerer import Answerer, Asked, QuestionBatch, Visual, Words
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.tasks.vqa import TASK
from bench.testing.classification import Forbidden
from bench.testing.common import build_as_job, train_briefly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.training.loop import TrainResult

COLOURS, ACTIONS = ("red", "green", "blue"), ("jump", "turn", "rest")
ASKING = {"colour": ("what", "colour"), "action": ("what", "does"), "said": ("say",)}
FILLER = ("now", "please", "here")
VOCABULARY = ("", "?", *COLOURS, *ACTIONS, "what", "colour", "does", "say", *FILLER)


def small_world(*, train: int = 192, valid: int = 60, choices: int = 0, seed: int = 0) -> VqaData:
    """Returns generated questions about clips whose appearance tells a colour and whose motion tells an action.

    A third asks for the colour, a third for the action, and a third for the word that the question says itself, which
    a method that looks at no clip can answer. Four clips of four frames; questions have 1 to 6 words.

    Args:
        train: Training questions, each about a video of its own.
        valid: Validation questions; the answer of the last one is none of training's (-1) where questions are open.
        choices: Candidates of each question, from 2 to 6; 0 for open-ended questions.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    answers = COLOURS + ACTIONS
    codes = {name: rng.normal(size=(3, width)) for name, width in (("appearance", 12), ("motion", 8))}
    parts = {}
    for split, count in (("train", train), ("valid", valid)):
        colour, action, kind = rng.integers(0, 3, count), rng.integers(0, 3, count), np.arange(count) % 3
        said = rng.integers(0, len(answers), count)
        right = np.choose(kind, [colour, 3 + action, said])
        texts = []
        for row in range(count):
            words = [*ASKING[list(ASKING)[kind[row]]], *([answers[said[row]]] if kind[row] == 2 else [])]
            texts.append(words + rng.choice(FILLER, rng.integers(0, 4)).tolist())
        tokens, lengths = _padded(texts, width=6)
        candidates = None
        if choices:
            others = np.array([rng.permutation(np.delete(np.arange(6), r))[: choices - 1] for r in right])
            listed = rng.permuted(np.column_stack([right, others]), axis=1)
            candidates = np.array([VOCABULARY.index(word) for word in answers], dtype=np.int32)[listed][:, :, None]
            right = (listed == right[:, None]).argmax(1)
        elif split == "valid":
            right[-1] = -1
        ids = np.array([f"{split}/{row}" for row in range(count)])
        questions = Questions(
            tokens=tokens,
            lengths=lengths,
            clips=np.arange(count),
            answers=right.astype(np.int64),
            types=kind.astype(np.int64),
            ids=ids,
            candidates=candidates,
            candidate_lengths=None if candidates is None else np.ones((count, choices), dtype=np.int64),
            texts=np.array([" ".join(words) for words in texts]),
            answer_texts=np.array([answers[a] if not choices and a >= 0 else "" for a in right]),
        )
        looks = codes["appearance"][colour][:, None, None] + 0.3 * rng.normal(size=(count, 4, 4, 12))
        moves = codes["motion"][action][:, None] + 0.3 * rng.normal(size=(count, 4, 8))
        parts[split] = VqaSplit(questions, Clips(looks.astype(np.float32), moves.astype(np.float32), ids))
    return VqaData(
        name="small-world",
        vocabulary=VOCABULARY,
        answers=() if choices else answers,
        types=tuple(ASKING),
        choices=choices,
        train=parts["train"],
        valid=parts["valid"],
        digest=f"small-world-{train}-{valid}-{choices}-{seed}",
    )


def batch_of(split: VqaSplit, rows: np.ndarray, *, dtype: torch.dtype = torch.float32) -> QuestionBatch:
    """Returns some questions of a split, (B,) rows, with what they are about."""
    questions, clips = split.questions, split.clips
    about = questions.clips[rows]

    def integers(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array[rows].astype(np.int64))

    visual = Visual(*(torch.from_numpy(part[about]).to(dtype) for part in (clips.appearance, clips.motion)))
    asked = Asked(Words(integers(questions.tokens), integers(questions.lengths)))
    if questions.candidates is not None and questions.candidate_lengths is not None:
        asked = Asked(asked.question, integers(questions.candidates), integers(questions.candidate_lengths))
    return QuestionBatch(visual, asked, integers(questions.answers))


def everything(data: VqaData, *, dtype: torch.dtype = torch.float32) -> QuestionBatch:
    """Returns the validation questions as one batch."""
    return batch_of(data.valid, np.arange(len(data.valid.questions)), dtype=dtype)


def logits_of(method: Answerer, data: VqaData, *, batch: QuestionBatch | None = None) -> torch.Tensor:
    """Returns the logits of the validation questions, or of the questions of a batch, in eval mode."""
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        visual, asked, _ = batch or everything(data, dtype=next(method.parameters()).dtype)
        return method.logits(visual, asked)


def small_config(method: str) -> dict[str, Any]:
    """Returns a configuration of a method that trains in a second or two."""
    small = {"dim": 32, "word_dim": 32, "fusion_dim": 32, "batch_size": 32, "lr": 5e-3, "warmup_epochs": 0}
    config = METHODS.get(method).Config()
    return config.model_dump() | {key: value for key, value in small.items() if key in type(config).model_fields}


def build(
    method: str,
    data: VqaData,
    *,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Answerer:
    """Builds a method as a job would, its views compiled."""
    made = build_as_job({"method": method}, config or small_config(method), data, seed=seed, dtype=dtype)
    assert isinstance(made, Answerer)
    return made


def fit(method: Answerer, data: VqaData, *, epochs: int = 3, seed: int = 0) -> TrainResult:
    """Trains a method briefly on the CPU."""
    return train_briefly(method, data, TASK, "accuracy", epochs=epochs, seed=seed)


class AnswererContract:
    """What every question-answering method must do, whatever it computes.

    Subclass and set `method`, and `choices` for questions with that many candidates.
    """

    method: ClassVar[str]
    choices: ClassVar[int] = 0

    def world(self, **changes: Any) -> VqaData:
        """Returns the small world with the number of candidates under test."""
        return small_world(choices=self.choices, **changes)

    def trained(self, data: VqaData, *, seed: int = 0) -> Answerer:
        """Returns the method after two epochs."""
        method = build(self.method, data, seed=seed)
        fit(method, data, epochs=2, seed=seed)
        return method

    def test_it_learns_the_small_world(self) -> None:
        """The loss is finite and falls, and validation accuracy is over twice the chance of about a fifth.

        Without dropout, which 96 steps are too few for: settings whose names end in `dropout` are set to 0.
        """
        data = self.world()
        config = small_config(self.method)
        config |= {name: 0.0 for name in config if name.endswith("dropout")}
        method = build(self.method, data, config=config)
        result = fit(method, data, epochs=16)
        losses = [point.values["loss"] for point in result.curve]
        assert np.isfinite(losses).all() and losses[-1] < losses[0]
        logits = logits_of(method, data)
        assert logits.shape == (len(data.valid.questions), self.choices or len(data.answers))
        assert bool(torch.isfinite(logits).all())
        assert result.value > 0.4

    def test_same_seed_gives_the_same_logits(self) -> None:
        """Two trainings with one seed agree bit for bit."""
        data = self.world(train=64)
        found = [logits_of(self.trained(data, seed=3), data) for _ in range(2)]
        assert torch.equal(*found)

    def test_saved_weights_restore_the_logits(self) -> None:
        """A fresh method with the trained one's `state_dict` answers the same."""
        data = self.world(train=64)
        method = self.trained(data)
        fresh = build(self.method, data, seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(logits_of(fresh, data), logits_of(method, data))

    def test_a_question_alone_is_answered_as_in_a_crowd(self) -> None:
        """Batch mates, padding and what was drawn before make no difference, and neither does asking twice."""
        data = self.world(train=64)
        method = self.trained(data)
        everyone = logits_of(method, data)
        assert torch.equal(logits_of(method, data), everyone)
        for row in (int(data.valid.questions.lengths.argmin()), int(data.valid.questions.lengths.argmax())):
            torch.manual_seed(123)
            alone = batch_of(data.valid, np.array([row]))
            for width in (0, 9):
                words = Words(functional.pad(alone.asked.question.tokens, (0, width)), alone.asked.question.lengths)
                logits = logits_of(method, data, batch=alone._replace(asked=alone.asked._replace(question=words)))
                torch.testing.assert_close(logits[0], everyone[row], rtol=1e-4, atol=1e-5)

    def test_candidates_are_scored_whatever_their_order(self) -> None:
        """Turned about, candidates keep their logits, and their padding makes no difference."""
        if not self.choices:
            return
        data = self.world(train=64)
        method = self.trained(data)
        batch = everything(data)
        candidates, lengths = batch.asked.candidates, batch.asked.candidate_lengths
        assert candidates is not None and lengths is not None
        turned = batch.asked._replace(
            candidates=functional.pad(candidates.flip(1), (0, 3)), candidate_lengths=lengths.flip(1)
        )
        logits = logits_of(method, data, batch=batch._replace(asked=turned))
        torch.testing.assert_close(logits.flip(1), logits_of(method, data), rtol=1e-4, atol=1e-5)

    def test_a_single_row_is_a_batch(self) -> None:
        """The loss of a batch of one training question is finite, and so are its gradients."""
        data = self.world(train=8, valid=4)
        method = build(self.method, data)
        method.train()
        method.begin_epoch(1, torch.Generator().manual_seed(0))
        loss = method.loss(batch_of(data.train, np.array([2]))).total
        assert bool(torch.isfinite(loss))
        loss.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)

    def test_answering_needs_no_data_but_the_question(self) -> None:
        """With all data taken away after training, the logits are the same bit for bit."""
        data = self.world(train=64)
        method = self.trained(data)
        before = logits_of(method, data)
        poisoned: Any = Forbidden()
        blind = replace(data, train=poisoned, valid=poisoned, answers=poisoned, word_vectors=poisoned)
        for part in method.modules():
            if isinstance(part, Answerer):
                part.data, part.context = blind, Context(blind, {}, part.context.dtype)
        assert torch.equal(logits_of(method, data), before)

    def test_training_never_looks_at_other_splits(self) -> None:
        """Building and the loss do without the validation questions; a test split is not there to be looked at."""
        data = self.world(train=8, valid=4)
        poisoned: Any = Forbidden()
        hidden = replace(data, valid=poisoned)
        assert not hasattr(hidden, "test")
        method = build(self.method, hidden)
        method.train()
        method.begin_epoch(1, torch.Generator().manual_seed(0))
        assert bool(torch.isfinite(method.loss(batch_of(data.train, np.arange(8))).total))

    def test_unknown_words_given_vectors_and_double_precision_work(self) -> None:
        """Questions of one word never seen, word vectors of a width of their own, and float64 throughout."""
        data = self.world(train=8, valid=4)
        vectors = np.random.default_rng(0).normal(size=(len(data.vocabulary), 10)).astype(np.float32)
        data = replace(data, word_vectors=vectors)
        method = build(self.method, data, dtype=torch.float64)
        method.train()
        method.begin_epoch(1, torch.Generator().manual_seed(0))
        batch = batch_of(data.train, np.arange(8), dtype=torch.float64)
        loss = method.loss(batch).total
        assert loss.dtype == torch.float64 and bool(torch.isfinite(loss))
        loss.backward()
        unknown = Words(torch.full((8, 1), UNKNOWN), torch.ones(8, dtype=torch.int64))
        logits = logits_of(method, data, batch=batch._replace(asked=batch.asked._replace(question=unknown)))
        assert logits.dtype == torch.float64 and bool(torch.isfinite(logits).all())

    def test_explanations_have_a_row_for_each_question(self) -> None:
        """What `explain` returns is finite, and its first axis are the questions."""
        data = self.world(train=8, valid=5)
        method = build(self.method, data)
        logits_of(method, data)
        visual, asked, _ = everything(data)
        with torch.no_grad():
            explained = method.explain(visual, asked)
        for name, weights in explained.items():
            assert weights.shape[0] == 5 and weights.ndim > 1, name
            assert bool(torch.isfinite(weights).all()), name


def _padded(texts: list[list[str]], *, width: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.zeros((len(texts), width), dtype=np.int32)
    for row, words in enumerate(texts):
        tokens[row, : len(words)] = [VOCABULARY.index(word) for word in words]
    return tokens, np.array([len(words) for words in texts], dtype=np.int64)
