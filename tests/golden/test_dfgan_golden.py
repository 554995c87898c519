"""DF-GAN against the authors' recorded numbers in float64: blocks, networks, penalty, one training iteration."""

from __future__ import annotations

import numpy as np
import torch
from gan_recordings import CRITIC, FUSION, check_after, check_block, check_gradients, load, read
from recordings import GRADIENT, same, tensor

from bench.methods.layers.adversarial import (
    BETAS,
    discriminator_loss,
    gradient_norms,
    leaf,
    matching_penalty,
    mismatched,
    truncated_normal,
)
from bench.methods.layers.affine import FusionBlock
from bench.methods.layers.dfgan_blocks import Discriminator, DownBlock, Generator

GENERATOR = ((r"^fc\.", "first."), (r"GBlocks\.", "blocks."), (r"to_rgb\.1\.", "to_rgb."), *FUSION)
DISCRIMINATOR = ((r"^conv_img\.", "first."), *CRITIC)


def networks():
    record = read("dfgan_full")
    generator, discriminator = Generator(2, 6, 8, 32).double(), Discriminator(2, 8, 32).double()
    makes = load(generator, record, GENERATOR, "netG.")
    judges = load(discriminator, record, DISCRIMINATOR, ("netD.", "netC."))
    return record, generator, discriminator, makes, judges


def judged(record, discriminator, fake):
    """Returns the discriminator's loss and what it was made of."""
    image, sentence = leaf(record["in/real"]), leaf(record["in/sent"])
    real = discriminator.features(image)
    made = discriminator.features(fake.detach())
    logits = discriminator(real, sentence)
    mismatch, fooled = discriminator(mismatched(real), sentence), discriminator(made, sentence)
    loss = discriminator_loss(logits, fooled, mismatch, matching_penalty(logits, (image, sentence)))
    return (
        loss,
        {
            "D_real": real,
            "D_fake": made,
            "logit_real": logits,
            "logit_mis": mismatch,
            "logit_fake": fooled,
        },
        (logits, image, sentence),
    )


def test_the_generator_block():
    check_block(FusionBlock(5, 6, 4, size=8), read("dfgan_gblock"), FUSION, "x", "cond")


def test_the_discriminator_block():
    check_block(DownBlock(4, 6), read("dfgan_dblock"), CRITIC, "x")


def test_truncated_noise_is_scaled_and_not_clipped():
    theirs = read("dfgan_truncated_noise")["out/z"]
    uniform = tensor(np.random.RandomState(3).random_sample((5, 4)))
    torch.testing.assert_close(truncated_normal(uniform, 0.88), theirs, rtol=3e-7, atol=1e-7)


def test_networks_losses_penalty_and_gradients():
    record, generator, discriminator, makes, judges = networks()
    fake = generator(record["in/noise"], record["in/sent"])
    same(fake, record["out/fake"])
    loss, outputs, (logits, image, sentence) = judged(record, discriminator, fake)
    for name, value in outputs.items():
        same(value, record[f"out/{name}"])
    for name, part in (("real", "real"), ("fake", "fake"), ("mis", "mismatch"), ("ma_gp", "penalty")):
        same(loss.parts[part], record[f"loss/{name}"])
    same(loss.total, record["loss/D"])
    norms = gradient_norms(logits, (image, sentence))
    same(norms.sqrt(), record["aux/grad_norm_per_sample"])
    by_image, by_sentence = torch.autograd.grad(logits.sum(), (image, sentence), retain_graph=True)
    same(by_image, record["grad_in/logit_real_image"], **GRADIENT)
    same(by_sentence, record["grad_in/logit_real_sent"], **GRADIENT)
    loss.total.backward()
    check_gradients(discriminator, record, judges, "grad_D")
    discriminator.zero_grad()
    against = -discriminator(discriminator.features(fake), record["in/sent"]).mean()
    same(against, record["loss/G"])
    against.backward()
    check_gradients(generator, record, makes, "grad_G")


def test_one_training_iteration():
    record, generator, discriminator, makes, judges = networks()
    players = [
        torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS)
        for network, lr in ((generator, 1e-4), (discriminator, 4e-4))
    ]
    fake = generator(record["in/noise"], record["in/sent"])
    loss, _, _ = judged(record, discriminator, fake)
    loss.total.backward()
    players[1].step()
    generator.zero_grad()
    (-discriminator(discriminator.features(fake), record["in/sent"]).mean()).backward()
    players[0].step()
    assert check_after(discriminator, record, judges) == len(judges)
    assert check_after(generator, record, makes) == sum(name.startswith("after/netG") for name in record)
