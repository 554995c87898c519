"""A few coloured squares with captions, for methods that make images."""

from __future__ import annotations

import numpy as np
import torch

from bench.data.generation import CaptionedImages, Edits, GenerationData, Stories, Texts
from bench.methods.base import Context
from bench.methods.generator import ImageTextBatch, Prompts

COLOURS = {"red": (220, 30, 40), "green": (40, 190, 60), "blue": (50, 70, 220)}
VOCABULARY = ("", "<unk>", "a", "square", "left", "right", *COLOURS)
FAST = "tiny-1-4"
"""An encoder of four steps: enough for mechanics, not for meaning."""


def texts(captions):
    tokens = np.zeros((len(captions), 6), dtype=np.int32)
    for row, caption in enumerate(captions):
        words = [VOCABULARY.index(word) for word in caption.split()]
        tokens[row, : len(words)] = words
    return Texts(tokens, (tokens > 0).sum(1).astype(np.int64), np.array(captions))


def drawn(colour, place, side):
    image = np.full((side, side, 3), 240, dtype=np.uint8)
    start = side // 8 if place == "left" else side // 2
    image[side // 4 : 3 * side // 4, start : start + 3 * side // 8] = COLOURS[colour]
    return image


def pictures(n, side, *, shift=0):
    names = list(COLOURS)
    chosen = [(names[(row + shift) % 3], ("left", "right")[row // 3 % 2]) for row in range(n)]
    pixels = np.stack([drawn(*choice, side) for choice in chosen])
    captions = [f"a {colour} square {place}" for colour, place in chosen]
    return CaptionedImages(pixels, texts(captions), np.array([f"p{row}" for row in range(n)]))


def world(*, task="text_to_image", side=16, n=24):
    splits = []
    for rows in (n, 6):
        images = pictures(rows, side)
        if task == "image_editing":
            wanted = pictures(rows, side, shift=1)
            splits.append(Edits(images, wanted.captions, wanted.pixels, images.ids))
        elif task == "story":
            captions, shape = images.captions, (rows // 3, 3)
            splits.append(
                Stories(
                    images.pixels.reshape(*shape, side, side, 3),
                    captions.tokens.reshape(*shape, -1),
                    captions.lengths.reshape(shape),
                    captions.texts.reshape(shape),
                    None,
                    images.ids[: rows // 3],
                )
            )
        else:
            splits.append(images)
    return GenerationData("squares", side, VOCABULARY, *splits)


def prompts(rows: Texts) -> Prompts:
    return Prompts(torch.from_numpy(rows.tokens).long(), torch.from_numpy(rows.lengths), tuple(map(str, rows.texts)))


def as_images(pixels):
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def batch(data, rows=6):
    train = data.train
    if isinstance(train, Edits):
        source = batch_of(train.sources, rows)
        return source._replace(targets=Prompts(*(part[:rows] for part in prompts(train.targets))))
    return batch_of(train, rows)


def batch_of(images, rows):
    return ImageTextBatch(as_images(images.pixels[:rows]), Prompts(*(part[:rows] for part in prompts(images.captions))))


def make(cls, data, *, seed=0, dtype=torch.float32, **config):
    torch.manual_seed(seed)
    return cls(cls.Config(**config), Context(data, dtype=dtype))


def optimisers(method):
    return {
        name: torch.optim.Adam(group.parameters, lr=group.lr, betas=group.betas)
        for name, group in method.groups().items()
    }


def step(method, players, given):
    """One pass of the loop's protocol; returns the losses by group."""
    method.train()
    losses = {}
    for name, loss in method.steps(given):
        players[name].zero_grad()
        loss.total.backward()
        players[name].step()
        losses[name] = loss
    return losses
