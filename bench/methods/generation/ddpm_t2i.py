"""A small denoising diffusion model from captions to images (Ho et al. 2020, arXiv 2006.11239)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field

from bench.methods.base import Context, Loss
from bench.methods.generator import ImageGenerator, StoryPrompts
from bench.methods.layers.frozen import FrozenLeftOut
from bench.methods.layers.stable_diffusion import TrainedStableDiffusion
from bench.methods.layers.story_parts import PixelParts
from bench.methods.layers.unet import ImageDiffusionConfig, draw_noise, fitting_side, guided, resized

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.generator import ImageTextBatch, Prompts
    from bench.methods.layers.captions import Words

LARGEST_SIDE = 32
"""Pixels up to which images are drawn at their own size."""


class DDPM(FrozenLeftOut, ImageGenerator):
    """`UNet2DConditionModel` of `diffusers` on pixels, with cross-attention to the words of a caption.

    Squared-cosine schedule with 1000 steps, captions left out at random and classifier-free guidance, DDIM sampling. It
    predicts the clean image by default, which learns in fewer steps than the published prediction of the noise.

    With `checkpoint` it is latent diffusion (Rombach et al. 2022, arXiv 2112.10752): the checkpoint's U-Net learns on
    in the latents of its autoencoder; autoencoder and text encoder are frozen and not kept among this method's weights.
    For Stable Diffusion 1.5 take `lr` 1e-5, guidance 7.5 and 50 steps.
    """

    class Config(ImageDiffusionConfig):
        """Settings of `ddpm_t2i`; published for 32 pixels without captions: channels 128, 256, 256, 256.

        With a checkpoint, `channels`, `heads`, `width`, `text_layers`, `words` and `prediction` are the checkpoint's.
        """

        checkpoint: str | None = None
        """Stable Diffusion folder (layout of `diffusers`), or its id in the local Hugging Face cache."""
        image_side: int | None = Field(default=None, ge=1)
        """Pixels an image is drawn at, then resized; None takes the data's up to 32, or the checkpoint's."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.parts: Any
        if config.checkpoint is None:
            side = fitting_side(self.side, config.image_side, len(config.channels), largest=LARGEST_SIDE)
            self.parts = PixelParts(config, context, side)
        else:
            self.parts = TrainedStableDiffusion(
                config.checkpoint, context.dtype, config.image_side, setting="image_side", text=False
            )
            self.encoders = frozenset({self.parts.identity})

    def loss(self, batch: ImageTextBatch) -> Loss:
        """Returns the mean squared error of the prediction, at steps and noise from the global stream."""
        like, diffusion = self.like, self.parts.diffusion
        images = batch.images.to(device=like.device, dtype=like.dtype)
        clean = self.parts.encode(resized(images, self.parts.frame.side))
        drop = torch.rand(len(clean), device=clean.device) < self.config.drop_captions
        noise, t = torch.randn_like(clean), diffusion.draw_steps(len(clean), clean.device)
        answer = self.predict(diffusion.noised(clean, noise, t), t, self.words(batch.captions, drop))
        return Loss((answer - diffusion.target(clean, noise, t)).square().mean())

    def generate(self, prompts: Prompts, generator: torch.Generator) -> Tensor:
        """Draws (B, 3, side, side) images in [-1, 1]; all randomness comes from `generator`."""
        count = len(prompts.lengths)
        drop = torch.zeros(count, dtype=torch.bool, device=prompts.tokens.device)
        shown, hidden = self.words(prompts, drop), self.words(prompts, ~drop)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            return guided(lambda captions: self.predict(z, t, shown if captions else hidden), self.config.guidance)

        noise = draw_noise((count, *self.parts.frame.cell), generator, self.like)
        latents = self.parts.diffusion.walk(predict, noise, steps=self.config.sampling_steps)
        return resized(self.parts.decode(latents).clamp(-1.0, 1.0), self.side)

    @property
    def like(self) -> Tensor:
        """A weight, on the device and of the type that the U-Net computes with."""
        weight: Tensor = next(self.parts.unet.parameters())
        return weight

    def words(self, prompts: Prompts, drop: Tensor) -> Words:
        """Encodes captions; those of the rows `drop`, (B,) bool, are left out."""
        # A caption is a story of one frame to what the story methods share with this one.
        alone = StoryPrompts(
            prompts.tokens[:, None], prompts.lengths[:, None], tuple((text,) for text in prompts.texts)
        )
        words: Words = self.parts.words(alone, drop)
        return words

    def predict(self, z: Tensor, t: Tensor, words: Words) -> Tensor:
        """Returns the U-Net's answer to z_t and (B,) steps."""
        answer: Tensor = self.parts.unet(
            z, t, encoder_hidden_states=words.tokens, encoder_attention_mask=words.real
        ).sample
        return answer


METHOD = DDPM
