"""Random changes of training images, whole batches at a time; part of the protocol, so equal for all methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from bench.methods.classifier import as_images

if TYPE_CHECKING:
    from torch import Tensor

SMALL_SIDE = 40
"""Images whose short side is at most this many pixels are shifted; larger ones are cropped and resized."""
PAD = 4
"""Largest shift of small images, in pixels."""
AREA = (0.25, 1.0)
"""Smallest and largest share of a large image that a crop keeps."""
RATIO = (3 / 4, 4 / 3)
"""Smallest and largest width over height of a crop."""
JITTER = 0.4
"""Brightness, contrast and saturation of large images change by up to this factor."""


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Augments a batch for training.

    Small images are padded with 4 black pixels on each side and cut back at a random place (He et al., CVPR 2016,
    section 4.2); of larger ones a random part is cut out and resized, and brightness, contrast and saturation
    change. Half of all images are mirrored.

    Args:
        pixels: (B, height, width, 3) uint8 on any device.
        generator: CPU stream; what is drawn is the same on every device.

    Returns:
        (B, 3, height, width) float32 in [0, 1].
    """
    if min(pixels.shape[1:3]) <= SMALL_SIDE:
        return as_images(_shift_and_mirror(pixels, generator), torch.float32)
    images = as_images(pixels, torch.float32)
    return _jitter(_crop_and_mirror(images, generator), generator)


def _shift_and_mirror(pixels: Tensor, generator: torch.Generator) -> Tensor:
    count, height, width = pixels.shape[:3]
    shifts = torch.randint(0, 2 * PAD + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    rows = shifts[0] + torch.arange(height)
    columns = shifts[1] + torch.where(mirrored, torch.arange(width).flip(0), torch.arange(width))
    rows, columns = rows.to(pixels.device), columns.to(pixels.device)
    padded = functional.pad(pixels, (0, 0, PAD, PAD, PAD, PAD))
    which = torch.arange(count, device=pixels.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]]


def _crop_and_mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Cuts out a random part of each image and resizes it (Szegedy et al., CVPR 2015, section 6).

    The area is uniform, the ratio log-uniform; a side longer than the image's is cut to it.
    """
    count, _, height, width = images.shape
    drawn = torch.rand(5, count, generator=generator)
    area = AREA[0] + (AREA[1] - AREA[0]) * drawn[0]
    ratio = torch.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * drawn[1])
    # Shares of the image's own height and width: its proportions are in `ratio` already.
    wide = torch.sqrt(area * ratio * height / width).clamp(max=1.0)
    high = torch.sqrt(area / ratio * width / height).clamp(max=1.0)
    centre_x, centre_y = (2 * drawn[2] - 1) * (1 - wide), (2 * drawn[3] - 1) * (1 - high)
    zero = torch.zeros(count)
    mirror = torch.where(drawn[4] < 0.5, -1.0, 1.0)
    theta = torch.stack([wide * mirror, zero, centre_x, zero, high, centre_y], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(theta.to(images.device), [count, 3, height, width], align_corners=False)
    cropped: Tensor = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cropped


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    factors = 1 + JITTER * (2 * torch.rand(3, images.shape[0], 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = factors.to(images.device)
    images = images * brightness
    luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    mean = (images * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = mean + contrast * (images - mean)
    grey = (images * luma).sum(1, keepdim=True)
    mixed: Tensor = grey + saturation * (images - grey)
    return mixed.clamp(0.0, 1.0)
