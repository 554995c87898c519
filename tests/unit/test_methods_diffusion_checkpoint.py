"""ddpm_t2i, ar_story and storygan on checkpoint folders: small networks of the real classes with random weights.

Those of the published sizes are in `test_methods_stable_diffusion_published`.
"""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from checkpoint_factories import blip_folder, clip_folder, clip_tokenizer, stable_diffusion_folder
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import AutoTokenizer, BlipForImageTextRetrieval, CLIPTextModel

from bench.data.checkpoints import find_checkpoint
from bench.errors import UserError
from bench.execution.plan import build_plan
from bench.methods.base import Context
from bench.methods.generation.ar_story import ARStory
from bench.methods.generation.ddpm_t2i import DDPM
from bench.methods.generation.storygan import StoryGAN
from bench.methods.layers.frozen import frozen_names
from bench.methods.layers.story_history import MEAN, STD
from bench.spec.check import validate_spec
from bench.testing.generation import batch_of, drawn, fit, small_world

TASK = {DDPM: "text_to_image", ARStory: "story", StoryGAN: "story"}
NONE = torch.zeros(2, 4, dtype=torch.bool)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    stable_diffusion_folder(root / "sd-small")
    blip_folder(root / "blip-small")
    clip_folder(root / "clip-small")
    return root


def build(cls, folders, seed=0, **config):
    torch.manual_seed(seed)
    if cls is StoryGAN:
        settings = {"encoder": str(folders / "clip-small"), "width": 4, "noise": 3, "context": 6, "batch_size": 4}
    else:
        settings = {"checkpoint": str(folders / "sd-small"), "sampling_steps": 2, "batch_size": 4}
    return cls(cls.Config(**(settings | config)), Context(small_world(TASK[cls], train=8)))


def with_blip(folders, seed=0, **config):
    return build(ARStory, folders, seed, **({"history_encoder": str(folders / "blip-small"), "words": 30} | config))


def told(method, *, frames=None, given=NONE):
    batch = batch_of(method.data.valid, slice(0, 2))
    shown = (batch.frames if frames is None else frames) * given[:, :, None, None, None]
    method.eval()
    with torch.no_grad():
        return method.complete(shown, given, batch.captions, torch.Generator().manual_seed(0))


# --- what learns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", ["ddpm_t2i", "ar_story", "ar_story with blip", "storygan"])
def test_what_the_paper_freezes_stays_and_is_not_kept_among_the_weights(folders, made):
    build_it, learnt, frozen = {
        "ddpm_t2i": (lambda seed: build(DDPM, folders, seed), ("parts.unet",), ("parts.vae", "parts.text")),
        "ar_story": (
            lambda seed: build(ARStory, folders, seed),
            ("parts.unet", "parts.text", "remember", "when"),
            ("parts.vae",),
        ),
        "ar_story with blip": (
            lambda seed: with_blip(folders, seed),
            ("parts.unet", "parts.text", "remember.vision", "remember.reader", "when", "kind"),
            ("parts.vae",),
        ),
        "storygan": (
            lambda seed: build(StoryGAN, folders, seed),
            ("drawer", "frame_judge", "story_judge"),
            ("encoder",),
        ),
    }[made]
    method = build_it(0)
    before = {name: weight.clone() for name, weight in method.named_parameters()}
    steps = fit(method, epochs=1)
    assert all(loss > 0 for losses in steps.losses.values() for loss in losses)
    moved = {name for name, weight in method.named_parameters() if not weight.equal(before[name])}
    for part in learnt:
        assert any(name.startswith(part) for name in moved), part
    assert set(frozen_names(method)) == {name for name in before if name.startswith(frozen)}
    assert not moved & set(frozen_names(method))
    state = method.state_dict()
    assert not any(name.startswith(frozen) for name in state) and moved <= set(state)
    fresh = build_it(5)
    fresh.load_state_dict(state)
    torch.testing.assert_close(drawn(fresh, method.data.valid), drawn(method, method.data.valid))


def test_frozen_parts_stay_in_eval_mode(folders):
    text_to_image, story = build(DDPM, folders).train(), build(ARStory, folders).train()
    assert [text_to_image.parts.unet.training, text_to_image.parts.text.training] == [True, False]
    assert [story.parts.unet.training, story.parts.text.training] == [True, True]
    assert not text_to_image.parts.vae.training and not story.parts.vae.training
    assert not any(part.training for part in story.eval().modules())


