"""GALIP (Tao et al., CVPR 2023, arXiv 2301.12959)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from torch.nn import functional

from bench.errors import UserError
from bench.methods.base import Context, Loss
from bench.methods.generator import ImageGenerator
from bench.methods.layers.adversarial import Noise, discriminator_loss, leaf, matching_penalty, mismatched
from bench.methods.layers.clip_towers import Preprocessing  # noqa: TC001 - pydantic reads the annotation
from bench.methods.layers.conditional_gan import AdversarialConfig, as_pixels, encoder_of, gaussian, players
from bench.methods.layers.galip_blocks import MateDiscriminator, MateGenerator, Sizes, tapped_layers
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from bench.methods.base import Group
    from bench.methods.generator import ImageTextBatch, Prompts
    from bench.methods.layers.clip_towers import Looks

GRID = 7
"""Patches along a side: the discriminator's two 4 x 4 convolutions leave one logit of a 7 x 7 map."""


class GALIP(ImageGenerator):
    """Text-to-image GAN with a frozen CLIP inside both players.

    The generator predicts a feature that goes through CLIP's image transformer in place of its patches, with prompts in
    two thirds of its layers; the discriminator judges CLIP's patch tokens. Networks, losses and the order of a training
    step follow the authors' code (tobran/GALIP at 35d0c2f). The penalty is taken with respect to CLIP features, so the
    second derivative never enters the transformer. Images come at their side with one caption each, neither cropped
    (the authors: from 304 pixels) nor flipped.
    """

    class Config(AdversarialConfig):
        """Settings of `galip`.

        Published: width 64, noise 100, code 64, middle 32, critic 512, assessor 128, lr 1e-4 and 4e-4, batch 64, 224
        pixels, CLIP ViT-B/32.
        """

        width: int = 16
        """nf, channels at full size; eight times as many at 8 pixels."""
        noise: int = 16
        """Entries of z."""
        code: int = 32
        """Channels of the bridge feature predictor."""
        middle: int = 16
        """Channels inside its blocks."""
        critic: int = 64
        """Channels of the discriminator's feature map."""
        assessor: int = 16
        """Channels inside the discriminator's head."""
        similarity: Annotated[float, Choices(1.0, 4.0, 8.0)] = 4.0
        """λ, weight of CLIP's cosine between image and caption in the generator's loss."""
        clip_preproc: Preprocessing = "correct"
        """`galip_legacy` repeats the authors' input of CLIP, which is mapped to [0, 1] twice; released weights want
        it."""
        truncation: float | None = None
        """When images are made, z is N(0, 1) limited to [−2, 2] and multiplied by this; None, as published, draws
        plain N(0, 1)."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.encoder = encoder_of(config, context)
        tower = self.encoder.tower
        if tower.grid != GRID:
            raise UserError(
                f"galip needs an encoder of 7 x 7 patches; {config.encoder!r} has {tower.grid} x {tower.grid}.",
                hint="Take `tiny-1` or a CLIP ViT-B/32 for 224 pixels.",
            )
        if tower.layers < 3:
            raise UserError(f"galip reads three layers of its encoder; {config.encoder!r} has {tower.layers}.")
        self.encoders = frozenset({self.encoder.identity})
        self.noise = Noise(config.noise, config.truncation)
        self.taps = tapped_layers(tower.layers)
        sizes = Sizes(config.width, config.noise, config.code, config.middle, config.critic, config.assessor)
        width, dtype = self.encoder.width, context.dtype
        self.generator = MateGenerator(sizes, width, tower, self.side).to(dtype)
        self.discriminator = MateDiscriminator(sizes, width, tower.width).to(dtype)

    def groups(self) -> Mapping[str, Group]:
        """Returns one optimiser for each player; the encoder belongs to none."""
        return players(self.config, self.generator, self.discriminator)

    def look(self, images: Tensor) -> Looks:
        """Returns the frozen encoder's maps and vectors of (B, 3, h, w) images."""
        tower = self.encoder.tower
        return tower.looks(tower.pixels(images, self.config.clip_preproc), self.taps)

    def steps(self, batch: ImageTextBatch) -> Iterator[tuple[str, Loss]]:
        """Yields the discriminator's loss, then the generator's on the same images and the changed discriminator."""
        images, judge = as_pixels(batch.images, self.generator.first.weight), self.discriminator
        sentences = self.encoder.texts(batch.captions)
        with torch.no_grad():
            seen = self.look(images)
        noise = gaussian(len(images), self.config.noise, images)
        fake = self.look(self.generator(noise, sentences, self.encoder.tower))
        maps, sentence = leaf(seen.maps), leaf(sentences)
        features = judge.features(maps)
        logits = judge(features, sentence)
        penalty = matching_penalty(
            logits, (maps, sentence), weight=self.config.penalty, power=self.config.penalty_power
        )
        made = judge(judge.features(fake.maps.detach()), sentence)
        mismatch = judge(features, mismatched(sentence).detach())
        yield "discriminator", discriminator_loss(logits, made, mismatch, penalty)
        adversarial = -judge(judge.features(fake.maps), sentences).mean()
        similarity = functional.cosine_similarity(fake.embeddings, sentences).mean()
        parts = {"adversarial": adversarial, "similarity": similarity}
        yield "generator", Loss(adversarial - self.config.similarity * similarity, parts)

    def generate(self, prompts: Prompts, generator: torch.Generator) -> Tensor:
        """Draws (B, 3, side, side) images in [-1, 1]; all randomness comes from `generator`."""
        sentences = self.encoder.texts(prompts)
        noise = self.noise.draw(len(sentences), generator, sentences)
        images: Tensor = self.generator(noise, sentences, self.encoder.tower)
        return images.clamp(-1.0, 1.0)


METHOD = GALIP
