"""Random numbers by position: a function of (seed, stream, index, place), so that any part of a world is drawn alone.

SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators") whose state is a hash of seed,
stream and index. No generator object is passed about and no draw depends on how many came before it.
"""

from __future__ import annotations

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def stream_key(seed: int, stream: str) -> int:
    """Returns the 64-bit key of a stream."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def mix(values: np.ndarray) -> np.ndarray:
    """Returns SplitMix64's finaliser of uint64 values: a bijection whose output bits all depend on all input bits."""
    values = values ^ (values >> np.uint64(30))
    values = values * _FIRST
    values = values ^ (values >> np.uint64(27))
    values = values * _SECOND
    return np.asarray(values ^ (values >> np.uint64(31)))


def states(seed: int, stream: str, index: np.ndarray) -> np.ndarray:
    """Returns the (n,) uint64 state of each index."""
    return mix(np.uint64(stream_key(seed, stream)) ^ mix((index.astype(np.uint64) + np.uint64(1)) * _STEP))


def uniforms(seed: int, stream: str, index: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Draws numbers in [0, 1) for each index.

    Args:
        seed: Seed of the world.
        stream: What the numbers are for; other streams are independent.
        index: (n,) non-negative integers.
        shape: How many numbers an index gets. A longer first axis leaves the earlier numbers as they are.

    Returns:
        (n, *shape) float64.
    """
    places = np.arange(1, int(np.prod(shape, dtype=np.int64)) + 1, dtype=np.uint64) * _STEP
    bits = mix(states(seed, stream, index)[:, None] + places)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53).reshape(len(index), *shape)


def between(low: float, high: float, draws: np.ndarray) -> np.ndarray:
    """Stretches numbers in [0, 1) to [low, high)."""
    return low + (high - low) * draws


def pick(count: int, draws: np.ndarray) -> np.ndarray:
    """Turns numbers in [0, 1) into int64 values 0..count-1, all equally likely."""
    return np.asarray((draws * count).astype(np.int64))


def shuffled(count: int, draws: np.ndarray) -> np.ndarray:
    """Turns (n, count) numbers into n permutations of 0..count-1."""
    if draws.shape[-1] != count:
        raise ValueError(f"a permutation of {count} needs {count} numbers, but got {draws.shape[-1]}")
    return np.argsort(draws, axis=-1, kind="stable")


def pick_weighted(weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Picks one column of each row with probability proportional to its weight.

    Args:
        weights: (n, m) non-negative numbers, or bool.
        draws: (n,) numbers in [0, 1).

    Returns:
        (n,) int64 column; -1 where all weights are 0.
    """
    sums = np.cumsum(weights, axis=1, dtype=np.float64)
    total = sums[:, -1]
    # A hair below the total, so that rounding never reaches past the last column.
    column = np.argmax(sums > (draws * total * (1.0 - 1e-12))[:, None], axis=1)
    return np.where(total > 0, column, -1)
