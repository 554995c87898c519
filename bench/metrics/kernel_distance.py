"""Kernel distance between two sets of feature vectors (KID), in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class KernelDistance(NamedTuple):
    """Squared maximum mean discrepancy over random subsets.

    Attributes:
        mean: Over subsets; may be below zero, since each is unbiased.
        deviation: Standard deviation over subsets, of the population.
        subsets: (k,) float64, one for each subset.
    """

    mean: float
    deviation: float
    subsets: np.ndarray


def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the (n, m) kernel (x · y / d + 1)³ of (n, d) and (m, d)."""
    values: np.ndarray = (first @ second.T / first.shape[1] + 1.0) ** 3
    return values


def squared_discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the unbiased squared maximum mean discrepancy of (n, d) and (m, d), both with at least two rows.

    Raises:
        ValueError: One has fewer than two rows.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        raise ValueError(f"the kernel distance needs at least 2 feature vectors on each side, there are {n} and {m}")
    first, second = (np.asarray(rows, dtype=np.float64) for rows in (first, second))
    within = [
        (values.sum() - np.trace(values)) / (len(values) * (len(values) - 1))
        for values in (kernel(first, first), kernel(second, second))
    ]
    return float(within[0] + within[1] - 2.0 * kernel(first, second).mean())


def kernel_distance(first: np.ndarray, second: np.ndarray, rows: np.ndarray, other_rows: np.ndarray) -> KernelDistance:
    """Returns the distance over given subsets.

    Args:
        first: (n, d) features.
        second: (m, d) features.
        rows: (k, s) int64 rows of `first` in each subset.
        other_rows: (k, s) int64 rows of `second`.
    """
    subsets = np.array(
        [squared_discrepancy(first[a], second[b]) for a, b in zip(rows, other_rows, strict=True)], dtype=np.float64
    )
    return KernelDistance(float(subsets.mean()), float(subsets.std()), subsets)


def draw_subsets(rows: int, count: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Draws (count, size) int64 rows, none twice in a subset; `size` is at most `rows`."""
    return np.stack([generator.permutation(rows)[: min(size, rows)] for _ in range(count)])
