"""DF-GAN (Tao et al., CVPR 2022, arXiv 2008.05865)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from bench.methods.base import Context, Loss
from bench.methods.generator import ImageGenerator
from bench.methods.layers.adversarial import Noise, discriminator_loss, leaf, matching_penalty, mismatched
from bench.methods.layers.conditional_gan import (
    AdversarialConfig,
    as_pixels,
    check_halvable,
    encoder_of,
    gaussian,
    players,
)
from bench.methods.layers.dfgan_blocks import Discriminator, Generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import Tensor

    from bench.methods.base import Group
    from bench.methods.generator import ImageTextBatch, Prompts


class DFGAN(ImageGenerator):
    """One-stage text-to-image GAN: deep text-image fusion blocks, and a penalty on the gradient at matching pairs.

    Networks, losses and the order of a training step follow the authors' code (tobran/DF-GAN at 78f14fd). The sentence
    vector is that of a frozen image-text encoder; the authors' is a bi-LSTM trained against image regions (DAMSM).
    Images come at their side with one caption each, neither cropped (the authors: from 304 pixels) nor flipped.
    """

    class Config(AdversarialConfig):
        """Settings of `dfgan`; published: width 32, noise 100, lr 1e-4 and 4e-4, batch 32, 256 pixels."""

        width: int = 16
        """nf, channels at full size; eight times as many at small sizes."""
        noise: int = 16
        """Entries of z."""
        truncation: float | None = 0.88
        """When images are made, z is N(0, 1) limited to [−2, 2] and multiplied by this; None draws plain N(0, 1)."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        check_halvable("dfgan", self.side)
        self.encoder = encoder_of(config, context)
        self.encoders = frozenset({self.encoder.identity})
        self.noise = Noise(config.noise, config.truncation)
        self.generator = Generator(config.width, config.noise, self.encoder.width, self.side).to(context.dtype)
        self.discriminator = Discriminator(config.width, self.encoder.width, self.side).to(context.dtype)

    def groups(self) -> Mapping[str, Group]:
        """Returns one optimiser for each player."""
        return players(self.config, self.generator, self.discriminator)

    def steps(self, batch: ImageTextBatch) -> Iterator[tuple[str, Loss]]:
        """Yields the discriminator's loss, then the generator's on the same images and the changed discriminator."""
        images, judge = as_pixels(batch.images, self.generator.first.weight), self.discriminator
        sentences = self.encoder.texts(batch.captions)
        fake = self.generator(gaussian(len(images), self.config.noise, images), sentences)
        real, sentence = leaf(images), leaf(sentences)
        features = judge.features(real)
        logits = judge(features, sentence)
        penalty = matching_penalty(
            logits, (real, sentence), weight=self.config.penalty, power=self.config.penalty_power
        )
        made = judge(judge.features(fake.detach()), sentence)
        yield "discriminator", discriminator_loss(logits, made, judge(mismatched(features), sentence), penalty)
        yield "generator", Loss(-judge(judge.features(fake), sentences).mean())

    def generate(self, prompts: Prompts, generator: torch.Generator) -> Tensor:
        """Draws (B, 3, side, side) images in [-1, 1]; all randomness comes from `generator`."""
        sentences = self.encoder.texts(prompts)
        images: Tensor = self.generator(self.noise.draw(len(sentences), generator, sentences), sentences)
        return functional.hardtanh(images)


METHOD = DFGAN
