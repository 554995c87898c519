"""An auto-regressive story diffusion in the manner of AR-LDM (Pan et al., WACV 2024, arXiv 2211.10950)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.base import Context, Loss
from bench.methods.generator import StoryGenerator
from bench.methods.layers.captions import Words
from bench.methods.layers.frozen import FrozenLeftOut
from bench.methods.layers.stable_diffusion import TrainedStableDiffusion
from bench.methods.layers.story_history import BlipTokens, FrameTokens
from bench.methods.layers.story_parts import PixelParts
from bench.methods.layers.unet import ImageDiffusionConfig, draw_noise, fitting_side, guided, resized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.methods.generator import StoryBatch, StoryPrompts

LARGEST_SIDE = 16
"""Pixels up to which frames are drawn at their own size, as for `storyimager`."""


class ARStory(FrozenLeftOut, StoryGenerator):
    """One frame after the other, each from its caption and from all frames and captions before it.

    The U-Net is that of `ddpm_t2i` on single frames. It attends to [words of the caption ; tokens of each earlier
    frame + position]. Training sees the true earlier frames (teacher forcing), sampling its own.

    AR-LDM starts from Stable Diffusion (`checkpoint`), takes the tokens of a frame from BLIP, which reads its caption
    while it looks at it (`history_encoder`), and trains all but the autoencoder. Without them all is small and trained
    together from nothing, and a frame is one token, CNN(frame) + W mean(words). Against the authors' code
    (xichenpan/ARLDM at 9d8feeb) a caption is left out for a whole story and not for single frames, and its history with
    it, where they show that of a black picture; names of characters get no tokens of their own, and captions longer
    than the text encoder's 77 tokens are cut.

    It cannot look ahead: frames that are given after a frame to be drawn are returned, but nothing is learnt from them,
    so completion is none of its `modes`.
    """

    modes: ClassVar[tuple[str, ...]] = ("visualisation", "continuation")
    pretrained: ClassVar[tuple[str, ...]] = ("checkpoint", "history_encoder")
    """Settings that name a pretrained model."""

    class Config(ImageDiffusionConfig):
        """Settings of `ar_story`.

        Published: Stable Diffusion 1.5 and BLIP-large, lr 1e-5 after one epoch of warm-up, 50 epochs, 1 story a batch
        and GPU, guidance 6, 250 steps, 512 pixels, 85 to 100 words.

        With a checkpoint, `channels`, `heads`, `width`, `text_layers` and `prediction` are the checkpoint's.
        """

        checkpoint: str | None = None
        """Stable Diffusion folder (layout of `diffusers`), or its id in the local Hugging Face cache."""
        history_encoder: str | None = None
        """BLIP for image-text retrieval (published: BLIP-large, e.g. Salesforce/blip-itm-large-coco): its folder, or
        its id in the local Hugging Face cache. None takes one token of a small network for each earlier frame."""
        frame_side: int | None = Field(default=None, ge=1)
        """Pixels a frame is drawn at, then resized; None takes the data's up to 16, or the checkpoint's."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.frames: int = self.data.train.frames.shape[1]  # type: ignore[union-attr]
        self.parts: Any
        if config.checkpoint is None:
            side = fitting_side(self.side, config.frame_side, len(config.channels), largest=LARGEST_SIDE)
            self.parts = PixelParts(config, context, side)
        else:
            self.parts = TrainedStableDiffusion(
                config.checkpoint, context.dtype, config.frame_side, setting="frame_side", text=True
            )
        width, dtype = self.parts.width, context.dtype
        self.remember: FrameTokens | BlipTokens
        if config.history_encoder is None:
            self.remember = FrameTokens(width, dtype)
        else:
            self.remember = BlipTokens(config.history_encoder, dtype, config.words)
            if self.remember.width != width:
                raise UserError(
                    f"history encoder {config.history_encoder!r} gives tokens of width {self.remember.width}, but the "
                    f"U-Net attends to words of width {width}.",
                    hint="Name a `checkpoint` that fits (BLIP-large and Stable Diffusion 1.5 both have 768), or set "
                    f"`width` to {self.remember.width}.",
                )
        looks: list[str] = [] if config.checkpoint is None else [self.parts.identity]
        if isinstance(self.remember, BlipTokens):
            looks.append(self.remember.identity)
        self.encoders = frozenset(looks)
        self.when = nn.Parameter(0.02 * torch.randn(self.frames, width, dtype=dtype))
        self.kind: nn.Parameter | None = None
        if isinstance(self.remember, BlipTokens):
            # What tells a caption's words from history; one token of its own needs no such sign.
            self.kind = nn.Parameter(0.02 * torch.randn(2, width, dtype=dtype))

    def loss(self, batch: StoryBatch) -> Loss:
        """Returns the mean squared error over all frames, each at a step of its own, with the true history."""
        small = self.fitted(batch.frames)
        stories, frames = small.shape[:2]
        drop = torch.rand(stories, device=small.device) < self.config.drop_captions
        words = self.words(batch.captions, drop)
        history = self.history(small, words, batch.captions.texts)
        conditions = [self.condition(words, history, frame, drop) for frame in range(frames)]
        condition = Words(*(torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*conditions, strict=True)))
        clean, diffusion = self.parts.encode(small.flatten(0, 1)), self.parts.diffusion
        noise, t = torch.randn_like(clean), diffusion.draw_steps(len(clean), clean.device)
        answer = self.predict(diffusion.noised(clean, noise, t), t, condition)
        return Loss((answer - diffusion.target(clean, noise, t)).square().mean())

    def complete(self, frames: Tensor, given: Tensor, captions: StoryPrompts, generator: torch.Generator) -> Tensor:
        """Draws frame after frame; given frames enter the history of later ones and are returned as they came."""
        known = self.fitted(frames)
        stories = len(frames)
        drop = torch.zeros(stories, dtype=torch.bool, device=given.device)
        shown, hidden = self.words(captions, drop), self.words(captions, ~drop)
        result, past = frames.clone(), list[Words]()
        for frame in range(frames.shape[1]):
            here = given[:, frame, None, None, None]
            # Drawn from the stream whatever is given, so that the rest of a story does not depend on the mask.
            noise = draw_noise((stories, *self.parts.frame.cell), generator, known)
            if bool(here.all()):
                past.append(self.remembered(known[:, frame], frame, shown, captions.texts))
                continue
            with_captions = self.condition(shown, past, frame, drop)
            without = self.condition(hidden, past, frame, ~drop)

            def predict(z: Tensor, t: Tensor, shown: Words = with_captions, hidden: Words = without) -> Tensor:
                return guided(lambda captions: self.predict(z, t, shown if captions else hidden), self.config.guidance)

            latents = self.parts.diffusion.walk(predict, noise, steps=self.config.sampling_steps)
            drawn = self.parts.decode(latents).clamp(-1.0, 1.0)
            past.append(self.remembered(torch.where(here, known[:, frame], drawn), frame, shown, captions.texts))
            result[:, frame] = torch.where(here, frames[:, frame], resized(drawn, self.side).to(frames.dtype))
        return result

    def fitted(self, frames: Tensor) -> Tensor:
        """Returns (B, F, 3, h, w) frames at the side they are drawn at."""
        like = self.when
        small = resized(frames.flatten(0, 1).to(device=like.device, dtype=like.dtype), self.parts.frame.side)
        return small.view(*frames.shape[:2], *small.shape[1:])

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes captions to (B, F, L, width) tokens and (B, F, L) real words."""
        stories, frames = captions.lengths.shape
        words = self.parts.words(captions, drop)
        return Words(words.tokens.unflatten(0, (stories, frames)), words.real.unflatten(0, (stories, frames)))

    def history(self, frames: Tensor, words: Words, texts: Sequence[Sequence[str]]) -> list[Words]:
        """Returns what is remembered of each of F frames with its caption, F times (B, n, width) tokens."""
        return [self.remembered(frames[:, frame], frame, words, texts) for frame in range(frames.shape[1])]

    def remembered(self, pictures: Tensor, frame: int, words: Words, texts: Sequence[Sequence[str]]) -> Words:
        """Returns what is remembered of one frame of each story.

        Args:
            pictures: (B, 3, h, w).
            frame: Which it is.
            words: (B, F, L, width) words of all captions.
            texts: B times F captions as written.
        """
        said = Words(words.tokens[:, frame], words.real[:, frame])
        found: Words = self.remember(pictures, said, [story[frame] for story in texts])
        tokens = found.tokens + self.when[frame]
        return Words(tokens if self.kind is None else tokens + self.kind[1], found.real)

    def condition(self, words: Words, history: Sequence[Words], frame: int, drop: Tensor) -> Words:
        """Returns what a frame attends to: its words, then the strictly earlier frames, unless they are dropped.

        Args:
            words: (B, F, L, width) words of all captions.
            history: What is remembered of the first frames, at least of those before this one.
            frame: Which it is.
            drop: (B,) bool, stories whose history is left out.
        """
        own = words.tokens[:, frame]
        seen = [past.real & ~drop[:, None] if at < frame else torch.zeros_like(past.real)
                for at, past in enumerate(history)]  # fmt: skip
        tokens = [own if self.kind is None else own + self.kind[0], *(past.tokens for past in history)]
        return Words(torch.cat(tokens, dim=1), torch.cat([words.real[:, frame], *seen], dim=1))

    def predict(self, z: Tensor, t: Tensor, condition: Words) -> Tensor:
        """Returns the U-Net's answer to z_t of single frames and (n,) steps."""
        answer: Tensor = self.parts.unet(
            z, t, encoder_hidden_states=condition.tokens, encoder_attention_mask=condition.real
        ).sample
        return answer


METHOD = ARStory
