"""Baselines of video question answering: relation units by hand, and what may not change an answer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional

from bench.data.vqa import Clips, Questions, VqaData, VqaSplit
from bench.errors import UserError
from bench.methods.answerer import Asked, QuestionBatch, Visual, Words
from bench.methods.base import Context
from bench.methods.layers.crn import RelationUnit, draw_subsets, subset_of, subset_sizes
from bench.methods.layers.steps import TemporalAttention, time_steps
from bench.methods.layers.word_frame_graph import DropConnect, attention
from bench.methods.registry import METHODS

DOUBLE = torch.float64
BASELINES = ("q_only", "st_vqa", "hcrn", "hga")
SMALL = {"dim": 8, "word_dim": 6}
VARIANTS = [
    ("q_only", {}),
    ("st_vqa", {}),
    ("st_vqa", {"step": "frame"}),
    ("hcrn", {}),
    ("hcrn", {"draws": 2, "eval_draws": 3}),
    ("hcrn", {"subsets": "all"}),
    ("hcrn", {"authors_head": True}),
    ("hga", {}),
    ("hga", {"step": "frame", "bidirectional": True}),
    ("hga", {"attention_layers": 0, "gcn_layers": 1}),
]


def world(*, choices=0, clips=5, frames=4, words=7, seed=0, vectors=False):
    """Random questions about random clips; every question is about its own video."""
    rng = np.random.default_rng(seed)
    rows = 6
    lengths = rng.integers(1, words + 1, rows)
    tokens = np.where(np.arange(words) < lengths[:, None], rng.integers(2, 12, (rows, words)), 0).astype(np.int32)
    candidates = rng.integers(2, 12, (rows, choices, 3)).astype(np.int32) if choices else None
    candidate_lengths = rng.integers(1, 4, (rows, choices)) if choices else None
    if candidates is not None:
        candidates[np.arange(3) >= candidate_lengths[:, :, None]] = 0
    names = np.array([f"q{row}" for row in range(rows)])
    questions = Questions(
        tokens, lengths, np.arange(rows), rng.integers(0, choices or 4, rows), np.zeros(rows, np.int64), names,
        candidates, candidate_lengths, names, names,
    )  # fmt: skip
    appearance, motion = rng.normal(size=(rows, clips, frames, 5)), rng.normal(size=(rows, clips, 3))
    split = VqaSplit(questions, Clips(appearance, motion, names))
    answers = () if choices else ("a", "b", "c", "d")
    table = rng.normal(size=(12, 9)).astype(np.float32) if vectors else None
    return VqaData("made-up", tuple(map(str, range(12))), answers, ("any",), choices, split, split, table)


def batch_of(data):
    questions, clips = data.train.questions, data.train.clips
    asked = Asked(Words(torch.from_numpy(questions.tokens).long(), torch.from_numpy(questions.lengths)))
    if questions.candidates is not None:
        asked = asked._replace(
            candidates=torch.from_numpy(questions.candidates).long(),
            candidate_lengths=torch.from_numpy(questions.candidate_lengths),
        )
    visual = Visual(torch.from_numpy(clips.appearance), torch.from_numpy(clips.motion))
    return QuestionBatch(visual, asked, torch.from_numpy(questions.answers))


def built(name, data, seed=0, **values):
    torch.manual_seed(seed)
    cls = METHODS.get(name)
    return cls(cls.Config.with_values(SMALL | values), Context(data, dtype=DOUBLE))


def take(batch, rows):
    visual = Visual(*(part[rows] for part in batch.visual))
    question = Words(*(part[rows] for part in batch.asked.question))
    candidates, lengths = batch.asked.candidates, batch.asked.candidate_lengths
    asked = Asked(question) if candidates is None else Asked(question, candidates[rows], lengths[rows])
    return QuestionBatch(visual, asked, batch.answers[rows])


# Relation units


def test_relation_unit_on_three_objects_by_hand():
    unit = RelationUnit(3, 2, DOUBLE, gated=True, draws=None)
    assert unit.sizes == (2,)
    fuse, gate = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 1]]), torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0]])
    unit.load_state_dict(
        {
            "fuse.0.weight": fuse,
            "fuse.0.bias": torch.tensor([0.0, -10]),
            "gate.0.weight": gate,
            "gate.0.bias": torch.zeros(2),
            "fixed_2": unit.fixed_2,
        }
    )
    objects = torch.tensor([[[[2.0, 0], [4, 2], [6, 4]]]], dtype=DOUBLE)
    condition = torch.tensor([[[3.0, 5]]], dtype=DOUBLE)
    # Means of the pairs 01, 02, 12: (3, 1), (4, 2), (5, 3). Before ELU: (3, 1 + 5 - 10), (4, -3), (5, -2).
    # Gate: σ(3) and σ(0) for each pair.
    expected = [
        (3 + 4 + 5) / 3 / (1 + math.exp(-3)),
        sum(math.exp(x) - 1 for x in (-4, -3, -2)) / 3 / 2,
    ]
    torch.testing.assert_close(unit(objects, condition), torch.tensor([[[expected]]], dtype=DOUBLE))


@pytest.mark.parametrize(("objects", "largest"), [(1, None), (2, None), (3, None), (5, None), (6, 4)])
def test_all_subsets_are_those_of_brute_force(objects, largest):
    torch.manual_seed(0)
    unit = RelationUnit(objects, 4, DOUBLE, gated=True, largest=largest, draws=None, groups=3)
    inputs, condition = torch.randn(2, 3, objects, 4, dtype=DOUBLE), torch.randn(2, 3, 4, dtype=DOUBLE)
    found = unit(inputs, condition)
    for index, size in enumerate(unit.sizes):
        related = []
        for subset in itertools.combinations(range(objects), size):
            joined = torch.cat([inputs[:, :, list(subset)].mean(2), condition], dim=2)
            related.append(functional.elu(unit.fuse[index](joined)) * torch.sigmoid(unit.gate[index](joined)))
        torch.testing.assert_close(found[:, :, index], torch.stack(related).mean(0))
    assert found.shape == (2, 3, len(unit.sizes), 4)


@pytest.mark.parametrize(
    ("objects", "largest", "sizes"),
    [
        (1, None, (1,)),
        (2, None, (2,)),
        (3, None, (2,)),
        (5, None, (4, 3, 2)),
        (5, 3, (5, 4, 3)),
        (5, 4, (5, 4, 3, 2)),
        (16, None, tuple(range(15, 1, -1))),
    ],
)
def test_sizes_of_subsets(objects, largest, sizes):
    assert subset_sizes(objects, largest) == sizes


@given(st.data())
def test_subsets_are_in_the_order_of_itertools(data):
    objects = data.draw(st.integers(1, 9))
    size = data.draw(st.integers(1, objects))
    every = list(itertools.combinations(range(objects), size))
    members = subset_of(np.arange(len(every)), objects, size)
    assert [tuple(np.flatnonzero(row)) for row in members] == every


@given(st.integers(1, 12), st.data())
def test_drawn_subsets_are_distinct_and_of_their_size(objects, data):
    size = data.draw(st.integers(1, objects))
    draws = data.draw(st.integers(1, 8))
    weights = draw_subsets(np.random.default_rng(0), objects, size, draws=draws, groups=4)
    count = min(draws, math.comb(objects, size))
    assert weights.shape == (1 if count == math.comb(objects, size) else 4, count, objects)
    np.testing.assert_allclose(weights.sum(-1), 1)
    assert ((weights > 0).sum(-1) == size).all()
    for group in weights:
        assert len({tuple(row) for row in group}) == count


def test_single_draws_reach_every_subset_evenly():
    weights = draw_subsets(np.random.default_rng(0), 4, 2, draws=1, groups=6000)
    _, counts = np.unique(weights[:, 0] > 0, axis=0, return_counts=True)
    assert len(counts) == 6 and counts.min() > 850


def test_training_draws_anew_and_evaluation_does_not():
    torch.manual_seed(0)
    unit = RelationUnit(8, 4, DOUBLE, draws=1, eval_draws=4)
    inputs, condition = torch.randn(1, 1, 8, 4, dtype=DOUBLE), torch.randn(1, 1, 4, dtype=DOUBLE)
    assert not unit(inputs, condition).equal(unit(inputs, condition))
    torch.manual_seed(1)
    once = unit(inputs, condition)
    torch.manual_seed(1)
    assert unit(inputs, condition).equal(once)
    unit.eval()
    assert unit(inputs, condition).equal(unit(inputs, condition))
    restored = RelationUnit(8, 4, DOUBLE, draws=1, eval_draws=4, seed=9)
    restored.load_state_dict(unit.state_dict())
    assert restored.eval()(inputs, condition).equal(unit(inputs, condition))


def test_all_subsets_of_many_clips_are_refused():
    with pytest.raises(UserError, match=r"(?s)16 clips or frames have 12870 subsets .* subsets: sampled"):
        built("hcrn", world(clips=16), subsets="all")
    assert built("hcrn", world(clips=16)).video_motion.outputs == 14
    with pytest.raises(UserError, match="up to 64 objects, but the videos have 65"):
        built("hcrn", world(clips=65))


@pytest.mark.parametrize(("clips", "frames"), [(1, 1), (2, 3), (3, 2), (4, 4), (9, 1)])
def test_hcrn_takes_any_number_of_clips_and_frames(clips, frames):
    data = world(clips=clips, frames=frames)
    batch = batch_of(data)
    method = built("hcrn", data)
    method.loss(batch).total.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in method.parameters())


# What may not change an answer


@pytest.mark.parametrize("choices", [0, 3])
def test_q_only_never_looks_at_the_visuals(choices):
    data = world(choices=choices)
    batch = batch_of(data)
    poisoned = batch._replace(visual=Visual(*(torch.full_like(part, math.nan) for part in batch.visual)))
    first, second = built("q_only", data), built("q_only", data)
    for method, given_batch in ((first, batch), (second, poisoned)):
        torch.manual_seed(1)
        method.loss(given_batch).total.backward()
        method.eval()
    assert first.logits(*batch[:2]).equal(second.logits(*poisoned[:2]))
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours.grad.equal(theirs.grad)


@pytest.mark.parametrize("choices", [0, 3])
@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_an_answer_depends_neither_on_batch_mates_nor_on_padding(name, values, choices):
    data = world(choices=choices)
    batch = batch_of(data)
    method = built(name, data, **values).eval()
    whole = method.logits(batch.visual, batch.asked)
    assert whole.shape == (6, choices or 4)
    for row in range(6):
        alone = take(batch, [row])
        torch.testing.assert_close(method.logits(alone.visual, alone.asked)[0], whole[row])
    tokens, lengths = batch.asked.question
    # Even words behind a question's end are not read.
    behind = torch.arange(tokens.shape[1]) >= lengths[:, None]
    longer = Words(torch.cat([torch.where(behind, 5, tokens), tokens.new_full((6, 3), 7)], dim=1), lengths)
    torch.testing.assert_close(method.logits(batch.visual, batch.asked._replace(question=longer)), whole)
    order = [3, 1, 5, 0, 2, 4]
    turned = take(batch, order)
    torch.testing.assert_close(method.logits(turned.visual, turned.asked), whole[order])


@pytest.mark.parametrize("name", ["st_vqa", "hcrn", "hga"])
def test_an_answer_depends_on_the_visuals_and_on_the_question(name):
    data = world()
    batch = batch_of(data)
    method = built(name, data).eval()
    whole = method.logits(batch.visual, batch.asked)
    for part in range(2):
        changed = list(batch.visual)
        changed[part] = changed[part].flip(0)
        assert not torch.allclose(method.logits(Visual(*changed), batch.asked), whole)
    assert not torch.allclose(method.logits(batch.visual, take(batch, [1, 2, 3, 4, 5, 0]).asked), whole)


@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_candidates_are_scored_as_texts_of_their_own(name, values):
    data = world(choices=3)
    batch = batch_of(data)
    method = built(name, data, **values).eval()
    found = method.logits(batch.visual, batch.asked)
    for row, choice in ((0, 0), (2, 1), (5, 2)):
        length = int(batch.asked.question.lengths[row])
        added = batch.asked.candidates[row, choice, : int(batch.asked.candidate_lengths[row, choice])]
        tokens = torch.cat([batch.asked.question.tokens[row, :length], added])[None]
        visual = Visual(*(part[row : row + 1] for part in batch.visual))
        alone = method.respond(visual, Words(tokens, torch.tensor([tokens.shape[1]])))
        torch.testing.assert_close(alone[0, 0], found[row, choice])


# Training


@pytest.mark.parametrize("choices", [0, 3])
@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_every_weight_is_trained(name, values, choices):
    data = world(choices=choices, vectors=name == "hga")
    batch = batch_of(data)
    method = built(name, data, **values)
    loss = method.loss(batch).total
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad is not None for weight in method.parameters())
    alone = take(batch, [0])
    assert method.loss(alone).total.isfinite()


def test_the_authors_bugs_leave_drop_connect_layers_untrained():
    method = built("hga", world(), authors_bugs=True)
    frozen = {name for name, weight in method.named_parameters() if not weight.requires_grad}
    assert len(frozen) == 8 and all(name.startswith(("video.motion", "video.join", "attention.0")) for name in frozen)
    batch = batch_of(world())
    assert method.loss(batch).total.isfinite()


def test_word_vectors_are_where_embeddings_start():
    data = world(vectors=True)
    for name, table in (("q_only", "encoder.embed.table.weight"), ("hga", "sentence.table.weight")):
        method = built(name, data)
        np.testing.assert_allclose(method.get_parameter(table).detach().numpy(), data.word_vectors)


def test_a_width_that_cannot_be_halved_is_refused():
    for name in BASELINES:
        with pytest.raises(ValidationError, match="multiple of 2"):
            METHODS.get(name).Config.with_values({"dim": 7})


def test_drop_connect_drops_single_weights_in_training_only():
    torch.manual_seed(0)
    layer = DropConnect(40, 40, DOUBLE, dropout=0.5)
    seen = layer(torch.eye(40, dtype=DOUBLE)).T
    dropped = seen == 0
    assert 0.4 < dropped.double().mean() < 0.6
    torch.testing.assert_close(seen[~dropped], 2 * layer.weight[~dropped])
    torch.testing.assert_close(layer.eval()(torch.eye(40, dtype=DOUBLE)).T, layer.weight)


# Attention and what explains an answer


def test_masked_attention_by_hand():
    scores = torch.tensor([[[0.0, math.log(3), 50.0], [1.0, 1.0, 1.0]]], dtype=DOUBLE)
    weights = attention(scores, torch.tensor([[True, False]]), torch.tensor([[True, True, False]]))
    expected = torch.tensor([[[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]], dtype=DOUBLE)
    torch.testing.assert_close(weights, expected)
    nothing = attention(scores, torch.tensor([[True, True]]), torch.zeros(1, 3, dtype=torch.bool))
    torch.testing.assert_close(nothing, torch.full((1, 2, 3), 1 / 3, dtype=DOUBLE))


def test_temporal_attention_by_hand():
    module = TemporalAttention(1, DOUBLE)
    ones = {name: torch.ones_like(weight) for name, weight in module.state_dict().items()}
    module.load_state_dict(ones | {"step.bias": torch.zeros(1, dtype=DOUBLE)})
    states, question = torch.tensor([[[1.0], [-2.0]]], dtype=DOUBLE), torch.tensor([[0.5]], dtype=DOUBLE)
    first, second = math.exp(math.tanh(1.5)), math.exp(math.tanh(-1.5))
    found = module(states, question)
    assert found.weights[0, 0].item() == pytest.approx(first / (first + second))
    assert found.vector.item() == pytest.approx((first - 2 * second) / (first + second))


def test_steps_are_clips_or_frames():
    appearance, motion = torch.arange(12.0).view(1, 2, 3, 2), torch.tensor([[[1.0], [2.0]]])
    by_clip, by_frame = (time_steps(Visual(appearance, motion), step) for step in ("clip", "frame"))
    assert by_clip.appearance.tolist() == [[[2, 3], [8, 9]]] and by_clip.motion.equal(motion)
    assert by_frame.appearance.equal(torch.arange(12.0).view(1, 6, 2))
    assert by_frame.motion.flatten().tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("choices", [0, 3])
@pytest.mark.parametrize(
    ("name", "step", "steps"), [("st_vqa", "clip", 5), ("st_vqa", "frame", 20), ("hga", "clip", 5)]
)
def test_explanations_are_shares_of_what_is_real(name, step, steps, choices):
    data = world(choices=choices)
    batch = batch_of(data)
    found = built(name, data, step=step).eval().explain(batch.visual, batch.asked)
    rows = (6, choices) if choices else (6,)
    assert found["steps"].shape == (*rows, steps)
    total = sum(part.sum(-1) for part in found.values())
    torch.testing.assert_close(total, torch.ones(rows, dtype=DOUBLE))
    assert all((part >= 0).all() for part in found.values())
    if name == "hga" and not choices:
        behind = torch.arange(found["words"].shape[1]) >= batch.asked.question.lengths[:, None]
        assert not found["words"][behind].any() and (found["words"][~behind] >= 0).all()


def test_the_baselines_are_registered_for_questions():
    for name in BASELINES:
        assert METHODS.get(name).tasks == {"vqa"} and METHODS.get(name).Config.space()
