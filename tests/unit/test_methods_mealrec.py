"""MealRec's switches do what they say, and the generated micro-videos hide the preference in some frames only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.data.dataset import open_dataset
from bench.data.types import Modality
from bench.methods.layers.frames import FrameContent
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
