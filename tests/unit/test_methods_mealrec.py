"""MealRec's switches do what they say, and the generated micro-videos hide the preference in some frames only."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bench.data.dataset import open_dataset
from bench.data.types import Modality
from bench.methods.layers.frames import FrameContent
from bench.methods.registry import METHODS
from bench.methods.sequential.mealrec import shuffled_within
from bench.methods.sequential_recommender import SequenceBatch
from bench.testing.sequential import build, fit, small_world

SMALL = {"dim": 16, "steps": 10, "dropout": 0.0, "batch_size": 32}


def content(frames: np.ndarray, *, temporal: bool) -> torch.Tensor:
    torch.manual_seed(0)
    layer = FrameContent({"frames": frames}, 8, temporal=temporal, sharpness=2.0, dtype=torch.float64).double()
    with torch.no_grad():
        return layer().content


@pytest.mark.parametrize(("temporal", "same"), [(True, False), (False, True)])
def test_shuffled_frames_change_the_content_only_under_temporal_guidance(temporal, same):
    frames = np.random.default_rng(0).normal(size=(10, 5, 6)).astype(np.float32)
    shuffled = frames[:, [3, 0, 4, 1, 2]]
    assert torch.allclose(content(frames, temporal=temporal), content(shuffled, temporal=temporal)) is same


def test_an_item_without_frames_has_no_content_whatever_is_learned():
    frames = np.random.default_rng(1).normal(size=(4, 3, 6)).astype(np.float32)
    frames[2] = 0
    found = content(frames, temporal=True)
    assert not found[2].any()
    assert found[[0, 1, 3]].abs().sum(1).min() > 0


def test_the_weights_of_frames_are_the_formula():
    """ω = softmax(κ (δ_k + cos(f_k, g))), δ_1 = 1, computed by hand for one item."""
    frames = np.random.default_rng(2).normal(size=(3, 4, 5)).astype(np.float32)
    torch.manual_seed(0)
    layer = FrameContent({"f": frames}, 6, temporal=True, sharpness=1.5, dtype=torch.float64).double()
    with torch.no_grad():
        found = layer()
        f = layer.project(layer.frames)[1] + layer.positions
        g = layer.gru(f[None])[1][-1, 0]
        cos = lambda a, b: float(a @ b / a.norm() / b.norm())  # noqa: E731
        fresh = [1.0] + [1 - cos(f[k], f[k - 1]) for k in range(1, 4)]
        logits = np.array([1.5 * (fresh[k] + cos(f[k], g)) for k in range(4)])
        weights = np.exp(logits) / np.exp(logits).sum()
        expected = sum(w * row for w, row in zip(weights, f, strict=True))
    torch.testing.assert_close(found.content[1], expected)
    torch.testing.assert_close(found.context[1], g)


def test_blind_denoising_is_not_told_the_noise_level_and_the_switch_tells_it():
    data = small_world()
    blind, told = (build("mealrec", data, config=SMALL | {"condition_on_t": value}) for value in (False, True))
    state, noisy = torch.randn(2, 16), torch.randn(2, 16)
    t = [torch.tensor([k, k]) for k in (1, 9)]
    assert torch.equal(*(blind.prefer(noisy, state, step) for step in t))
    assert not torch.equal(*(told.prefer(noisy, state, step) for step in t))


def test_without_both_diffusions_only_the_ranking_loss_is_left():
    data = small_world()
    method = build("mealrec", data, config=SMALL | {"tcd": False, "npd": False})
    result = fit(method, data, epochs=1)
    values = result.curve[0].values
    assert values["loss"] == values["loss/ranking"] and values["loss/tcd"] == 0.0 and "loss/npd" not in values
    states = torch.randn(3, 16)
    assert torch.equal(method.preference(states), states)


@pytest.mark.parametrize("backbone", ["sasrec", "gru4rec"])
def test_every_part_gets_a_gradient_over_either_backbone(backbone):
    data = small_world()
    method = build("mealrec", data, config=SMALL | {"backbone": backbone})
    from bench.tasks.sequential import TASK

    batches = TASK.batches(data, batch_size=32, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    method.loss(next(iter(batches.epoch()))).total.backward()
    silent = [name for name, weight in method.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


def test_prediction_does_not_draw():
    data = small_world()
    method = build("mealrec", data, config=SMALL | {"sample_steps": 3, "guidance": 1.0}).eval()
    scores = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            method.begin_scoring()
            scores.append(method.score(torch.tensor([[1, 2, 3]])))
    assert torch.equal(*scores)


def test_frames_of_one_vector_and_of_several_modalities_are_put_side_by_side():
    data = small_world()
    flat = np.random.default_rng(0).normal(size=(data.n_items, 5)).astype(np.float32)
    both = dict(data.modalities) | {"text": Modality(data.modalities["frames"].info, flat)}
    method = build("mealrec", dataclasses.replace(data, modalities=both), config=SMALL)
    assert method.content.frames.shape == (data.n_items, 4, 6 + 5)


@pytest.mark.parametrize("shape", [(300, 4, 3), (5, 1, 2)])
def test_shuffling_keeps_every_frame_within_its_item(shape):
    frames = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    found = shuffled_within(frames)
    assert torch.equal(shuffled_within(frames), found), "the order is drawn once and for all"
    for before, after in zip(frames, found, strict=True):
        assert sorted(map(tuple, after.tolist())) == sorted(map(tuple, before.tolist()))
    orders = {tuple((row[:, 0] - row[:, 0].min()).tolist()) for row in found}
    assert len(orders) == math.factorial(shape[1]), "items have orders of their own, and every order occurs"


def test_the_given_order_shows_the_frames_as_they_are_and_a_shuffled_one_differs_in_nothing_else():
    """Columns (F − mean) / deviation over the items with frames; the weights start alike, frame by frame or not."""
    data = small_world()
    plain, given, shuffled = (
        build("mealrec", data, config=SMALL | config)
        for config in ({}, {"frame_order": "given"}, {"frame_order": "shuffled"})
    )
    raw = data.modalities["frames"].features
    known = raw[1:].reshape(-1, raw.shape[2])
    expected = torch.from_numpy((raw - known.mean(0)) / np.maximum(known.std(0), 1e-6))
    assert torch.equal(plain.content.frames, expected) and torch.equal(given.content.frames, expected)
    assert torch.equal(shuffled.content.frames, shuffled_within(expected))
    weights = [method.state_dict() for method in (plain, given, shuffled)]
    assert all(torch.equal(weights[0][name], other[name]) for other in weights[1:] for name in weights[0])


def test_given_order_trains_bit_for_bit_like_the_default_and_shuffled_frames_do_not():
    data = small_world()
    losses = []
    for config in ({}, {"frame_order": "given"}, {"frame_order": "shuffled"}):
        curve = fit(build("mealrec", data, config=SMALL | config), data, epochs=2).curve
        losses.append([point.values["loss"] for point in curve])
    assert losses[0] == losses[1] != losses[2]


def test_tcd_sees_another_order_in_training_and_in_scoring():
    """The context of every item with frames changes in both, and is the same in both."""
    given, shuffled = double(frame_order="given"), double(frame_order="shuffled")
    with torch.no_grad():
        shuffled.load_state_dict(given.state_dict())
        contexts = [method.refined(learning=now)[0].context for method in (given, shuffled) for now in (True, False)]
    assert torch.equal(contexts[0], contexts[1]) and torch.equal(contexts[2], contexts[3])
    moved = (contexts[0] != contexts[2]).any(1)
    same = (given.content.frames == shuffled.content.frames).all(2).all(1)
    assert torch.equal(moved, ~same) and int(moved.sum()) > 10, "1 of 24 orders is the given one"
    unordered = double(temporal_guidance=False), double(temporal_guidance=False, frame_order="shuffled")
    with torch.no_grad():
        unordered[1].load_state_dict(unordered[0].state_dict())
        torch.testing.assert_close(*(method.refined(learning=False)[0].content for method in unordered))


def test_trained_weights_score_the_same_in_a_fresh_method_with_shuffled_frames():
    data = small_world()
    first, fresh = (build("mealrec", data, config=SMALL | {"frame_order": "shuffled"}, seed=seed) for seed in (1, 2))
    fresh.load_state_dict(first.state_dict())
    with torch.no_grad():
        scores = [method.eval().score(torch.tensor([[1, 2, 3]])) for method in (first, fresh)]
    assert torch.equal(*scores)


def double(**config):
    method = build("mealrec", small_world(), config=SMALL | config, dtype=torch.float64).eval()
    with torch.no_grad():
        # Rows as long as the content, so that neither hides an error in the other.
        method.items.weight[1:].normal_()
    return method


def mlp(denoiser, *parts):
    """Linear-SiLU-Linear-SiLU-Linear of one row."""
    x = torch.cat(parts)
    for layer in denoiser.layers:
        x = x * torch.sigmoid(x) if isinstance(layer, torch.nn.SiLU) else layer.weight @ x + layer.bias
    return x


def waves(t):
    angles = [t * 10_000 ** (-k / 16) for k in range(16)]
    return torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=torch.float64)


def alpha_bars(steps):
    """ᾱ_0 … ᾱ_T of the linear schedule."""
    scale = 1000 / steps
    betas = [min(scale * (1e-4 + (0.02 - 1e-4) * t / (steps - 1)), 0.999) for t in range(steps)]
    return np.cumprod([1.0, *(1 - beta for beta in betas)])


def velocity(method, noisy, told, t):
    """√ᾱ_t v^t − √(1 − ᾱ_t) D₁ over ten steps."""
    bar = alpha_bars(10)[t]
    return math.sqrt(bar) * noisy - math.sqrt(1 - bar) * mlp(method.refine, noisy, told, waves(t))


def test_content_loss_is_the_mean_over_items_with_frames(monkeypatch):
    method = double()
    items = method.n_items
    t = torch.arange(items) % 10 + 1
    noise = torch.randn(items, 16, dtype=torch.float64)
    drawn = torch.rand(items, 1, dtype=torch.float64)
    drawn[1], drawn[2] = 0.05, 0.5
    monkeypatch.setattr(method.diffusion, "draw_steps", lambda count, power, device: t)
    monkeypatch.setattr(torch, "randn_like", lambda like: noise)
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: drawn)
    with torch.no_grad():
        found, loss = method.refined(learning=True)
        clean, context = method.content()
        bar, total, hidden = alpha_bars(10), 0.0, 0
        for i in range(1, items):
            noisy = math.sqrt(bar[t[i]]) * clean[i] + math.sqrt(1 - bar[t[i]]) * noise[i]
            told = torch.cat([context[i], method.items.weight[i + 1]])
            if float(drawn[i]) < 0.1:
                told, hidden = torch.zeros_like(told), hidden + 1
            answer = velocity(method, noisy, told, int(t[i]))
            total += float((answer - clean[i]).square().mean())
    assert hidden and not found.content[0].any(), "the first item has no frames"
    assert loss.item() == pytest.approx(total / (items - 1), rel=1e-10)


def test_training_ranks_with_the_content_that_a_prediction_sees():
    method = double(sample_steps=3, guidance=1.0)
    with torch.no_grad():
        seen = [method.train(mode).refined(learning=mode)[0] for mode in (True, False)]
    assert torch.equal(seen[0].content, seen[1].content) and torch.equal(seen[0].context, seen[1].context)


@pytest.mark.parametrize(("steps", "weight"), [(1, 0.0), (5, 0.0), (5, 2.0), (10, 1.0)])
def test_content_at_test_is_the_reverse_walk_from_clean_content(steps, weight):
    """S posterior means from v⁰ at noise level S, each about (1 + w) D₁(context) − w D₁(nothing)."""
    method = double(sample_steps=steps, guidance=weight)
    with torch.no_grad():
        found = method.refined(learning=False)[0].content
        clean, context = method.content()
        bar = alpha_bars(10)
        for i in range(1, method.n_items):
            x, told = clean[i], torch.cat([context[i], method.items.weight[i + 1]])
            for t in range(steps, 0, -1):
                answer = (1 + weight) * velocity(method, x, told, t)
                answer = answer - weight * velocity(method, x, torch.zeros_like(told), t)
                beta = 1 - bar[t] / bar[t - 1]
                kept = math.sqrt(1 - beta) * (1 - bar[t - 1]) / (1 - bar[t])
                x = math.sqrt(bar[t - 1]) * beta / (1 - bar[t]) * answer + kept * x
            torch.testing.assert_close(found[i], x)


@pytest.mark.parametrize("told", [False, True])
def test_loss_is_ranking_over_items_and_both_denoising_errors(monkeypatch, told):
    """Cross-entropy of h̃ · z_j over the items (no padding class) + α L_TCD + β L_NPD, place by place."""
    method = double(condition_on_t=told, alpha=0.3, beta=0.7, rho=0.5)
    inputs, targets = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([[0, 2, 9], [4, 5, 24]])
    places = [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    steps, noise = torch.tensor([1, 10, 3, 7, 5]), torch.randn(5, 16, dtype=torch.float64)
    with torch.no_grad():
        refined, content_loss = method.refined(learning=True)
        monkeypatch.setattr(method, "refined", lambda *, learning: (refined, content_loss))
        monkeypatch.setattr(method.diffusion, "draw_steps", lambda count, power, device: steps)
        monkeypatch.setattr(torch, "randn_like", lambda like: noise)
        loss = method.loss(SequenceBatch(inputs, targets, torch.zeros_like(inputs)))
        table = method.vectors(refined)
        states = method.encoder(torch.nn.functional.embedding(inputs, table), inputs)
        bar, ranking, denoising = alpha_bars(10), 0.0, 0.0
        for k, (row, place) in enumerate(places):
            h, t = states[row, place], int(steps[k])
            wanted = table[targets[row, place]]
            final = h + 0.5 * mlp(method.prefer, h, h, *([waves(1)] if told else []))
            torch.testing.assert_close(method.preference(h[None])[0], final)
            logits = np.array([float(final @ table[j]) for j in range(1, 25)])
            ranking += math.log(np.exp(logits).sum()) - logits[targets[row, place] - 1]
            noisy = math.sqrt(bar[t]) * wanted + math.sqrt(1 - bar[t]) * noise[k]
            answer = mlp(method.prefer, noisy, h, *([waves(t)] if told else []))
            denoising += float((answer - wanted).square().mean())
    assert loss.parts["ranking"].item() == pytest.approx(ranking / 5, rel=1e-10)
    assert loss.parts["npd"].item() == pytest.approx(denoising / 5, rel=1e-10)
    total = ranking / 5 + 0.3 * content_loss.item() + 0.7 * denoising / 5
    assert loss.total.item() == pytest.approx(total, rel=1e-10)


def test_the_target_of_blind_denoising_gets_no_gradient():
    method = double(beta=1.0)
    seen = []
    method.prefer.register_forward_hook(lambda module, given, answer: seen.append(given[0].requires_grad))
    inputs, targets = torch.tensor([[1, 2]]), torch.tensor([[2, 3]])
    method.loss(SequenceBatch(inputs, targets, torch.zeros_like(inputs)))
    assert seen == [True, False], "the state that is refined, then the noised target"


@pytest.mark.parametrize("config", [{"sample_steps": 0}, {"sample_steps": 11, "steps": 10}])
def test_more_steps_at_test_than_in_training_are_refused(config):
    with pytest.raises(ValidationError, match="sample_steps"):
        METHODS.get("mealrec").Config(**config)


def test_generated_videos_tell_the_topic_in_few_frames_and_equal_seeds_give_equal_worlds(fresh_cache):
    first = open_dataset("microvideo-twin@0.1")
    data = first.training()
    assert data.modalities["frames"].features.shape == (150, 8, 48)
    assert open_dataset("microvideo-twin@0.1").digest == first.digest != open_dataset("microvideo-twin@0.2").digest
    held = first.test()
    assert len(held) == first.sizes["users"] == 300
    for user in range(20):
        row = held.histories.items[held.histories.offsets[user] : held.histories.offsets[user + 1]]
        assert len(set(row.tolist())) == len(row), "nobody watches a video twice"
