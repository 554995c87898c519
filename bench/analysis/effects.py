"""Effect sizes: how large a difference is, whatever the number of units says about its certainty."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Effect(NamedTuple):
    """How large a paired difference is."""

    cohens_dz: float | None
    """Mean of the differences by their standard deviation; None when they do not vary, so that it has no value."""
    cliffs_delta: float
    """P(b > a) - P(b < a) over all pairs of units, from -1 to 1."""
    higher: int
    """Units on which the second scores higher."""
    lower: int
    """Units on which it scores lower."""
    equal: int
    """Units on which both score the same."""


def effect(a: np.ndarray, b: np.ndarray) -> Effect:
    """Returns the effect sizes of `b - a`.

    Args:
        a: (n,) scores of the first method.
        b: (n,) scores of the second method on the same units.
    """
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    return Effect(cohens_dz(differences), cliffs_delta(a, b), higher, lower, len(differences) - higher - lower)


def cohens_dz(differences: np.ndarray) -> float | None:
    """Returns Cohen's d_z (Statistical Power Analysis, 1988, section 2.3.5): mean by standard deviation.

    The standard deviation has divisor n - 1.

    Args:
        differences: (n,) one difference per unit.

    Returns:
        None when there are fewer than two units, or all differ by the same amount other than zero; 0 when none differs.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size and not values.any():
        return 0.0
    if values.size < 2 or values.min() == values.max():
        return None
    return float(values.mean() / values.std(ddof=1))


def cliffs_delta(a: np.ndarray, b: np.ndarray) -> float:
    """Returns Cliff's delta (Psychological Bulletin 114, 1993): P(b > a) - P(b < a) over all pairs of units.

    From the ranks of all values together, so that n units cost O(n log n) and not O(n²).

    Args:
        a: (n,) scores.
        b: (m,) scores.

    Raises:
        ValueError: One of them is empty.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not first.size or not second.size:
        raise ValueError("Cliff's delta needs at least one score on either side")
    ordered = np.sort(first)
    below = np.searchsorted(ordered, second, side="left").sum(dtype=np.int64)
    above = first.size * second.size - np.searchsorted(ordered, second, side="right").sum(dtype=np.int64)
    return float((int(below) - int(above)) / (first.size * second.size))


def magnitude(dz: float | None) -> str:
    """Puts Cohen's d_z into his words: negligible below 0.2, small below 0.5, medium below 0.8, large from there."""
    if dz is None or not math.isfinite(dz):
        return "undefined"
    size = abs(dz)
    return "negligible" if size < 0.2 else "small" if size < 0.5 else "medium" if size < 0.8 else "large"
