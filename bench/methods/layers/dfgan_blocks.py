"""The two networks of DF-GAN (Tao et al., CVPR 2022), after the authors' code (tobran/DF-GAN at 78f14fd)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.layers.adversarial import SentenceHead
from bench.methods.layers.affine import SLOPE, FusionBlock, lrelu

SMALLEST_SIDE = 8
"""Pixels: below it there is no block."""


def ladder(width: int, side: int) -> list[int]:
    """Returns the channels at `side`, `side` / 2, ..., 4 pixels: doubled each time, at most eight-fold."""
    return [width * min(2**level, 8) for level in range(side.bit_length() - 2)]


class DownBlock(nn.Module):
    """Residual block that halves a map: mean-pooled shortcut + γ · (4 x 4 stride 2, 3 x 3), γ = 0 at the start.

    Args:
        channels: Of the input.
        outputs: Of the output; a 1 x 1 shortcut is learned where they differ.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, outputs, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.LeakyReLU(SLOPE),
        )
        self.shortcut = nn.Conv2d(channels, outputs, 1) if channels != outputs else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Returns (B, outputs, h / 2, w / 2) of (B, channels, h, w)."""
        smaller: Tensor = functional.avg_pool2d(self.shortcut(features), 2)
        result: Tensor = smaller + self.gamma * self.residual(features)
        return result


class Generator(nn.Module):
    """Noise and a sentence to an image in [-1, 1].

    Args:
        width: Channels at full size (nf; published 32).
        noise: Width of z (published 100).
        condition: Width of the sentence (published 256).
        side: Height and width of the image, a power of two from 8.
    """

    def __init__(self, width: int, noise: int, condition: int, side: int) -> None:
        super().__init__()
        channels = ladder(width, side)[::-1]
        self.first = nn.Linear(noise, channels[0] * 16)
        self.blocks = nn.ModuleList(
            FusionBlock(noise + condition, before, after, size=8 * 2**level)
            for level, (before, after) in enumerate(pairwise(channels))
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, noise: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 3, side, side) images of (B, noise) and (B, condition)."""
        condition = torch.cat([noise, sentences], dim=1)
        features = self.first(noise).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            features = block(features, condition)
        return torch.tanh(self.to_rgb(lrelu(features)))


class Discriminator(nn.Module):
    """An image to a 4 x 4 map, and with a sentence to a logit.

    Args:
        width: Channels at full size (nf; published 32).
        condition: Width of the sentence.
        side: Height and width of the image, a power of two from 8.
    """

    def __init__(self, width: int, condition: int, side: int) -> None:
        super().__init__()
        channels = ladder(width, side)
        self.first = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(DownBlock(before, after) for before, after in pairwise(channels))
        self.head = SentenceHead(channels[-1], condition, 2 * width, kernel=3)

    def features(self, images: Tensor) -> Tensor:
        """Returns the (B, channels, 4, 4) map of (B, 3, side, side) images in [-1, 1]."""
        features: Tensor = self.first(images)
        for block in self.blocks:
            features = block(features)
        return features

    def forward(self, features: Tensor, sentences: Tensor) -> Tensor:
        """Returns (B, 1, 1, 1) logits of maps and sentences."""
        logits: Tensor = self.head(features, sentences)
        return logits
