"""Appearance and motion features made from pixels by fixed filters: nothing is learned and nothing but pixels is read.

A frame becomes five maps: four opponent colours (red, green, yellow and blue against the rest; Hering) and the contrast
of brightness with the frame's median. Appearance pools each map and the strength of its edges in five directions over a
2 x 2 grid. Motion correlates each map with the next frame's, shifted by a pixel (Reichardt's detector), in four
directions over the same grid, and adds what comes and goes. Sums over areas keep counts readable.
"""

from __future__ import annotations

import numpy as np

MAPS = 5
GRID = 2
APPEARANCE_DIM = MAPS * 6 * GRID * GRID
MOTION_DIM = MAPS * 4 * GRID * GRID + MAPS * 2

_AREA_SCALE, _EDGE_SCALE, _MOTION_SCALE, _CHANGE_SCALE = 12.0, 12.0, 3.0, 10.0
"""What sums are divided by at 32 px, so that features are of the order of 1."""


def maps(frames: np.ndarray) -> np.ndarray:
    """Returns (n, 5, height, width) float32 maps of (n, height, width, 3) uint8 frames."""
    red, green, blue = np.moveaxis(frames.astype(np.float32) / np.float32(255.0), -1, 0)
    light = (red + green + blue) / np.float32(3.0)
    middle = np.median(light.reshape(len(frames), -1), axis=1)[:, None, None]
    yellow = (red + green) / np.float32(2.0)
    return np.stack(
        [
            np.maximum(red - np.maximum(green, blue), 0),
            np.maximum(green - np.maximum(red, blue), 0),
            np.maximum(np.minimum(red, green) - blue, 0),
            np.maximum(blue - yellow, 0),
            np.abs(light - middle),
        ],
        axis=1,
    )


def appearance(frames: np.ndarray) -> np.ndarray:
    """Returns (n, `APPEARANCE_DIM`) float32 features of (n, side, side, 3) uint8 frames; the side is even."""
    found = maps(frames)
    scale = np.float32((32.0 / frames.shape[1]) ** 2)
    wide = np.pad(found, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    up, down, left, right = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1], wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    rising = np.abs(wide[..., :-2, 2:] - wide[..., 2:, :-2])
    falling = np.abs(wide[..., :-2, :-2] - wide[..., 2:, 2:])
    # Bright where it is brighter than all four neighbours together would be: corners and thin parts.
    peak = np.maximum(found - (up + down + left + right) / np.float32(4.0), 0)
    edges = [np.abs(right - left), np.abs(down - up), rising, falling, peak]
    pooled = [_pooled(found) * (scale / np.float32(_AREA_SCALE))]
    pooled += [_pooled(edge) * (scale / np.float32(_EDGE_SCALE)) for edge in edges]
    return np.stack(pooled, axis=2).reshape(len(frames), APPEARANCE_DIM)


def motion(clips: np.ndarray) -> np.ndarray:
    """Returns (n, `MOTION_DIM`) float32 features of (n, frames, side, side, 3) uint8 clips of at least two frames."""
    n, length, side = clips.shape[:3]
    found = maps(clips.reshape(n * length, *clips.shape[2:])).reshape(n, length, MAPS, side, side)
    scale = np.float32((32.0 / side) ** 2)
    before, after = found[:, :-1], found[:, 1:]
    detectors = []
    for axis in (4, 3):
        first, second = before.swapaxes(axis, 4), after.swapaxes(axis, 4)
        forth = (first[..., :-1] * second[..., 1:] - first[..., 1:] * second[..., :-1]).sum(axis=1)
        padded = np.pad(forth, ((0, 0), (0, 0), (0, 0), (0, 1))).swapaxes(axis - 1, 3)
        signed = _pooled(padded) * (scale / np.float32(_MOTION_SCALE))
        detectors += [np.maximum(-signed, 0), np.maximum(signed, 0)]
    change = (after - before).sum(axis=(3, 4)) * (scale / np.float32(_CHANGE_SCALE))
    comes, goes = np.maximum(change, 0).sum(axis=1), np.maximum(-change, 0).sum(axis=1)
    moves = np.stack(detectors, axis=2).reshape(n, -1)
    return np.concatenate([moves, comes, goes], axis=1).astype(np.float32)


def _pooled(values: np.ndarray) -> np.ndarray:
    """Sums (n, maps, side, side) over a grid; returns (n, maps, cells)."""
    n, count, side, _ = values.shape
    half = side // GRID
    # Rows first: they are added whole, which is faster than cells.
    rows = values.reshape(n, count, GRID, half, side).sum(axis=3)
    return np.asarray(rows.reshape(n, count, GRID, GRID, half).sum(axis=4).reshape(n, count, GRID * GRID))
