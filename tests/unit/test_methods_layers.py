"""Layers behind the graph and diffusion recommenders, against dense autograd and step-by-step computations."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.layers.contrast import in_batch_cross_entropy, info_nce_over_all
from bench.methods.layers.diffusion import (
    KEPT_LOSSES,
    Denoiser,
    Schedule,
    StepSampler,
    drop_entries,
    time_embedding,
)
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch
from bench.methods.layers.neighbours import nearest
from bench.methods.layers.sparse import Pattern, edge_dots, row_softmax, weighted_product
from bench.tasks.recommendation import TASK
from bench.testing.recommendation import CPU, small_world

F64 = torch.float64


def draw_pattern(generator, n_rows, n_cols, share):
    places = torch.rand(n_rows, n_cols, generator=generator) < share
    rows, cols = places.nonzero(as_tuple=True)
    return Pattern(rows, cols, (n_rows, n_cols)), places


def same_gradients(found, expected, inputs):
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
    for mine, theirs in zip(
        torch.autograd.grad(found, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**31))


@given(SIZES)
@settings(max_examples=40)
def test_weighted_product_equals_dense_autograd(case):
    n_rows, n_cols, share, seed = case
    generator = torch.Generator().manual_seed(seed)
    pattern, places = draw_pattern(generator, n_rows, n_cols, share)
    weights = torch.randn(int(places.sum()), dtype=F64, generator=generator, requires_grad=True)
    x = torch.randn(n_cols, 3, dtype=F64, generator=generator, requires_grad=True)
    dense = torch.zeros(n_rows, n_cols, dtype=F64).masked_scatter(places, weights)
    same_gradients(weighted_product(pattern, weights, x), dense @ x, [weights, x])


@given(SIZES)
@settings(max_examples=40)
def test_edge_dots_equal_dense_autograd(case):
    n_rows, n_cols, share, seed = case
    generator = torch.Generator().manual_seed(seed)
    pattern, places = draw_pattern(generator, n_rows, n_cols, share)
    a = torch.randn(n_rows, 3, dtype=F64, generator=generator, requires_grad=True)
    b = torch.randn(n_cols, 3, dtype=F64, generator=generator, requires_grad=True)
    same_gradients(edge_dots(pattern, a, b), (a @ b.T)[places], [a, b])


@given(SIZES)
@settings(max_examples=40)
def test_row_softmax_sums_to_one_in_every_row_with_edges(case):
    n_rows, n_cols, share, seed = case
    generator = torch.Generator().manual_seed(seed)
    pattern, places = draw_pattern(generator, n_rows, n_cols, share)
    logits = (50 * torch.randn(int(places.sum()), dtype=F64, generator=generator)).requires_grad_()
    dense = torch.full((n_rows, n_cols), -torch.inf, dtype=F64).masked_scatter(places, logits)
    same_gradients(row_softmax(pattern, logits), torch.softmax(dense, 1)[places], [logits])


@given(st.integers(1, 9), st.integers(1, 12), st.sampled_from([0.05, 0.5]), st.integers(0, 2**31))
@settings(max_examples=40)
def test_contrast_over_all_nodes_equals_the_written_out_formula(nodes, batch, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    a, c = (torch.randn(nodes, 4, dtype=F64, generator=generator, requires_grad=True) for _ in range(2))
    rows = torch.randint(nodes, (batch,), generator=generator)
    logits = F.normalize(a)[rows] @ F.normalize(c).T / temperature
    expected = F.cross_entropy(logits, rows)
    same_gradients(info_nce_over_all(a, c, rows, temperature), expected, [a, c])


@pytest.mark.parametrize("batch", [1, 5, 1500])
def test_in_batch_cross_entropy_in_blocks(batch):
    generator = torch.Generator().manual_seed(batch)
    a, p = (3 * torch.randn(batch, 4, dtype=F64, generator=generator) for _ in range(2))
    a.requires_grad_(), p.requires_grad_()
    expected = F.cross_entropy(a @ p.T / 0.2, torch.arange(batch))
    same_gradients(in_batch_cross_entropy(a, p, 0.2), expected, [a, p])


def test_nearest_rows_hold_the_row_itself_and_carry_gradients():
    vectors = torch.randn(30, 5, dtype=F64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = nearest(vectors, 4)
    unit = F.normalize(vectors)
    top = (unit @ unit.T).topk(4, dim=1)
    assert (found.items == torch.arange(30)[:, None]).any(1).all()
    assert torch.equal(found.items.sort(1).values, top.indices.sort(1).values)
    same_gradients(found.cosines, (unit @ unit.T).gather(1, found.items), [vectors])
    assert nearest(vectors[:2], 4).items.shape == (2, 2)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_reverse_steps_inside_the_hidden_layer_equal_those_over_all_items(steps):
    torch.manual_seed(0)
    denoiser = Denoiser(9, 6, 4, 0.5, F64).eval()
    schedule = Schedule.linear_variance(steps, 1e-5, 2e-3, first_beta=1e-5)
    clean = (torch.rand(5, 9) < 0.3).to(F64)
    x = clean
    for step in range(steps - 1, -1, -1):
        predicted = denoiser(x, torch.full((5,), step))
        x = schedule.keep[step] * predicted + schedule.back[step] * x
    found = denoiser.denoise(clean @ denoiser.read, schedule, denoiser.reverse())
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-11)


def test_a_schedule_without_noise_returns_the_clean_row():
    schedule = Schedule.linear_variance(3, 0.0, 0.0)
    clean = torch.rand(4, 5)
    assert torch.equal(schedule.noisy(clean, torch.tensor([0, 1, 2, 0]), torch.randn(4, 5)), clean)
    assert schedule.keep.tolist() == [1.0] * 3 and schedule.back.tolist() == [0.0] * 3


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=80), st.integers(1, 9))
@settings(max_examples=40)
def test_the_sampler_remembers_the_last_losses_of_each_step_in_order(rows, size):
    sampler, expected = StepSampler(3), {step: [] for step in range(3)}
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        sampler.record(torch.tensor([s for s, _ in part]), torch.tensor([v for _, v in part], dtype=F64))
        for step, value in part:
            expected[step] = [*expected[step], value][-KEPT_LOSSES:]
    for step, values in expected.items():
        assert sampler.losses[step, : int(sampler.counts[step])].tolist() == values
    probabilities = sampler.probabilities()
    assert probabilities.sum().item() == pytest.approx(1.0) or not torch.isfinite(probabilities).all()


def test_steps_with_larger_losses_are_drawn_more_often_and_weighed_less():
    sampler = StepSampler(2)
    sampler.record(torch.arange(2).repeat(KEPT_LOSSES), torch.tensor([1.0, 3.0]).repeat(KEPT_LOSSES))
    torch.manual_seed(0)
    steps, share = sampler.draw(4000)
    assert (steps == 1).double().mean().item() == pytest.approx(0.75, abs=0.03)
    assert (1 / share).mean().item() == pytest.approx(1.0, abs=0.05)


def test_dropped_entries_keep_the_mean():
    torch.manual_seed(0)
    dropped = drop_entries(torch.ones(40_000), 0.3)
    assert dropped.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_a_time_embedding_starts_with_cosines_and_pads_odd_widths():
    embedded = time_embedding(torch.tensor([0, 3]), 5, F64)
    assert embedded[0].tolist() == [1, 1, 0, 0, 0]
    assert embedded[1, 0].item() == pytest.approx(torch.cos(torch.tensor(3.0)).item(), rel=1e-6)


def test_history_batches_hold_every_user_with_a_training_row_once_an_epoch():
    data = small_world()
    histories = Histories.of(data)
    source = TASK.batches(
        data, batch_size=7, device=CPU, generator=torch.Generator().manual_seed(0), of="histories"
    )
    first, second = [torch.cat([batch.users for batch in source.epoch()]) for _ in range(2)]
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, torch.unique(torch.from_numpy(data.train.users).long()))
    for batch in source.epoch():
        assert isinstance(batch, HistoryBatch)
        dense = batch.dense(data.n_items, torch.float32)
        assert torch.equal(dense.sum(1).long(), histories.indptr.diff()[batch.users])
        for user, row in zip(batch.users.tolist(), dense, strict=True):
            assert torch.equal(row.nonzero().flatten(), histories.select(torch.tensor([user])).items)
