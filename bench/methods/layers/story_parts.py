"""What StoryImager is built on without a checkpoint: pixels and an untrained U-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from bench.methods.layers.unet import Diffusion, caption_encoder, fitting_side, pixel_unet

if TYPE_CHECKING:
    from bench.methods.base import Context
    from bench.methods.generator import StoryPrompts
    from bench.methods.layers.captions import Words
    from bench.methods.layers.unet import ImageDiffusionConfig

LARGEST_FRAME = 16
"""Pixels of a frame that an untrained U-Net learns in minutes on a CPU."""


class Frame(NamedTuple):
    """Sizes of one frame.

    Attributes:
        side: Pixels it is drawn at.
        cell: (channels, height, width) of its latent.
    """

    side: int
    cell: tuple[int, int, int]


class PixelParts(nn.Module):
    """Pixels are the latents; U-Net and words are trained from nothing.

    Args:
        config: Sizes.
        context: Words and floating type.
        side: Pixels of a frame; None takes those of the data up to 16.
    """

    def __init__(self, config: ImageDiffusionConfig, context: Context, side: int | None) -> None:
        super().__init__()
        side = fitting_side(context.data.side, side, len(config.channels), largest=LARGEST_FRAME)
        self.frame = Frame(side, (3, side, side))
        self.width = config.width
        self.diffusion = Diffusion.of_pixels(config.prediction)
        self.unet: Any = pixel_unet(config, context.dtype)
        self.captions = caption_encoder(config, context)

    def encode(self, board: Tensor) -> Tensor:
        """Returns the board itself."""
        return board

    def decode(self, latents: Tensor) -> Tensor:
        """Returns the latents themselves."""
        return latents

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes (B, F) captions to B · F rows; those of the stories `drop`, (B,) bool, are left out."""
        tokens, lengths = captions.tokens.flatten(0, 1), captions.lengths.flatten()
        hidden = drop.repeat_interleave(captions.tokens.shape[1])
        words: Words = self.captions(*self.captions.left_out(tokens, lengths, hidden))
        return words
