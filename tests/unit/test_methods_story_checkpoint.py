"""storyimager on a Stable Diffusion folder: small networks of the real classes with random weights, saved first.

That of the published size is in `test_methods_stable_diffusion_published`.
"""

from __future__ import annotations

import shutil

import pytest
import torch
from checkpoint_factories import stable_diffusion_folder
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer

from bench.data.checkpoints import find_checkpoint
from bench.errors import UserError
from bench.methods.base import Context
from bench.methods.generation.storyimager import StoryImager
from bench.methods.layers.frozen import frozen_names
from bench.methods.layers.story_attention import adapter_parameters
from bench.tasks.generation_common import judged
from bench.testing.generation import batch_of, drawn, fit, small_world


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stable_diffusion_folder(tmp_path_factory.mktemp("checkpoint") / "sd-small")


def build(folder, seed=0, **config):
    torch.manual_seed(seed)
    settings = {"checkpoint": str(folder), "heads": 2, "sampling_steps": 2, "batch_size": 4, "rank": 2} | config
    return StoryImager(StoryImager.Config(**settings), Context(small_world("story", train=8)))


def test_only_adapters_and_the_context_extractor_learn(folder):
    method = build(folder)
    before = {name: weight.clone() for name, weight in method.named_parameters()}
    steps = fit(method, epochs=1)
    assert all(loss > 0 for losses in steps.losses.values() for loss in losses)
    moved = {name for name, weight in method.named_parameters() if not weight.equal(before[name])}
    frozen = set(frozen_names(method))
    assert frozen and moved and not moved & frozen
    learnt = {id(weight) for weight in [*adapter_parameters(method.parts.unet), *method.story_context.parameters()]}
    assert {id(weight) for name, weight in method.named_parameters() if name not in frozen} == learnt


def test_given_frames_come_back_and_the_rest_is_drawn(folder):
    method = build(folder).eval()
    assert method.parts.frame == (32, (4, 4, 4)) and method.parts.diffusion.prediction == "epsilon"
    assert method.parts.diffusion.settings["clip_sample"] is False
    batch = batch_of(method.data.valid, slice(0, 2))
    given = torch.tensor([[True, False, False, False], [False, True, False, True]])
    shown = batch.frames * given[:, :, None, None, None]
    with torch.no_grad():
        made = method.complete(shown, given, batch.captions, torch.Generator().manual_seed(0))
    assert made[given].equal(shown[given]) and bool(torch.isfinite(made).all()) and made[~given].any()


def test_the_frozen_parts_are_not_kept_among_the_weights(folder):
    method = build(folder)
    fit(method, epochs=1)
    state = method.state_dict()
    assert not set(state) & set(frozen_names(method))
    fresh = build(folder, seed=5)
    fresh.load_state_dict(state)
    torch.testing.assert_close(drawn(fresh, method.data.valid), drawn(method, method.data.valid))
    assert method.encoders == {find_checkpoint(str(folder)).name}


def test_frozen_parts_stay_in_eval_mode(folder):
    method = build(folder).train()
    assert not method.parts.unet.training and method.story_context.training


def test_a_left_out_caption_is_the_empty_one(folder):
    method = build(folder)
    captions = batch_of(method.data.valid, slice(0, 2)).captions
    words = method.parts.words(captions, torch.tensor([True, False])).tokens
    assert words.shape == (8, 12, 16)
    assert words[0].equal(words[1]) and not words[4].equal(words[0])


@pytest.mark.parametrize("shared", ["text_encoder", "nothing"])
def test_the_clip_whose_text_half_it_reads_with_is_no_judge(folder, tmp_path, shared):
    text = CLIPTextModel.from_pretrained(folder / "text_encoder")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    clip = CLIPModel(CLIPConfig(text_config=text.config.to_dict(), vision_config=vision, projection_dim=6))
    if shared == "text_encoder":
        weights = dict(text.named_parameters())
        for name, weight in clip.text_model.named_parameters():
            source = next(value for full, value in weights.items() if full.endswith(name))
            weight.data.copy_(source)
    clip.save_pretrained(tmp_path / "clip")
    CLIPTokenizer.from_pretrained(folder / "tokenizer").save_pretrained(tmp_path / "clip")
    method = build(folder)
    metric = f"clip_score[{tmp_path / 'clip'},visualisation]"
    if shared == "nothing":
        judged(method, method.data, [metric], "story")
    else:
        with pytest.raises(UserError, match="holds half of the network"):
            judged(method, method.data, [metric], "story")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_folder_without_a_part_is_refused_by_name(folder, tmp_path, part):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    shutil.rmtree(broken / part)
    with pytest.raises(UserError, match=f"the {part} of checkpoint .*broken"):
        build(broken)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint 'nobody/no-such-model'") as caught:
        build("nobody/no-such-model")
    assert "hf download" in (caught.value.hint or "")
    with pytest.raises(UserError, match="is an empty folder"):
        build(tmp_path)


def test_a_side_that_does_not_fit_is_refused(folder):
    with pytest.raises(UserError, match="multiple of 16"):
        build(folder, frame_side=24)
