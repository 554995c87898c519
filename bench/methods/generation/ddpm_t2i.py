"""A small denoising diffusion model from captions to images (Ho et al. 2020, arXiv 2006.11239)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from bench.methods.base import Context, Loss
from bench.methods.generator import ImageGenerator
from bench.methods.layers.unet import (
    Diffusion,
    ImageDiffusionConfig,
    caption_encoder,
    draw_noise,
    fitting_side,
    guided,
    pixel_unet,
    resized,
)

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.generator import ImageTextBatch, Prompts
    from bench.methods.layers.captions import Words

LARGEST_SIDE = 32
"""Pixels up to which images are drawn at their own size."""


class DDPM(ImageGenerator):
    """`UNet2DConditionModel` of `diffusers` on pixels, with cross-attention to the words of a caption.

    Squared-cosine schedule with 1000 steps, captions left out at random and classifier-free guidance, DDIM sampling. It
    predicts the clean image by default, which learns in fewer steps than the published prediction of the noise.
    """

    class Config(ImageDiffusionConfig):
        """Settings of `ddpm_t2i`."""

        image_side: int | None = Field(default=None, ge=1)
        """Pixels an image is drawn at, then resized; None takes the data's up to 32."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.drawn_side = fitting_side(self.side, config.image_side, len(config.channels), largest=LARGEST_SIDE)
        self.diffusion = Diffusion.of_pixels(config.prediction)
        self.unet = pixel_unet(config, context.dtype)
        self.captions = caption_encoder(config, context)

    def loss(self, batch: ImageTextBatch) -> Loss:
        """Returns the mean squared error of the prediction, at steps and noise from the global stream."""
        like = self.captions.position
        clean = resized(batch.images.to(device=like.device, dtype=like.dtype), self.drawn_side)
        drop = torch.rand(len(clean), device=clean.device) < self.config.drop_captions
        noise, t = torch.randn_like(clean), self.diffusion.draw_steps(len(clean), clean.device)
        answer = self.predict(self.diffusion.noised(clean, noise, t), t, self.words(batch.captions, drop))
        return Loss((answer - self.diffusion.target(clean, noise, t)).square().mean())

    def generate(self, prompts: Prompts, generator: torch.Generator) -> Tensor:
        """Draws (B, 3, side, side) images in [-1, 1]; all randomness comes from `generator`."""
        count = len(prompts.lengths)
        drop = torch.zeros(count, dtype=torch.bool, device=prompts.tokens.device)
        shown, hidden = self.words(prompts, drop), self.words(prompts, ~drop)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            return guided(lambda captions: self.predict(z, t, shown if captions else hidden), self.config.guidance)

        noise = draw_noise((count, 3, self.drawn_side, self.drawn_side), generator, self.captions.position)
        images = self.diffusion.walk(predict, noise, steps=self.config.sampling_steps)
        return resized(images.clamp(-1.0, 1.0), self.side)

    def words(self, prompts: Prompts, drop: Tensor) -> Words:
        """Encodes captions; those of the rows `drop`, (B,) bool, are left out."""
        words: Words = self.captions(*self.captions.left_out(prompts.tokens, prompts.lengths, drop))
        return words

    def predict(self, z: Tensor, t: Tensor, words: Words) -> Tensor:
        """Returns the U-Net's answer to z_t and (B,) steps."""
        answer: Tensor = self.unet(z, t, encoder_hidden_states=words.tokens, encoder_attention_mask=words.real).sample
        return answer


METHOD = DDPM
