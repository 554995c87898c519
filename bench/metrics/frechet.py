"""Fréchet distance between two sets of feature vectors (FID, FSD and their like), in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gaussian(NamedTuple):
    """Mean and covariance of feature vectors.

    Attributes:
        mean: (d,) float64.
        covariance: (d, d) float64, divided by n - 1.
    """

    mean: np.ndarray
    covariance: np.ndarray


def gaussian(features: np.ndarray) -> Gaussian:
    """Returns mean and covariance of (n, d) features, n at least 2.

    Raises:
        ValueError: There are fewer than two rows.
    """
    rows = np.asarray(features, dtype=np.float64)
    if len(rows) < 2:
        raise ValueError(f"a covariance needs at least 2 feature vectors, there are {len(rows)}")
    mean = rows.mean(axis=0)
    centred = rows - mean
    return Gaussian(mean, centred.T @ centred / (len(rows) - 1))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Returns ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½).

    With Σᵢ = Aᵢᵀ Aᵢ the last trace is the sum of the singular values of A₁ A₂ᵀ, which is exact for singular covariances
    too and needs no correction.
    """
    shift = first.mean - second.mean
    crossed = np.linalg.svd(_root(first.covariance) @ _root(second.covariance).T, compute_uv=False).sum()
    distance = shift @ shift + np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * crossed
    return max(0.0, float(distance))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Returns A with covariance = Aᵀ A; eigenvalues below zero are rounding."""
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T
    return root
