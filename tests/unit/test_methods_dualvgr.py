"""DualVGR's switches, its graphs, and what it says about its reasoning; numbers of the authors' are in tests/golden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.graph.clips import ClipGraph
from bench.methods.answerer import Asked, Words
from bench.methods.layers.clip_reasoning import GraphAttention, WordAttention, dependence
from bench.methods.layers.video import AnswerHead, BiLSTM, WordEmbedding
from bench.methods.vqa.dualvgr import DualVGR
from bench.testing.vqa import batch_of, build, everything, logits_of, small_config, small_world


def made(data, **changes):
    return build("dualvgr", data, config=small_config("dualvgr") | changes)


@pytest.fixture(scope="module")
def world():
    return small_world(train=16, valid=6)


@pytest.mark.parametrize("units", [1, 2, 3, 4])
def test_each_unit_has_its_own_weights_and_is_explained(world, units):
    method = made(world, units=units)
    assert len(method.units) == units
    weights = [unit.appearance.common.project.weight for unit in method.units]
    assert len({weight.data_ptr() for weight in weights}) == units
    method.eval()
    visual, asked, _ = everything(world)
    explained = method.explain(visual, asked)
    for channel in ("appearance", "motion"):
        punishment = explained[f"punishment_{channel}"]
        assert punishment.shape == (6, units, 4)
        assert bool(((punishment > 0) & (punishment < 1)).all())
    assert explained["words"].shape[:2] == (6, units)
    for name in ("words", "readout"):
        torch.testing.assert_close(explained[name].sum(-1), torch.ones(explained[name].shape[:-1]))
    padding = torch.arange(explained["words"].shape[2]) >= asked.question.lengths[:, None]
    assert not explained["words"].transpose(1, 2)[padding].any()


def test_without_punishment_clips_are_reasoned_over_whatever_is_asked(world):
    def fused(method):
        method.eval()
        visual, _, _ = everything(world)
        words = (Words(torch.full((6, 1), word), torch.ones(6, dtype=torch.int64)) for word in (3, 4))
        return [method.reason(visual, Asked(question)).fused for question in words]

    without = made(world, query_punishment=False)
    assert torch.equal(*fused(without))
    assert not torch.equal(*fused(made(world)))
    assert not any("punish" in name or "attend" in name for name, _ in without.named_parameters())
    assert set(without.explain(*everything(world)[:2])) == {"readout"}


def test_every_parameter_is_trained(world):
    method = made(world)
    method.loss(batch_of(world.train, np.arange(16))).total.backward()
    unused = {name for name, parameter in method.named_parameters() if parameter.grad is None}
    assert unused == set()


def test_a_weight_of_zero_leaves_its_loss_out(world):
    batch = batch_of(world.train, np.arange(4))
    assert set(made(world, alpha=0.0, beta=0.0).loss(batch).parts) == {"ce"}
    assert set(made(world, alpha=0.0).loss(batch).parts) == {"ce", "dependence"}
    loss = made(world, dropout=0.0, encoder_dropout=0.0, beta=1e-3).loss(batch)
    torch.testing.assert_close(loss.total, sum(loss.parts.values()))


def test_loss_terms_are_divided_by_the_number_of_units_alone(world):
    batch = batch_of(world.train, np.arange(8))
    method = made(world, units=3, beta=1.0, alpha=0.0, dropout=0.0, encoder_dropout=0.0)
    cycles = method.reason(batch.visual, batch.asked).cycles
    terms = [dependence(c.specific, c.common) for cycle in cycles for c in (cycle.appearance, cycle.motion)]
    torch.testing.assert_close(method.loss(batch).parts["dependence"], sum(terms) / 3)


def test_dependence_is_the_trace_it_is_named_after():
    x, y = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    centre = torch.eye(5, dtype=torch.float64) - 1 / 5
    traces = [torch.trace(centre @ a @ a.T @ centre @ b @ b.T) for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(dependence(x, y), sum(traces))


def test_clips_outside_the_window_send_nothing(world):
    config = DualVGR.Config(clip_window=1)
    assert DualVGR.views(config, {}) == {"clips": (ClipGraph(window=1),)}
    mask = torch.eye(4, dtype=torch.bool) | torch.eye(4, dtype=torch.bool).roll(1, 1)
    graph = GraphAttention(8, mask, torch.float64, heads=4, dropout=0.0)
    clips = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    graph(clips, None)[:, 0].sum().backward()
    assert bool(clips.grad[:, :2].abs().sum() > 0)
    assert not clips.grad[:, 2:].any()
    assert made(world, clip_window=1).units[0].motion.common.mask.sum() == 10


def test_a_clip_without_neighbours_gets_nothing_and_stays_finite():
    graph = GraphAttention(8, torch.zeros(1, 1, dtype=torch.bool), torch.float32, dropout=0.0)
    clips = torch.randn(2, 1, 8, requires_grad=True)
    out = graph(clips, torch.rand(2, 1))
    out.sum().backward()
    assert not out.any()
    assert bool(torch.isfinite(clips.grad).all())


def test_a_clip_punished_to_nothing_sends_nothing():
    graph = GraphAttention(8, torch.ones(3, 3, dtype=torch.bool), torch.float64, dropout=0.0)
    clips = torch.randn(1, 3, 8, dtype=torch.float64)
    silent = graph(clips, torch.tensor([[0.0, 0.0, 0.0]], dtype=torch.float64))
    assert not silent.any()


def test_the_chosen_candidate_is_explained():
    data = small_world(train=8, valid=5, choices=5)
    method = made(data)
    method.eval()
    visual, asked, _ = everything(data)
    explained = method.explain(visual, asked)
    chosen = logits_of(method, data).argmax(1)
    only = asked._replace(
        candidates=asked.candidates[torch.arange(5), chosen][:, None],
        candidate_lengths=asked.candidate_lengths[torch.arange(5), chosen][:, None],
    )
    for name, weights in method.explain(visual, only).items():
        torch.testing.assert_close(explained[name][..., : weights.shape[-1]], weights)


def test_word_attention_of_the_authors_moves_with_padding_by_little_and_the_mended_not_at_all():
    words, states = torch.randn(2, 1, 3, 8, dtype=torch.float64)
    padded = [nn.functional.pad(part, (0, 0, 0, 40)) for part in (words, states)]
    for over_padding in (False, True):
        torch.manual_seed(0)
        attend = WordAttention(8, torch.float64, over_padding=over_padding)
        short = attend(words, states, torch.ones(1, 3, dtype=torch.bool)).weights
        long = attend(*padded, torch.arange(43)[None] < 3).weights
        assert not long[:, 3:].any()
        difference = float((long[:, :3] - short).abs().max().detach())
        assert (1e-7 < difference < 1e-3) if over_padding else difference < 1e-15


def test_reading_padded_sequences_is_what_packing_computes():
    layer, inputs, lengths = BiLSTM(5, 6, torch.float64), torch.randn(4, 7, 5, dtype=torch.float64), [7, 1, 3, 6]
    states, last = layer(inputs, torch.tensor(lengths))
    both = nn.LSTM(5, 3, batch_first=True, bidirectional=True, dtype=torch.float64)
    both.load_state_dict(
        dict(layer.ahead.state_dict()) | {f"{name}_reverse": value for name, value in layer.back.state_dict().items()}
    )
    packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    out, (final, _) = both(packed)
    torch.testing.assert_close(states, nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0])
    torch.testing.assert_close(last, torch.cat([final[0], final[1]], 1))
    torch.testing.assert_close(layer.last(inputs[:1]), last[:1])


def test_words_start_from_given_vectors_and_are_projected_to_width():
    vectors = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    same, other = (WordEmbedding(9, width, torch.float64, vectors=vectors, dropout=0.0) for width in (5, 3))
    tokens = torch.tensor([[1, 8]])
    torch.testing.assert_close(same(tokens), torch.tanh(torch.from_numpy(vectors[[[1, 8]]]).double()))
    assert other(tokens).shape == (1, 2, 3)
    assert same.table.weight.requires_grad


def test_a_single_training_row_is_normalised_with_the_running_statistics():
    head = AnswerHead(4, 3, torch.float64, dropout=0.0)
    row = torch.randn(1, 4, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    head.train()
    before = {name: value.clone() for name, value in head.named_buffers()}
    trained = head(*row)
    assert all(value.equal(before[name]) for name, value in head.named_buffers())
    head.eval()
    torch.testing.assert_close(trained, head(*row))


def test_widths_that_do_not_divide_are_refused():
    for wrong in ({"dim": 30}, {"dim": 9, "heads": 3}, {"units": 0}, {"heads": 0}):
        with pytest.raises(ValidationError, match="even multiple of heads"):
            DualVGR.Config(**wrong)


def test_other_numbers_of_clips_frames_and_widths_work(world):
    split = replace(
        world.train,
        clips=replace(world.train.clips, appearance=np.ones((16, 1, 2, 5), "f4"), motion=np.ones((16, 1, 3), "f4")),
    )
    data = replace(world, train=split, digest="")
    method = made(data)
    loss = method.loss(batch_of(split, np.arange(8))).total
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in method.parameters())
