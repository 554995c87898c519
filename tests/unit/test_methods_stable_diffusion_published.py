"""ddpm_t2i, storyimager and ar_story on Stable Diffusion 1.5 and BLIP-large: one step of each whole method.

The networks are built from their published configurations as shapes without the gigabytes of weights (torch's `meta`
device), so what does not fit together fails here and no value is looked at.
"""

from __future__ import annotations

import pytest
import torch
from checkpoint_factories import blip_folder, clip_text, clip_tokenizer
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import BlipConfig, BlipForImageTextRetrieval, CLIPTextModel, masking_utils

from bench.data.checkpoints import Checkpoint
from bench.encoders import stable_diffusion
from bench.methods.base import Context
from bench.methods.generation.ar_story import ARStory
from bench.methods.generation.ddpm_t2i import DDPM
from bench.methods.generation.storyimager import StoryImager
from bench.methods.layers.captions import Words
from bench.methods.layers.stable_diffusion import TrainedStableDiffusion
from bench.methods.layers.story_attention import AdaptedSelfAttention, FrameStoryAttention, adapter_parameters
from bench.methods.layers.story_checkpoint import StableDiffusionParts
from bench.testing.generation import batch_of, small_world

TASK = {DDPM: "text_to_image", StoryImager: "story", ARStory: "story"}


def stable_diffusion_1_5(cls, checkpoint, part, **_):
    """Parts of Stable Diffusion 1.5 by its config files, without weights."""
    levels = [128, 256, 512, 512]
    made = {
        "unet": lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        "vae": lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=levels,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        ),
        "text_encoder": lambda: CLIPTextModel(
            clip_text(
                vocab_size=49_408,
                hidden_size=768,
                intermediate_size=3_072,
                num_hidden_layers=12,
                num_attention_heads=12,
                max_position_embeddings=77,
            )
        ),
        "tokenizer": clip_tokenizer,
        "scheduler": lambda: DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    }
    with torch.device("meta"):
        return made[part]()


def blip_large(folder):
    """The config and tokenizer of BLIP-large, whose weights `on_meta` makes up."""
    config = BlipConfig(
        text_config={"encoder_hidden_size": 1_024, "num_attention_heads": 12},
        vision_config={
            "hidden_size": 1_024,
            "intermediate_size": 4_096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 16,
        },
    )
    blip_folder(folder)
    (folder / "model.safetensors").unlink()
    config.save_pretrained(folder)
    return config


@pytest.fixture
def on_meta(monkeypatch, tmp_path):
    """Makes `checkpoint` Stable Diffusion 1.5 and the returned folder BLIP-large, as shapes without the gigabytes."""
    config = blip_large(tmp_path / "blip-large")

    def blip(*_, **__):
        with torch.device("meta"):
            return BlipForImageTextRetrieval(config), {"missing_keys": []}

    monkeypatch.setattr(stable_diffusion, "_loaded", stable_diffusion_1_5)
    monkeypatch.setattr(stable_diffusion, "find_checkpoint", lambda asked: Checkpoint(asked, "sd@00000000", "0" * 64))
    monkeypatch.setattr(BlipForImageTextRetrieval, "from_pretrained", blip)
    # Shapes have no values: neither a mask's, read to save work, nor those that say whose captions are left out.
    for skips in ("_ignore_bidirectional_mask_sdpa", "_ignore_causal_mask_sdpa"):
        monkeypatch.setattr(masking_utils, skips, lambda *_, **__: False, raising=False)
    for parts in (TrainedStableDiffusion, StableDiffusionParts):
        read = parts.words
        told = lambda self, captions, drop, read=read: read(self, captions, torch.zeros(len(drop)).bool())  # noqa: E731
        monkeypatch.setattr(parts, "words", told)
    return tmp_path / "blip-large"


def build(cls, **config):
    """A whole method on Stable Diffusion 1.5; what it adds of its own is drawn, then made a shape too."""
    settings = {"checkpoint": "sd", "sampling_steps": 1} | config
    return cls(cls.Config(**settings), Context(small_world(TASK[cls], train=4))).to("meta")


def shapes(given):
    """A batch without its values."""
    if isinstance(given, torch.Tensor):
        return given.to("meta")
    return type(given)(*map(shapes, given)) if hasattr(given, "_fields") else given


def millions(module):
    return round(sum(weight.numel() for weight in module.parameters()) / 1e6, 1)


