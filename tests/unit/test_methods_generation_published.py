"""The methods at the papers' sizes: they are built, take one step and make an image; weights are random.

Those on Stable Diffusion 1.5 are in `test_methods_stable_diffusion_published`, as shapes without weights.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generation_worlds import batch, make, optimisers, prompts, step, world
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from bench.methods.generation.channel_affine import ChannelAffineEditor
from bench.methods.generation.ddpm_t2i import DDPM
from bench.methods.generation.denet import DENet
from bench.methods.generation.dfgan import DFGAN
from bench.methods.generation.galip import GALIP
from bench.methods.generation.spatial_affine import SpatialAffineEditor
from bench.methods.generation.storygan import StoryGAN
from bench.methods.generator import ImageEditor
from bench.testing.generation import batch_of, drawn, small_world

pytestmark = pytest.mark.slow
PUBLISHED = {"lr": 1e-4, "lr_discriminator": 4e-4}


@pytest.fixture(scope="module")
def vit_b_32(tmp_path_factory):
    """A folder with a CLIP of the published geometry and a tokenizer of single letters."""
    folder = tmp_path_factory.mktemp("checkpoint") / "clip-vit-base-patch32"
    letters = [f"{letter}{end}" for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    words = ["<|startoftext|>", "<|endoftext|>", *letters]
    text = CLIPTextConfig(vocab_size=len(words), bos_token_id=0, eos_token_id=1, pad_token_id=1)
    vision = CLIPVisionConfig(image_size=224, patch_size=32)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=512)
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[]).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("cls", "side", "sizes"),
    [
        (DFGAN, 256, {"width": 32, "noise": 100}),
        (GALIP, 224, {"width": 64, "noise": 100, "code": 64, "middle": 32, "critic": 512, "assessor": 128}),
        (DENet, 256, {"width": 32}),
        (ChannelAffineEditor, 256, {"width": 32}),
        (SpatialAffineEditor, 256, {"width": 32}),
    ],
)
def test_one_step_at_the_published_size(cls, side, sizes, vit_b_32):
    data = world(task="image_editing" if issubclass(cls, ImageEditor) else "text_to_image", side=side, n=6)
    method = make(cls, data, encoder=vit_b_32, **PUBLISHED, **sizes)
    assert not any(name.startswith("encoder.") for name in method.state_dict())
    before = {name: [weight.clone() for weight in group.parameters] for name, group in method.groups().items()}
    losses = step(method, optimisers(method), batch(data, rows=2))
    assert set(losses) == set(before) == {"discriminator", "generator"}
    assert all(loss.total.isfinite() for loss in losses.values())
    for name, group in method.groups().items():
        assert any(not weight.equal(old) for weight, old in zip(group.parameters, before[name], strict=True)), name
    method.eval()
    with torch.no_grad():
        if isinstance(method, ImageEditor):
            made = method.edit(batch(data, rows=1).images, prompts(data.valid.targets)._replace(texts=("a",)))
        else:
            made = method.generate(prompts(data.valid.captions)._replace(texts=("a",)), torch.Generator())
    assert made.shape[1:] == (3, side, side)
    assert np.isfinite(made.numpy()).all()


def test_a_diffusion_step_at_the_published_size():
    data = small_world("text_to_image", train=2, side=32)
    method = make(DDPM, data, channels=(128, 256, 256, 256), width=256, sampling_steps=2)
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-4)
    method.train()
    before = method.parts.unet.conv_in.weight.clone()
    loss = method.loss(batch_of(data.train, slice(0, 2))).total
    loss.backward()
    optimiser.step()
    assert loss.isfinite() and not method.parts.unet.conv_in.weight.equal(before)
    made = drawn(method, data.valid, slice(0, 1))
    assert made.shape == (1, 3, 32, 32) and bool(made.isfinite().all())


def test_a_step_of_storygan_at_the_published_size(vit_b_32):
    data = small_world("story", train=2, side=64)
    method = make(StoryGAN, data, encoder=vit_b_32, width=96, noise=10, context=512, kernel=15)
    assert method.drawer.first.out_features == 192 * 8 * 16, "GF_DIM 192"
    assert method.frame_judge.down[0].out_channels == 96, "DF_DIM 96"
    assert not any(name.startswith("encoder.") for name in method.state_dict())
    players = optimisers(method)
    before = {name: group.parameters[0].clone() for name, group in method.groups().items()}
    losses = step(method, players, batch_of(data.train, slice(0, 2)))
    assert set(losses) == {"frame_judge", "story_judge", "generator"}
    assert all(loss.total.isfinite() for loss in losses.values())
    assert not any(group.parameters[0].equal(before[name]) for name, group in method.groups().items())
    made = drawn(method, data.valid, slice(0, 1))
    assert made.shape == (1, 4, 3, 64, 64) and bool(made.isfinite().all())
