"""A Stable Diffusion checkpoint that draws all frames of a story as one board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.encoders.stable_diffusion import StableDiffusion
from bench.errors import UserError
from bench.methods.layers.captions import Words
from bench.methods.layers.story_parts import Frame

if TYPE_CHECKING:
    from bench.methods.generator import StoryPrompts
    from bench.methods.layers.storyboard import Storyboard


class StableDiffusionParts(StableDiffusion):
    """Frozen autoencoder, text encoder and U-Net, and the sizes of a frame among the others.

    Args:
        checkpoint: As for `StableDiffusion`.
        board: Where the frames lie.
        dtype: Floating type.
        side: Pixels of a frame; None divides the checkpoint's own picture among the cells.

    Raises:
        UserError: A part cannot be loaded, or the side does not fit.
    """

    def __init__(self, checkpoint: str, board: Storyboard, dtype: torch.dtype, side: int | None) -> None:
        super().__init__(checkpoint, dtype)
        step = self.step
        if side is None:
            side = self.unet.config.sample_size * self.shrinks // max(board.rows, board.columns) // step * step
        if side < step or side % step:
            raise UserError(
                f"checkpoint {checkpoint!r} draws frames whose side is a multiple of {step} pixels, not {side}.",
                hint=f"Set `frame_side` to {max(step, round(side / step) * step)}.",
            )
        self.frame = Frame(side, (self.unet.config.in_channels, side // self.shrinks, side // self.shrinks))

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes (B, F) captions to B · F rows as Stable Diffusion does, so padding is attended to.

        Those of the stories `drop`, (B,) bool, are the empty text.
        """
        stories = zip(captions.texts, drop.tolist(), strict=True)
        tokens = self.states(["" if left_out else text for story, left_out in stories for text in story])
        return Words(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))
