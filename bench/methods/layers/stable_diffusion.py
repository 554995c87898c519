"""A Stable Diffusion checkpoint whose U-Net learns on, for pictures that are drawn one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bench.encoders.stable_diffusion import StableDiffusion
from bench.errors import UserError
from bench.methods.layers.captions import Words
from bench.methods.layers.story_parts import Frame

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.generator import StoryPrompts


class TrainedStableDiffusion(StableDiffusion):
    """A Stable Diffusion checkpoint with a U-Net that learns on; its autoencoder stays frozen.

    Args:
        checkpoint: As for `StableDiffusion`.
        dtype: Floating type.
        side: Pixels of a picture; None takes the checkpoint's own.
        setting: What a method calls `side`, for messages.
        text: Whether the text encoder learns on too; padding is then not attended to (AR-LDM). Otherwise it is frozen
            and padding is attended to, as Stable Diffusion does.

    Raises:
        UserError: A part cannot be loaded, or the side does not fit.
    """

    text_learns = False
    """Whether the text encoder does; loading sets everything to eval mode before this is known."""

    def __init__(self, checkpoint: str, dtype: torch.dtype, side: int | None, *, setting: str, text: bool) -> None:
        super().__init__(checkpoint, dtype)
        self.text_learns = text
        self.unet.requires_grad_(True)
        self.text.requires_grad_(text)
        step = self.step
        if side is None:
            side = self.unet.config.sample_size * self.shrinks // step * step
        if side < step or side % step:
            raise UserError(
                f"checkpoint {checkpoint!r} draws pictures whose side is a multiple of {step} pixels, not {side}.",
                hint=f"Set `{setting}` to {max(step, round(side / step) * step)}.",
            )
        self.frame = Frame(side, (self.unet.config.in_channels, side // self.shrinks, side // self.shrinks))
        self.train()

    def train(self, mode: bool = True) -> TrainedStableDiffusion:
        """Sets the mode of what learns; frozen parts stay in eval mode."""
        super().train(mode)
        self.unet.train(mode)
        self.text.train(mode and self.text_learns)
        return self

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes (B, F) captions to B · F rows; those of the stories `drop`, (B,) bool, are the empty text."""
        stories = zip(captions.texts, drop.tolist(), strict=True)
        texts = ["" if left_out else text for story, left_out in stories for text in story]
        if not self.text_learns:
            tokens = self.states(texts)
            return Words(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))
        longest = self.text.config.max_position_embeddings
        found = self.tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        ids, real = (found[name].to(captions.tokens.device) for name in ("input_ids", "attention_mask"))
        return Words(self.text(input_ids=ids, attention_mask=real).last_hidden_state, real.bool())
