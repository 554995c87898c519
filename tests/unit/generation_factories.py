"""Tiny generation data for tests, and makers of images that need no training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bench.data.generation import CaptionedImages, Edits, GenerationData, Stories, Texts
from bench.methods.base import Context
from bench.methods.generator import ImageEditor, ImageGenerator, StoryGenerator

VOCABULARY = ("<pad>", "<unknown>", "red", "green", "blue", "left", "right")
COLOURS = np.array([[220, 30, 30], [30, 200, 60], [40, 60, 220]], dtype=np.uint8)
SIDE = 16


def pictures(kinds: np.ndarray, seed: int) -> np.ndarray:
    """Flat pictures of a colour each, with noise."""
    noise = np.random.default_rng(seed).integers(0, 20, (*kinds.shape, SIDE, SIDE, 3))
    return np.clip(COLOURS[kinds][..., None, None, :] + noise, 0, 255).astype(np.uint8)


def texts(kinds: np.ndarray) -> Texts:
    tokens = np.stack([kinds + 2, np.full_like(kinds, 5), np.zeros_like(kinds)], axis=1).astype(np.int32)
    told = np.array([f"{VOCABULARY[kind + 2]} left" for kind in kinds])
    return Texts(tokens, np.full(len(kinds), 2, dtype=np.int64), told)


def captioned(n: int, seed: int = 0) -> CaptionedImages:
    kinds = np.random.default_rng(seed).integers(0, 3, n)
    return CaptionedImages(pictures(kinds, seed), texts(kinds), np.array([f"p{seed}-{row}" for row in range(n)]), kinds)


def told_apart(images: CaptionedImages) -> CaptionedImages:
    """The same with captions as written that are all different: the images' ids; the tokens stay."""
    return replace(images, captions=replace(images.captions, texts=images.ids))


def edits(n: int, seed: int = 0, *, truth: bool = True) -> Edits:
    sources = captioned(n, seed)
    assert sources.labels is not None
    wanted = (sources.labels + 1) % 3
    return Edits(
        sources, texts(wanted), pictures(wanted, seed + 1) if truth else None, np.array([f"e{row}" for row in range(n)])
    )


def stories(n: int, seed: int = 0, *, frames: int = 4, labelled: bool = True) -> Stories:
    kinds = np.random.default_rng(seed).integers(0, 3, (n, frames))
    flat = texts(kinds.reshape(-1))
    return Stories(
        frames=pictures(kinds, seed),
        tokens=flat.tokens.reshape(n, frames, -1),
        lengths=flat.lengths.reshape(n, frames),
        texts=flat.texts.reshape(n, frames),
        labels=kinds[..., None] == np.arange(3) if labelled else None,
        ids=np.array([f"s{row}" for row in range(n)]),
    )


def data(train: CaptionedImages | Edits | Stories, valid: CaptionedImages | Edits | Stories) -> GenerationData:
    attributes = ("red", "green", "blue") if isinstance(train, Stories) and train.labels is not None else ()
    return GenerationData("toy", SIDE, VOCABULARY, train, valid, attributes)


def colour_of(tokens: torch.Tensor) -> torch.Tensor:
    """(…, 3) colours in [-1, 1] that captions name first."""
    return torch.from_numpy(COLOURS).float()[(tokens[..., 0] - 2).clamp(0, 2)] / 127.5 - 1.0


class Painter(ImageGenerator):
    """Paints the colour that a caption names."""

    encoders = frozenset({"tiny-1"})

    def generate(self, prompts, generator):
        images = colour_of(prompts.tokens)[:, :, None, None].expand(-1, 3, SIDE, SIDE)
        return images + 0.05 * torch.randn(images.shape, generator=generator)


class Copier(ImageEditor):
    """Changes nothing."""

    def edit(self, images, prompts):
        return images


class Repainter(ImageEditor):
    """Paints over everything."""

    def edit(self, images, prompts):
        return colour_of(prompts.tokens)[:, :, None, None].expand_as(images).clone()


class Storyteller(StoryGenerator):
    """Paints the missing frames."""

    def complete(self, frames, given, captions, generator):
        drawn = colour_of(captions.tokens)[..., None, None].expand_as(frames)
        return torch.where(given[:, :, None, None, None], frames, drawn)


def build(kind, holder: GenerationData):
    return kind(kind.Config(), Context(holder))
