"""How far an edit went, and how well it fits: L1, L2 and manipulation precision, in float64."""

from __future__ import annotations

import numpy as np


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the (n,) cosines of the rows of two (n, d) arrays."""
    first, second = (np.asarray(rows, dtype=np.float64) for rows in (first, second))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    values: np.ndarray = (first * second).sum(axis=1) / norms
    return values


def l1_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the (n,) mean absolute differences of (n, ...) images, on the scale of their values."""
    values: np.ndarray = np.abs(_flat(first) - _flat(second)).mean(axis=1)
    return values


def l2_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the (n,) mean squared differences of (n, ...) images, on the scale of their values."""
    values: np.ndarray = ((_flat(first) - _flat(second)) ** 2).mean(axis=1)
    return values


def manipulation_precision(difference: np.ndarray, similarity: np.ndarray) -> float:
    """Returns (1 − mean difference) · mean similarity (ManiGAN's MP).

    DE-Net's numbers follow from squared differences on the [0, 1] scale.

    Args:
        difference: (n,) from source to result.
        similarity: (n,) cosines of result and caption.
    """
    return float((1.0 - difference.mean()) * similarity.mean())


def _flat(images: np.ndarray) -> np.ndarray:
    rows = np.asarray(images, dtype=np.float64)
    return rows.reshape(len(rows), -1)