def take_a_step(method, monkeypatch):
    """Goes back from the loss of two rows; returns the shapes that the U-Net said, and the learning parts by name."""
    said = []
    monkeypatch.setattr(method.parts.unet, "forward", noting(said, method.parts.unet.forward))
    loss = method.train().loss(shapes(batch_of(method.data.train, slice(0, 2)))).total
    assert loss.is_meta and loss.shape == ()
    loss.backward()
    learns = {name for name, weight in method.named_parameters() if weight.requires_grad}
    reached = {name for name, weight in method.named_parameters() if weight.grad is not None}
    assert learns and reached == learns, "the loss reaches all that learns and nothing else"
    return said, learns


def noting(said, forward):
    def answer(*given, **named):
        found = forward(*given, **named)
        said.append((tuple(given[0].shape), tuple(named["encoder_hidden_states"].shape), tuple(found.sample.shape)))
        return found

    return answer


def test_a_step_of_ddpm_on_stable_diffusion(on_meta, monkeypatch):
    method = build(DDPM)
    assert method.parts.frame == (512, (4, 64, 64))
    sizes = [millions(part) for part in (method.parts.unet, method.parts.vae, method.parts.text)]
    assert sizes == [859.5, 83.7, 123.1]
    said, learns = take_a_step(method, monkeypatch)
    assert said == [((2, 4, 64, 64), (2, 77, 768), (2, 4, 64, 64))]
    assert learns == {f"parts.unet.{name}" for name, _ in method.parts.unet.named_parameters()}
    with torch.no_grad():
        captions = shapes(batch_of(method.data.valid, slice(0, 2)).captions)
        assert method.parts.decode(torch.empty(2, 4, 64, 64, device="meta")).shape == (2, 3, 512, 512)
        assert method.eval().generate(captions, torch.Generator()).shape == (2, 3, 16, 16), "resized to the data's side"


def test_a_step_of_storyimager_on_stable_diffusion(on_meta, monkeypatch):
    method = build(StoryImager, rank=16, queries=8, story_tokens=16)
    assert method.parts.frame == (256, (4, 32, 32)), "four frames share a board of 512 pixels"
    unet = method.parts.unet
    assert sum(isinstance(part, FrameStoryAttention) for part in unet.modules()) == 16
    assert sum(isinstance(part, AdaptedSelfAttention) for part in unet.modules()) == 16
    adapters = sum(weight.numel() for weight in adapter_parameters(unet))
    assert 0.005 < adapters / sum(weight.numel() for weight in unet.parameters()) < 0.02
    said, learns = take_a_step(method, monkeypatch)
    assert said == [((2, 4, 64, 64), (2, 4 * 77 + 16, 768), (2, 4, 64, 64))]
    own = {id(weight) for weight in [*adapter_parameters(unet), *method.story_context.parameters()]}
    assert learns == {name for name, weight in method.named_parameters() if id(weight) in own}
    batch = shapes(batch_of(method.data.valid, slice(0, 2)))
    with torch.no_grad():
        given = torch.zeros(2, 4, dtype=torch.bool, device="meta")
        made = method.eval().complete(batch.frames, given, batch.captions, torch.Generator())
    assert made.shape == batch.frames.shape == (2, 4, 3, 16, 16)


@pytest.mark.parametrize("blip", [False, True])
def test_a_step_of_ar_story_on_stable_diffusion(on_meta, monkeypatch, blip):
    method = build(ARStory, **({"history_encoder": str(on_meta), "words": 85} if blip else {}))
    assert method.parts.frame == (512, (4, 64, 64))
    if blip:
        assert method.remember.side == 384 and millions(method.remember.vision) == 303.7
    own = max(len(text.replace(" ", "")) for story in method.data.train.texts[:2] for text in story) + 2
    said, learns = take_a_step(method, monkeypatch)
    # All eight frames at once; a caption is padded to the longest alone, and each frame is 85 tokens of BLIP or one.
    remembered = 4 * 85 if blip else 4
    assert said == [((8, 4, 64, 64), (8, own + remembered, 768), (8, 4, 64, 64))]
    frozen = {f"parts.vae.{name}" for name, _ in method.parts.vae.named_parameters()}
    assert learns == {name for name, _ in method.named_parameters()} - frozen
    none = torch.zeros(1, dtype=torch.bool, device="meta")
    words = Words(torch.empty(1, 4, 77, 768, device="meta"), torch.ones(1, 4, 77, dtype=torch.bool, device="meta"))
    with torch.no_grad():
        history = method.history(torch.empty(1, 4, 3, 512, 512, device="meta"), words, (("a b",) * 4,))
        condition = method.condition(words, history, 3, none)
    assert condition.tokens.shape == (1, 77 + remembered, 768), "the longest caption there can be"
