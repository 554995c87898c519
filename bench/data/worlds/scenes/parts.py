"""Numbers that describe the parts of a picture, made from pixels by fixed rules: nothing is learned.

A part has shares of its pixels by hue, vivid and muted apart, by brightness where there is hardly any colour, and the
strength of its edges by direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bench.data.parts import Grid

HUES, GREYS, DIRECTIONS = 12, 4, 8
PART_DIM = 2 * HUES + GREYS + DIRECTIONS
VIVID, COLOURLESS = 0.38, 0.12
"""Saturation (chroma over the largest channel) from which a pixel is vivid, and below which it has no hue."""


def part_features(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Describes the parts of pictures.

    Args:
        pixels: (n, height, width, 3) uint8; rows and columns of the grid divide height and width.
        grid: How the parts lie.

    Returns:
        (n, parts, PART_DIM) float32: shares of pixels in 12 hues vivid, in 12 hues muted and in 4 greys, which add up
        to 1, then the mean strength of edges in 8 directions.
    """
    n, height, width, _ = pixels.shape
    colours = pixels.astype(np.float32) / np.float32(255.0)
    largest, smallest = colours.max(axis=-1), colours.min(axis=-1)
    chroma = largest - smallest
    saturation = chroma / np.maximum(largest, np.float32(1e-6))
    hue = np.minimum((_hue(colours, largest, chroma) * np.float32(HUES / 6.0)).astype(np.int64), HUES - 1)
    grey = np.minimum((largest * np.float32(GREYS)).astype(np.int64), GREYS - 1)
    bins = np.where(saturation < COLOURLESS, 2 * HUES + grey, np.where(saturation >= VIVID, hue, HUES + hue))
    cells = np.arange(height)[:, None] * grid.rows // height * grid.columns + np.arange(width) * grid.columns // width
    parts = grid.rows * grid.columns
    place = np.arange(n)[:, None, None] * parts + cells
    made = np.zeros((n * parts, PART_DIM), dtype=np.float64)
    made += np.bincount((place * PART_DIM + bins).ravel(), minlength=n * parts * PART_DIM).reshape(n * parts, PART_DIM)
    strength, direction = _edges(pixels.astype(np.int64).sum(axis=-1))
    code = place * DIRECTIONS + direction
    summed = np.bincount(code.ravel(), weights=strength.ravel(), minlength=n * parts * DIRECTIONS)
    made[:, -DIRECTIONS:] = summed.reshape(n * parts, DIRECTIONS)
    return np.asarray(made / (height * width / parts), dtype=np.float32).reshape(n, parts, PART_DIM)


def _hue(colours: np.ndarray, largest: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Returns the hue of HSV in [0, 6]; anything where there is no chroma."""
    red, green, blue = np.moveaxis(colours, -1, 0)
    width = np.where(chroma > 0, chroma, np.float32(1.0))
    of_red = np.mod((green - blue) / width, np.float32(6.0))
    of_green, of_blue = (blue - red) / width + np.float32(2.0), (red - green) / width + np.float32(4.0)
    return np.asarray(np.where(largest == red, of_red, np.where(largest == green, of_green, of_blue)))


def _edges(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns strength and direction (0..7, an eighth of a turn each) of the change of brightness at every pixel.

    Args:
        light: (n, height, width) sums of the three channels, integers: equal changes are equal exactly.
    """
    wide = np.pad(light, ((0, 0), (1, 1), (1, 1)), mode="edge")
    dx, dy = wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2], wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]
    strength = np.sqrt(dx * dx + dy * dy) / (3 * 255.0)
    # Signs and which is larger tell the eighth, and round alike on every machine where an angle would not.
    direction = (dy < 0) * 4 + (dx < 0) * 2 + (np.abs(dy) > np.abs(dx)) * 1
    return strength, direction