def test_a_method_is_named_by_the_checkpoints_it_looks_through(folders):
    pictures, history = (find_checkpoint(str(folders / name)).name for name in ("sd-small", "blip-small"))
    assert pictures.startswith("sd-small@") and history.startswith("blip-small@")
    assert build(DDPM, folders).encoders == {pictures}
    assert with_blip(folders).encoders == {pictures, history}
    (name,) = build(StoryGAN, folders).encoders
    assert name.startswith("clip-small@")


# --- what is computed -------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_diffusers_own_parts_on_the_same_draws(folders):
    method = build(DDPM, folders, drop_captions=0.0).eval()
    batch = batch_of(method.data.train, slice(0, 3))
    torch.manual_seed(7)
    found = method.loss(batch).total
    load = {"pretrained_model_name_or_path": folders / "sd-small"}
    unet = UNet2DConditionModel.from_pretrained(**load, subfolder="unet")
    vae = AutoencoderKL.from_pretrained(**load, subfolder="vae")
    text = CLIPTextModel.from_pretrained(folders / "sd-small", subfolder="text_encoder")
    scheduler = DDPMScheduler.from_pretrained(**load, subfolder="scheduler")
    with torch.no_grad():
        large = torch.nn.functional.interpolate(batch.images, (64, 64), mode="bilinear", align_corners=False)
        clean = vae.encode(large).latent_dist.mode() * vae.config.scaling_factor
        ids = clip_tokenizer()(list(batch.captions.texts), padding="max_length", truncation=True, max_length=12)
        words = text(input_ids=torch.tensor(ids["input_ids"])).last_hidden_state
        torch.manual_seed(7)
        torch.rand(3)  # which captions are left out: none
        noise = torch.randn(clean.shape)
        t = torch.randint(1000, (3,))
        answer = unet(scheduler.add_noise(clean, noise, t), t, encoder_hidden_states=words).sample
    assert clean.shape == (3, 4, 8, 8)
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(answer, noise))


def test_history_is_what_blip_reads_while_it_looks(folders):
    method = with_blip(folders).eval()
    batch = batch_of(method.data.valid, slice(0, 2))
    small = method.fitted(batch.frames)
    words = method.words(batch.captions, torch.zeros(2, dtype=torch.bool))
    found = method.remembered(small[:, 1], 1, words, batch.captions.texts)
    model = BlipForImageTextRetrieval.from_pretrained(folders / "blip-small").eval()
    tokenizer = AutoTokenizer.from_pretrained(folders / "blip-small")
    told = tokenizer([story[1] for story in batch.captions.texts], padding=True, return_tensors="pt")
    pixels = torch.nn.functional.interpolate(
        small[:, 1], (16, 16), mode="bilinear", align_corners=False, antialias=True
    )
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    asked = {"input_ids": told.input_ids, "attention_mask": told.attention_mask}
    wanted = model(**asked, pixel_values=((pixels + 1) / 2 - mean) / std, use_itm_head=True).question_embeds
    assert found.tokens.shape == (2, 30, 16)
    for row, length in enumerate(told.attention_mask.sum(1).tolist()):
        assert found.real[row].sum() == length == len(batch.captions.texts[row][1].replace(" ", "")) + 2
        torch.testing.assert_close(
            found.tokens[row, :length], wanted[row, :length] + method.when[1] + method.kind[1], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("blip", [False, True])
def test_a_frame_follows_from_what_came_before_it_alone(folders, blip):
    method = with_blip(folders) if blip else build(ARStory, folders)
    with torch.no_grad():
        for name, weight in method.parts.unet.named_parameters():
            if "attn2.to_v" in name or "attn2.to_out" in name or "conv_out" in name:
                weight.mul_(5.0)  # a U-Net of random weights hardly looks at its condition
    first = torch.tensor([[True, False, False, False]]).expand(2, -1)
    batch = batch_of(method.data.valid, slice(0, 2))
    other = batch.frames.clone()
    other[:, 0] = -other[:, 0]
    one, two = told(method, frames=batch.frames, given=first), told(method, frames=other, given=first)
    assert one[:, 0].equal(batch.frames[:, 0]) and (one[:, 1:] != two[:, 1:]).flatten(2).any(2).all()
    later = torch.tensor([[False, False, True, True]]).expand(2, -1)
    assert told(method)[:, :2].equal(told(method, given=later)[:, :2])


def test_padding_is_attended_to_as_each_paper_does(folders):
    captions = batch_of(small_world("story").valid, slice(0, 2)).captions
    none = torch.tensor([True, False])
    frozen, learning = build(DDPM, folders).parts, build(ARStory, folders).parts
    assert frozen.words(captions, none).real.all()
    words = learning.words(captions, none)
    # Two tokens stand around the letters, of which there are none in a caption that is left out.
    lengths = [2] * 4 + [min(12, len(text.replace(" ", "")) + 2) for text in captions.texts[1]]
    assert words.real.sum(1).tolist() == lengths
    words.tokens.sum().backward()
    assert learning.text.get_input_embeddings().weight.grad.any()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [DDPM, ARStory])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_folder_without_a_part_is_refused_by_name(folders, tmp_path, cls, part):
    broken = tmp_path / "broken"
    shutil.copytree(folders / "sd-small", broken)
    shutil.rmtree(broken / part)
    with pytest.raises(UserError, match=f"the {part} of checkpoint .*broken"):
        build(cls, folders, checkpoint=str(broken))


