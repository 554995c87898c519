"""DF-GAN against the authors' recorded numbers in float64: blocks, networks, penalty, one training iteration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gan_recordings import (
    CRITIC,
    FUSION,
    RecordedEncoder,
    check_block,
    check_iteration,
    check_losses_and_gradients,
    load,
    read,
    shipped,
)
from recordings import GRADIENT, same, tensor

from bench.methods.generation import dfgan
from bench.methods.layers.adversarial import gradient_norms, leaf, mismatched, truncated_normal
from bench.methods.layers.affine import FusionBlock
from bench.methods.layers.dfgan_blocks import DownBlock

GENERATOR = ((r"^fc\.", "first."), (r"GBlocks\.", "blocks."), (r"to_rgb\.1\.", "to_rgb."), *FUSION)
DISCRIMINATOR = ((r"^conv_img\.", "first."), *CRITIC)


@pytest.fixture
def recorded(monkeypatch):
    """The recording, the method with its weights, and our names of them by theirs."""
    record = read("dfgan_full")
    method = shipped(dfgan, RecordedEncoder(record["in/sent"]), record, monkeypatch, side=32, width=2, noise=6)
    makes = load(method.generator, record, GENERATOR, "netG.")
    judges = load(method.discriminator, record, DISCRIMINATOR, ("netD.", "netC."))
    return record, method, makes, judges


def test_the_generator_block():
    check_block(FusionBlock(5, 6, 4, size=8), read("dfgan_gblock"), FUSION, "x", "cond")


def test_the_discriminator_block():
    check_block(DownBlock(4, 6), read("dfgan_dblock"), CRITIC, "x")


def test_truncated_noise_is_scaled_and_not_clipped():
    theirs = read("dfgan_truncated_noise")["out/z"]
    uniform = tensor(np.random.RandomState(3).random_sample((5, 4)))
    torch.testing.assert_close(truncated_normal(uniform, 0.88), theirs, rtol=3e-7, atol=1e-7)


def test_networks_and_penalty(recorded):
    record, method, _, _ = recorded
    sentences, discriminator = record["in/sent"], method.discriminator
    fake = method.generator(record["in/noise"], sentences)
    same(fake, record["out/fake"])
    image, sentence = leaf(record["in/real"]), leaf(sentences)
    real, made = discriminator.features(image), discriminator.features(fake)
    same(real, record["out/D_real"])
    same(made, record["out/D_fake"])
    logits = discriminator(real, sentence)
    same(logits, record["out/logit_real"])
    same(discriminator(mismatched(real), sentence), record["out/logit_mis"])
    same(discriminator(made, sentence), record["out/logit_fake"])
    same(gradient_norms(logits, (image, sentence)).sqrt(), record["aux/grad_norm_per_sample"])
    by_image, by_sentence = torch.autograd.grad(logits.sum(), (image, sentence), retain_graph=True)
    same(by_image, record["grad_in/logit_real_image"], **GRADIENT)
    same(by_sentence, record["grad_in/logit_real_sent"], **GRADIENT)


def test_the_training_steps_have_the_recorded_losses_and_gradients(recorded):
    record, method, makes, judges = recorded
    check_losses_and_gradients(method, record, makes, judges)


def test_one_training_iteration(recorded):
    record, method, makes, judges = recorded
    check_iteration(method, record, makes, judges)
