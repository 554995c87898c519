"""Confidence intervals of a mean over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Interval(NamedTuple):
    """A mean and how far the true one may be from it."""

    mean: float
    """Mean of the values."""
    half_width: float | None
    """Half the width of the confidence interval; None when there are too few values (or one is not finite) to say."""
    n: int
    """Number of values."""

    @property
    def low(self) -> float | None:
        """Lower end."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.half_width is None else self.mean + self.half_width


def t_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Returns the mean of some values and its Student-t interval.

    The half width is `t_{n-1, (1+c)/2} · s / sqrt(n)` with the sample standard deviation `s` (divisor n - 1). It covers
    the randomness of training (the seed) only: data and split are the same in every run.

    Args:
        values: One value per seed, at least one.
        confidence: Confidence level c, between 0 and 1.

    Raises:
        ValueError: There is no value, or the level is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`0 < confidence < 1` must hold, but got {confidence}")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"an interval needs at least one value, but got shape {array.shape}")
    if not np.isfinite(array).all():
        return Interval(float(array.mean()), None, array.size)
    mean = math.fsum(array.tolist()) / array.size
    if array.size < 2:
        return Interval(mean, None, 1)
    if array.min() == array.max():
        # Rounding of the mean must not give a method without randomness an interval.
        return Interval(float(array[0]), 0.0, array.size)
    from scipy.special import stdtrit

    quantile = float(stdtrit(array.size - 1, (1 + confidence) / 2))
    return Interval(mean, quantile * float(array.std(ddof=1)) / math.sqrt(array.size), array.size)
