"""Would the difference last if both methods were trained again? Tests over seeds, and over seeds and units at once.

The paired tests over units (`bench.analysis.paired`) take the trained models as given. Here training is repeated, so
the number of seeds is what counts, and "too few seeds" is an answer.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_SEEDS = 3
"""Fewer seeds give a standard deviation with one degree of freedom at most, which says next to nothing."""
_MOST_SPLITS = 50_000
"""Up to so many splits of the runs are enumerated; beyond, as many are drawn."""


class TooFew(NamedTuple):
    """The answer where there is too little to say anything."""

    reason: str
    """One sentence."""
    have: int
    """How many there are."""
    need: int
    """How many it takes at least."""


class SeedDifference(NamedTuple):
    """How the mean over seeds of a second method differs from that of a first."""

    difference: float
    """Mean of the second minus mean of the first."""
    low: float
    """Lower end of Welch's interval."""
    high: float
    """Upper end of it."""
    p_value: float | None
    """Two-sided p-value of Welch's test; None when neither method varies over seeds: there is nothing to test."""
    confidence: float
    """Level of the interval."""


def welch(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> SeedDifference | TooFew:
    """Compares means over seeds by Welch's t (Biometrika 34, 1947): variances may differ, seeds are not paired.

    A seed drives another stream of random numbers in every method, so equal seeds make no pair.

    Args:
        a: One value per seed of the first method.
        b: One value per seed of the second.
        confidence: Level of the interval, between 0 and 1.
    """
    first, second = _vector(a), _vector(b)
    least = min(first.size, second.size)
    if least < MIN_SEEDS:
        return TooFew(
            f"{_seeds(least)} per method; {MIN_SEEDS} are needed to know the noise of training", least, MIN_SEEDS
        )
    difference = float(second.mean() - first.mean())
    # The rounding of a variance must not give methods without randomness an interval.
    parts = [0.0 if np.ptp(values) == 0 else float(values.var(ddof=1)) / values.size for values in (first, second)]
    variance = sum(parts)
    if variance == 0:
        return SeedDifference(difference, difference, difference, None, confidence)
    from scipy.special import stdtr, stdtrit

    freedom = variance**2 / (parts[0] ** 2 / (first.size - 1) + parts[1] ** 2 / (second.size - 1))
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return SeedDifference(difference, difference - half, difference + half, min(1.0, p_value), confidence)


def seed_permutation_test(
    a: Sequence[float], b: Sequence[float], *, alpha: float = 0.05, seed: int = 0
) -> float | TooFew:
    """Tests whether two methods differ over seeds, by handing out the runs to the two methods in all possible ways.

    Exact while there are at most 50,000 ways, else with as many drawn at random; two-sided, with the absolute
    difference of means as statistic. It assumes no distribution, so with few seeds no p-value can be small.

    Args:
        a: One value per seed of the first method.
        b: One value per seed of the second.
        alpha: The level that must be within reach.
        seed: Seed of the random splits.

    Returns:
        The p-value, or that no p-value of at most `alpha` is possible with so few seeds.
    """
    first, second = _vector(a), _vector(b)
    ways = math.comb(first.size + second.size, first.size)
    smallest = (2 if first.size == second.size else 1) / ways
    if smallest > alpha:
        least = min(first.size, second.size)
        need = next(n for n in itertools.count(least + 1) if 2 / math.comb(2 * n, n) <= alpha)
        reason = (
            f"{_seeds(least)} per method; the smallest p-value that permuting them can give is {smallest:.2g}, "
            f"{need} seeds are needed for {alpha:g}"
        )
        return TooFew(reason, least, need)
    pooled = np.concatenate([first, second])
    observed = abs(second.mean() - first.mean())
    # Differences that are equal in exact arithmetic differ by rounding, and must count as ties.
    threshold = observed - 1e-12 * np.abs(pooled).sum()
    if ways <= _MOST_SPLITS:
        chosen = np.array(list(itertools.combinations(range(pooled.size), first.size)))
        extra = 0
    else:
        generator = np.random.default_rng([seed, 2])
        chosen = np.argsort(generator.random((_MOST_SPLITS, pooled.size)), axis=1)[:, : first.size]
        extra = 1
    sums = pooled[chosen].sum(axis=1)
    statistics = np.abs((pooled.sum() - sums) / second.size - sums / first.size)
    hits = int(np.count_nonzero(statistics >= threshold))
    return (hits + extra) / (len(chosen) + extra)


def crossed_interval(
    a: np.ndarray, b: np.ndarray, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | TooFew:
    """Returns the bootstrap interval of the mean difference when both seeds and units are drawn anew.

    Units are drawn once for both methods (they are paired); seeds are drawn for each method on its own, one fewer than
    there are: with m - 1 of m draws the variance over seeds comes out without bias (Rao & Wu, JASA 83, 1988).

    Args:
        a: (seeds, n) scores of the first method.
        b: (seeds, n) scores of the second method on the same units.
        resamples: Number of resamples.
        confidence: Level of the interval.
        seed: Seed of the draws.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    least = min(len(first), len(second))
    if least < MIN_SEEDS:
        return TooFew(f"{_seeds(least)} per method; {MIN_SEEDS} are needed to draw seeds anew", least, MIN_SEEDS)
    if first.ndim != 2 or first.shape[1] != second.shape[1] or not first.shape[1]:
        raise ValueError(f"scores must be (seeds, units) on equal units, but got {first.shape} and {second.shape}")
    generator = np.random.default_rng([seed, 3])
    size = first.shape[1]
    # A unit on which no run of either method scores adds zero to every sum: only how many are drawn matters.
    alive = np.flatnonzero(first.any(axis=0) | second.any(axis=0))
    scores = [first[:, alive], second[:, alive]]
    means = np.empty(resamples)
    counts = generator.binomial(size, len(alive) / size, size=resamples)
    for number, drawn_alive in enumerate(counts):
        weights = [
            generator.multinomial(len(rows) - 1, np.full(len(rows), 1 / len(rows))) / (len(rows) - 1) for rows in scores
        ]
        profile = weights[1] @ scores[1] - weights[0] @ scores[0]
        picked = generator.integers(0, max(len(alive), 1), size=drawn_alive, dtype=np.int32)
        means[number] = profile[picked].sum() / size
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _vector(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"values over seeds must be a vector of finite numbers, but got {array.tolist()}")
    return array


def _seeds(number: int) -> str:
    return f"{number} seed{'' if number == 1 else 's'}"