@pytest.mark.parametrize(("cls", "setting"), [(DDPM, "image_side"), (ARStory, "frame_side")])
def test_a_side_that_does_not_fit_is_refused(folders, cls, setting):
    with pytest.raises(UserError, match="multiple of 16") as caught:
        build(cls, folders, **{setting: 24})
    assert f"`{setting}` to 32" in (caught.value.hint or "")
    assert build(cls, folders, **{setting: 32}).parts.frame == (32, (4, 4, 4))


def test_what_is_no_blip_is_refused(folders, tmp_path):
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        build(ARStory, folders, history_encoder="nobody/no-such-model")
    assert "hf download Salesforce/blip-itm-large-coco" in (caught.value.hint or "")
    with pytest.raises(UserError, match="holds a 'clip' model"):
        build(ARStory, folders, history_encoder=str(folders / "clip-small"))
    shutil.copytree(folders / "blip-small", tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"history encoder .*half.* cannot be loaded"):
        build(ARStory, folders, history_encoder=str(tmp_path / "half"))


def test_a_blip_whose_width_does_not_fit_is_refused(folders, tmp_path):
    blip_folder(tmp_path / "wide", width=24)
    with pytest.raises(UserError, match="width 24, but the U-Net attends to words of width 16"):
        build(ARStory, folders, history_encoder=str(tmp_path / "wide"))
    with pytest.raises(UserError, match="words of width 32"):
        build(ARStory, folders, checkpoint=None, history_encoder=str(tmp_path / "wide"))
    small = {"width": 24, "channels": (8, 16), "heads": 2}
    method = build(ARStory, folders, checkpoint=None, history_encoder=str(tmp_path / "wide"), **small)
    assert fit(method, epochs=1).losses[""][0] > 0


def test_storygan_refuses_a_folder_without_a_clip(folders, tmp_path):
    with pytest.raises(UserError, match="neither"):
        build(StoryGAN, folders, encoder=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="'blip'"):
        build(StoryGAN, folders, encoder=str(folders / "blip-small"))


def test_a_cell_is_known_by_the_content_of_all_its_checkpoints(folders, tmp_path, fresh_cache):
    def configs(history):
        settings = {"checkpoint": str(folders / "sd-small"), "history_encoder": str(history)}
        experiment = {
            "task": "story",
            "datasets": ["shapes-stories@0.01"],
            "methods": [{"method": "ar_story", "set": settings}],
            "metrics": ["seconds_per_image"],
            "select": "seconds_per_image",
        }
        budgets = {"b": {"trials": 0, "epochs": 1, "seeds": [0]}}
        spec = {"version": 1, "name": "blip", "experiments": [experiment], "budgets": budgets, "budget": "b"}
        path = tmp_path / "spec.yaml"
        path.write_text(json.dumps(spec))
        (entry,) = build_plan(validate_spec(path), None, device="cpu").entries
        return entry.study.config

    found = configs(folders / "blip-small")
    for setting, folder in (("checkpoint", "sd-small"), ("history_encoder", "blip-small")):
        assert found[setting] == f"sha256:{find_checkpoint(str(folders / folder)).digest}"
    blip_folder(tmp_path / "blip-small", width=24)
    assert configs(tmp_path / "blip-small")["history_encoder"] != found["history_encoder"]
