"""Vectors of frames by fixed filters: colours, gradient orientations and moments of the cells of a grid.

Nothing is learned, so nothing can leak. A cell is described by 26 numbers: a histogram of 8 hues weighted by how
colourful a pixel is, one of 5 grey levels weighted by how little, 8 orientations of the brightness gradient (unsigned,
weighted by its strength), the mean colour (3) and the mean and spread of brightness (2). Histograms share a value
between its two nearest bins and are square-rooted (Hellinger), which tames their peaks.
"""

from __future__ import annotations

import numpy as np

CELLS_VERSION = 1
HUES, GREYS, ORIENTATIONS = 8, 5, 8
HISTOGRAMS = HUES + GREYS + ORIENTATIONS
CELL_DIM = HISTOGRAMS + 5
"""Numbers that describe a cell."""
_EDGE_SCALE = 4.0
"""Brings gradient histograms to the order of the others."""


def describe(images: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Describes images by the cells of a grid.

    Args:
        images: (n, H, W, 3) uint8 RGB, at least 2 pixels high and wide.
        grid: Rows and columns, at most a cell for each pixel.

    Returns:
        (n, rows, columns, `CELL_DIM`) float32.
    """
    return pool(pixel_maps(images), grid)


def pixel_maps(images: np.ndarray) -> np.ndarray:
    """Returns (n, `CELL_DIM`, H, W) float32: what each pixel adds to the numbers of its cell."""
    n, height, width, _ = images.shape
    red, green, blue = (np.moveaxis(images, -1, 0) / np.float32(255.0)).astype(np.float32)
    brightness = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    down, right = np.gradient(brightness, axis=(1, 2))
    turn = np.mod(np.arctan2(down, right) / np.float32(np.pi), np.float32(1))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    maps = np.empty((n, CELL_DIM, height, width), dtype=np.float32)
    _bins(_hue(red, green, blue, value, chroma), chroma, maps[:, :HUES], circular=True)
    _bins(value, 1 - chroma, maps[:, HUES : HUES + GREYS], circular=False)
    strength = np.hypot(down, right) * np.float32(_EDGE_SCALE)
    _bins(turn, strength, maps[:, HUES + GREYS : HISTOGRAMS], circular=True)
    for place, plane in enumerate((red, green, blue, brightness, np.square(brightness)), start=HISTOGRAMS):
        maps[:, place] = plane
    return maps


def pool(maps: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Describes the cells of a grid from `pixel_maps`; returns (n, rows, columns, `CELL_DIM`) float32."""
    means = cell_means(maps, grid)
    cells: np.ndarray = np.moveaxis(means, 1, -1).copy()
    cells[..., :HISTOGRAMS] = np.sqrt(cells[..., :HISTOGRAMS])
    cells[..., -1] = np.sqrt(np.maximum(cells[..., -1] - np.square(cells[..., -2]), 0))
    return cells


def cell_means(planes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Returns (..., rows, columns) means of (..., H, W) planes over cells whose sides differ by at most a pixel."""
    height, width = planes.shape[-2:]
    tall = np.linspace(0, height, grid[0] + 1).astype(np.int64)
    wide = np.linspace(0, width, grid[1] + 1).astype(np.int64)
    sums = np.add.reduceat(np.add.reduceat(planes, tall[:-1], axis=-2), wide[:-1], axis=-1)
    area = np.diff(tall)[:, None] * np.diff(wide)
    means: np.ndarray = (sums / area).astype(np.float32)
    return means


def change(frames: np.ndarray, described: np.ndarray) -> np.ndarray:
    """Describes what changes in clips: last description minus first, and the mean absolute change of pixels.

    Args:
        frames: (n, F, H, W, 3) uint8, F at least 2.
        described: (n, F, rows, columns, `CELL_DIM`) from `describe`.

    Returns:
        (n, rows · columns · (`CELL_DIM` + 1)) float32.
    """
    grid = described.shape[2], described.shape[3]
    steps = np.abs(np.diff(frames.astype(np.float32) / np.float32(255.0), axis=1)).mean(axis=(1, 4))
    moved = cell_means(steps, grid)[..., None]
    parts = np.concatenate([described[:, -1] - described[:, 0], moved], axis=-1)
    changed: np.ndarray = parts.reshape(len(frames), -1).astype(np.float32)
    return changed


def standardised(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Returns (..., d) float32 values less the mean, over the spread, of the columns of a basis, (..., d) too."""
    flat = basis.reshape(-1, basis.shape[-1])
    mean, spread = flat.mean(axis=0), flat.std(axis=0)
    # Cells that are black in every training frame have no spread.
    scaled: np.ndarray = ((values - mean) / np.where(spread > 1e-6, spread, 1)).astype(np.float32)
    return scaled


def _hue(red: np.ndarray, green: np.ndarray, blue: np.ndarray, value: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Returns hue in [0, 1), red 0 and green 1/3; 0 without chroma."""
    safe = np.where(chroma > 0, chroma, np.float32(1))
    others = np.where(value == green, (blue - red) / safe + np.float32(2), (red - green) / safe + np.float32(4))
    sector = np.where(value == red, np.mod((green - blue) / safe, np.float32(6)), others)
    hue: np.ndarray = np.mod(sector / np.float32(6.0), np.float32(1))
    return hue


def _bins(values: np.ndarray, weights: np.ndarray, out: np.ndarray, *, circular: bool) -> None:
    """Writes to `out` (n, bins, H, W) how much of its weight each pixel's value in [0, 1] gives to each bin."""
    bins = out.shape[1]
    position = values * np.float32(bins if circular else bins - 1)
    for place in range(bins):
        distance = np.abs(position - np.float32(place))
        if circular:
            distance = np.minimum(distance, np.float32(bins) - distance)
        np.multiply(np.maximum(np.float32(1) - distance, np.float32(0)), weights, out=out[:, place])
