"""Signed distances of the forms that objects have: negative inside, about the distance to the outline outside.

Every form fits the square [-1, 1] x [-1, 1]. Only sums, products, square roots, minima and maxima are used: they
round alike on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _length(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(u * u + v * v))


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(_length(u, v) - np.float32(1.0))


def _box(u: np.ndarray, v: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    a = np.abs(u) - np.float32(half_width)
    b = np.abs(v) - np.float32(half_height)
    return np.asarray(_length(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0))


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _box(u, v, 0.88, 0.88)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Half planes below the two slopes and above the base; corners are sharper than a true distance's.
    side = np.abs(u) * np.float32(0.876) - v * np.float32(0.482) - np.float32(0.48)
    return np.asarray(np.maximum(v - np.float32(0.82), side))


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(_box(u, v, 1.0, 0.34), _box(u, v, 0.34, 1.0)))


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(_length(u, v) - np.float32(0.74)) - np.float32(0.26))


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A five-pointed star (Quilez, "2D distance functions", star5), inner radius 0.45."""
    kx, ky = np.float32(0.809016994375), np.float32(-0.587785252292)
    u, v = np.abs(u), -v
    fold = np.float32(2.0) * np.maximum(kx * u + ky * v, 0)
    u, v = u - fold * kx, v - fold * ky
    fold = np.float32(2.0) * np.maximum(-kx * u + ky * v, 0)
    u, v = u + fold * kx, v - fold * ky
    u, v = np.abs(u), v - np.float32(1.0)
    bx, by = np.float32(0.45 * 0.587785252292), np.float32(0.45 * 0.809016994375 - 1.0)
    along = np.clip((u * bx + v * by) / (bx * bx + by * by), 0, 1)
    distance = _length(u - bx * along, v - by * along)
    return np.asarray(np.where(v * bx - u * by > 0, distance, -distance))


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Two discs and the square between them, turned by 45 degrees.
    u = np.abs(u)
    lobe = _length(u - np.float32(0.46), v + np.float32(0.36)) - np.float32(0.53)
    slope = (u + v) * np.float32(0.7071) - np.float32(0.60)
    shoulder = (u - v) * np.float32(0.7071) - np.float32(0.58)
    point = np.maximum(np.maximum(slope, shoulder), -v - np.float32(0.36))
    return np.asarray(np.minimum(lobe, point))


def _moon(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(_disc(u, v), np.float32(0.82) - _length(u - np.float32(0.55), v)))


def _half_disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(_length(u, v + np.float32(0.45)) - np.float32(1.0), -v - np.float32(0.45)))


def _flower(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = np.abs(u), np.abs(v)
    lobes = np.minimum(_length(a - np.float32(0.5), b), _length(a, b - np.float32(0.5)))
    return np.asarray(lobes - np.float32(0.5))


FORMS: dict[str, Distance] = {
    "circle": _disc,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "star": _star,
    "heart": _heart,
    "moon": _moon,
    "half": _half_disc,
    "flower": _flower,
}
"""Distance functions by name; an object's `form` is a place in this order."""

FORM_NAMES = tuple(FORMS)


def form_index(*names: str) -> np.ndarray:
    """Returns the places of forms in `FORMS`, (names,) int64."""
    return np.array([FORM_NAMES.index(name) for name in names], dtype=np.int64)


def distance(form: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the signed distance of float32 points from the outline of form number `form`."""
    return FORMS[FORM_NAMES[form]](u, v)


def box_distance(u: np.ndarray, v: np.ndarray, half_width: np.ndarray, half_height: np.ndarray) -> np.ndarray:
    """Returns the signed distance from boxes of given half sides, broadcast over points."""
    a = np.abs(u) - half_width
    b = np.abs(v) - half_height
    return np.asarray(_length(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0))
