"""An auto-regressive story diffusion in the manner of AR-LDM (Pan et al., WACV 2024, arXiv 2211.10950)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.methods.base import Context, Loss
from bench.methods.generator import StoryGenerator
from bench.methods.layers.captions import Words
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
    from bench.methods.generator import StoryBatch, StoryPrompts

LARGEST_SIDE = 16
"""Pixels up to which frames are drawn at their own size, as for `storyimager`."""


class ARStory(StoryGenerator):
    """One frame after the other, each from its caption and from all frames and captions before it.

    The U-Net is that of `ddpm_t2i` on single frames. It attends to [words of the caption ; one token for each earlier
    frame], a token being CNN(frame) + W mean(words) + position. AR-LDM takes its history tokens from BLIP and starts
    from Stable Diffusion; here all is small and trained together. Training sees the true earlier frames (teacher
    forcing), sampling its own.

    It cannot look ahead: frames that are given after a frame to be drawn are returned, but nothing is learnt from them,
    so completion is none of its `modes`.
    """

    modes: ClassVar[tuple[str, ...]] = ("visualisation", "continuation")

    class Config(ImageDiffusionConfig):
        """Settings of `ar_story`."""

        frame_side: int | None = Field(default=None, ge=1)
        """Pixels a frame is drawn at, then resized; None takes the data's up to 16."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.frames: int = self.data.train.frames.shape[1]  # type: ignore[union-attr]
        self.drawn_side = fitting_side(self.side, config.frame_side, len(config.channels), largest=LARGEST_SIDE)
        self.diffusion = Diffusion.of_pixels(config.prediction)
        self.unet = pixel_unet(config, context.dtype)
        self.captions = caption_encoder(config, context)
        width, dtype = config.width, context.dtype
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, dtype=dtype),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, dtype=dtype),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * width, width, dtype=dtype),
        )
        self.told = nn.Linear(width, width, dtype=dtype)
        self.when = nn.Parameter(0.02 * torch.randn(self.frames, width, dtype=dtype))

    def loss(self, batch: StoryBatch) -> Loss:
        """Returns the mean squared error over all frames, each at a step of its own, with the true history."""
        small = self.fitted(batch.frames)
        stories, frames = small.shape[:2]
        drop = torch.rand(stories, device=small.device) < self.config.drop_captions
        words = self.words(batch.captions, drop)
        history = self.history(small, words)
        conditions = [self.condition(words, history, frame, drop) for frame in range(frames)]
        condition = Words(*(torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*conditions, strict=True)))
        clean = small.flatten(0, 1)
        noise, t = torch.randn_like(clean), self.diffusion.draw_steps(len(clean), clean.device)
        answer = self.predict(self.diffusion.noised(clean, noise, t), t, condition)
        return Loss((answer - self.diffusion.target(clean, noise, t)).square().mean())

    def complete(self, frames: Tensor, given: Tensor, captions: StoryPrompts, generator: torch.Generator) -> Tensor:
        """Draws frame after frame; given frames enter the history of later ones and are returned as they came."""
        known = self.fitted(frames)
        stories = len(frames)
        drop = torch.zeros(stories, dtype=torch.bool, device=given.device)
        shown, hidden = self.words(captions, drop), self.words(captions, ~drop)
        story, result = torch.zeros_like(known), frames.clone()
        for frame in range(frames.shape[1]):
            here = given[:, frame, None, None, None]
            # Drawn from the stream whatever is given, so that the rest of a story does not depend on the mask.
            noise = draw_noise(known[:, frame].shape, generator, known)
            if bool(here.all()):
                story[:, frame] = known[:, frame]
                continue
            history = self.history(story, shown)
            with_captions = self.condition(shown, history, frame, drop)
            without = self.condition(hidden, history, frame, ~drop)

            def predict(z: Tensor, t: Tensor, shown: Words = with_captions, hidden: Words = without) -> Tensor:
                return guided(lambda captions: self.predict(z, t, shown if captions else hidden), self.config.guidance)

            drawn = self.diffusion.walk(predict, noise, steps=self.config.sampling_steps).clamp(-1.0, 1.0)
            story[:, frame] = torch.where(here, known[:, frame], drawn)
            result[:, frame] = torch.where(here, frames[:, frame], resized(drawn, self.side).to(frames.dtype))
        return result

    def fitted(self, frames: Tensor) -> Tensor:
        """Returns (B, F, 3, h, w) frames at the side they are drawn at."""
        like = self.when
        small = resized(frames.flatten(0, 1).to(device=like.device, dtype=like.dtype), self.drawn_side)
        return small.view(*frames.shape[:2], *small.shape[1:])

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes captions to (B, F, L, width) tokens and (B, F, L) real words."""
        stories, frames = captions.lengths.shape
        tokens, lengths = captions.tokens.flatten(0, 1), captions.lengths.flatten()
        words = self.captions(*self.captions.left_out(tokens, lengths, drop.repeat_interleave(frames)))
        return Words(words.tokens.unflatten(0, (stories, frames)), words.real.unflatten(0, (stories, frames)))

    def history(self, frames: Tensor, words: Words) -> Tensor:
        """Returns (B, F, width) tokens, one for each frame with its caption."""
        seen = self.look(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        said = Words(words.tokens.flatten(0, 1), words.real.flatten(0, 1)).mean.unflatten(0, frames.shape[:2])
        tokens: Tensor = seen + self.told(said) + self.when
        return tokens

    def condition(self, words: Words, history: Tensor, frame: int, drop: Tensor) -> Words:
        """Returns what a frame attends to: its words, then the strictly earlier frames, unless they are dropped."""
        stories, frames = history.shape[:2]
        past = (torch.arange(frames, device=history.device) < frame).expand(stories, -1) & ~drop[:, None]
        tokens = torch.cat([words.tokens[:, frame], history], dim=1)
        return Words(tokens, torch.cat([words.real[:, frame], past], dim=1))

    def predict(self, z: Tensor, t: Tensor, condition: Words) -> Tensor:
        """Returns the U-Net's answer to z_t of single frames and (n,) steps."""
        answer: Tensor = self.unet(
            z, t, encoder_hidden_states=condition.tokens, encoder_attention_mask=condition.real
        ).sample
        return answer


METHOD = ARStory
