"""Contact sheets of heat maps: pictures, the same under their maps, and words beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.tasks.grids import CELL, picture_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.tasks.base import Sample

_STOPS = np.array([[10, 10, 40], [90, 20, 110], [200, 55, 70], [250, 160, 30], [252, 250, 190]], dtype=np.float64)
"""Colours of no heat to most heat, darker to lighter throughout, so that print and colour-blind readers see it too."""
_PICTURE = 0.35
"""Share of the picture, in grey, under its map."""


def heat_sheet(
    name: str,
    pictures: np.ndarray,
    maps: Mapping[str, np.ndarray],
    texts: Sequence[str],
    notes: Mapping[str, Any],
) -> tuple[Sample, Sample]:
    """Returns the sheet as a PNG, and its texts as JSON.

    Args:
        name: Of the sample.
        pictures: (n, height, width, 3) uint8.
        maps: Heading to (n, rows, columns) heat ≥ 0, each map drawn against its own largest value.
        texts: n texts.
        notes: Plain JSON values to show beside it.
    """
    enlarged = _squared(_enlarged(pictures))
    columns = {"image": enlarged}
    columns |= {heading: _squared(_enlarged(overlay(pictures, heat))) for heading, heat in maps.items()}
    return picture_grid(name, columns, texts, notes)


def overlay(pictures: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns (n, height, width, 3) uint8 maps in colour over the pictures in grey, each part the same all over."""
    n, height, width, _ = pictures.shape
    rows, columns = heat.shape[1:]
    largest = heat.reshape(n, -1).max(axis=1)[:, None, None]
    level = np.divide(heat, largest, out=np.zeros_like(heat, dtype=np.float64), where=largest > 0)
    level = level[:, np.arange(height) * rows // height][:, :, np.arange(width) * columns // width]
    place = level * (len(_STOPS) - 1)
    channels = [np.interp(place, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)]
    grey = pictures.mean(axis=3)
    mixed = (1.0 - _PICTURE) * np.stack(channels, axis=3) + _PICTURE * grey[..., None]
    return np.asarray((mixed + 0.5).astype(np.uint8))


def _enlarged(pictures: np.ndarray) -> np.ndarray:
    """Repeats pixels until the longer side fills a cell."""
    times = max(1, -(-CELL // max(pictures.shape[1:3])))
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _squared(pictures: np.ndarray) -> np.ndarray:
    """Sets pictures in the middle of white squares."""
    n, height, width, _ = pictures.shape
    side = max(height, width)
    sheet = np.full((n, side, side, 3), 255, dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    sheet[:, top : top + height, left : left + width] = pictures
    return sheet
