"""Is one method better than another on the same units? Paired sign-flip test and paired bootstrap.

Both say how far the result may depend on which units (users, images, questions) were tested, given the trained models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.analysis.effects import Effect, effect
from bench.analysis.seeds import SeedDifference, TooFew, crossed_interval, seed_permutation_test, welch
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

    from bench.analysis.summary import Row
    from bench.store import Store

_BLOCK = 1 << 22
"""Random numbers drawn at once: bounds the memory at some 50 MB whatever the number of units and resamples."""
_CROSSED = 2_000
"""Resamples of seeds and units at once: each is a product over all seeds, and its ends need no fourth digit."""


class PairedUnits(NamedTuple):
    """Scores of two methods on the same units."""

    units: np.ndarray
    """(n,) ids, sorted."""
    a: np.ndarray
    """(n,) float64 scores of the first method, averaged over `seeds`."""
    b: np.ndarray
    """(n,) float64 scores of the second method, averaged over `seeds`."""
    seeds: tuple[int, ...]
    """Seeds that both methods have."""
    a_by_seed: np.ndarray | None = None
    """(seeds, n) scores of the first method."""
    b_by_seed: np.ndarray | None = None
    """(seeds, n) scores of the second method."""
    dropped: int = 0
    """Units left out because the metric says nothing about them (NaN in either method)."""


@dataclass(frozen=True)
class Comparison:
    """How the second method differs from the first.

    Attributes:
        metric: What was compared.
        n: Number of units.
        seeds: Seeds the scores were averaged over.
        mean_a: Mean score of the first method.
        mean_b: Mean score of the second method.
        difference: `mean_b - mean_a`.
        low: Lower end of the bootstrap interval of the difference.
        high: Upper end of it.
        confidence: Level of that interval.
        p_value: Two-sided p-value of the sign-flip test of "no difference".
        resamples: Resamples of both.
        effect: Effect sizes over units.
        over_seeds: The difference of the means over seeds, or why there is none.
        seed_p_value: p-value of permuting the runs, or why there is none.
        crossed: Bootstrap interval over seeds and units at once, or why there is none.
        by_seed: Seed to the mean difference over units of the two runs with that seed.
        dropped: Units left out because the metric says nothing about them.
    """

    metric: str
    n: int
    seeds: tuple[int, ...]
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    confidence: float
    p_value: float
    resamples: int
    effect: Effect | None = None
    over_seeds: SeedDifference | TooFew | None = None
    seed_p_value: float | TooFew | None = None
    crossed: tuple[float, float] | TooFew | None = None
    by_seed: Mapping[int, float] = field(default_factory=dict)
    dropped: int = 0


def align_units(a: Mapping[int, pl.DataFrame], b: Mapping[int, pl.DataFrame], metric: str) -> PairedUnits:
    """Averages each method's unit scores over the seeds both have, and lines the units up by their ids.

    A unit that is none of the metric's (its score is NaN in some run) is left out.

    Args:
        a: Seed to unit scores of the first method (column `unit`, one column per metric).
        b: The same of the second method.
        metric: The column to compare.

    Raises:
        UserError: No seed in common, a metric is missing, the two were not tested on the same units, or no unit has a
            score in both.
    """
    seeds = tuple(sorted(set(a) & set(b)))
    if not seeds:
        raise UserError(
            f"a paired test needs a seed that both methods have, but got {sorted(a)} and {sorted(b)}.",
            hint="Run both with the same seeds (`bench run SPEC --seed …`).",
        )
    units: pl.Series | None = None
    scores: list[np.ndarray] = []
    for frames in (a, b):
        columns = []
        for seed in seeds:
            frame = frames[seed]
            if metric not in frame.columns:
                have = ", ".join(name for name in frame.columns if name != "unit")
                raise UserError(f"there are no unit scores of {metric!r}; there are those of {have}.")
            frame = frame.sort("unit")
            if units is None:
                units = frame["unit"]
            elif not units.equals(frame["unit"]):
                raise UserError(
                    f"a paired test needs equal units in every run, but these {len(units)} and {frame.height} differ.",
                    hint="The runs were made on different data, splits or protocols.",
                )
            columns.append(frame[metric].to_numpy())
        scores.append(np.stack(columns).astype(np.float64))
    assert units is not None  # noqa: S101  (there is at least one seed)
    kept = ~(np.isnan(scores[0]).any(axis=0) | np.isnan(scores[1]).any(axis=0))
    if not kept.any():
        raise UserError(f"no unit has a score of {metric!r} in every run: there is nothing to compare.")
    first, second = scores[0][:, kept], scores[1][:, kept]
    return PairedUnits(
        units.to_numpy()[kept],
        first.mean(axis=0),
        second.mean(axis=0),
        seeds,
        first,
        second,
        dropped=int(np.count_nonzero(~kept)),
    )


def sign_flip_test(differences: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> float:
    """Tests whether paired differences are centred at zero, by flipping their signs at random.

    Two-sided, with the absolute mean as statistic: `p = (1 + #{|flipped| >= |observed|}) / (1 + resamples)`, which is
    never 0 and makes the test valid at every level (Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010).

    Args:
        differences: (n,) one difference per unit.
        resamples: Random sign vectors.
        seed: Seed of the random signs.
    """
    values = _checked(differences, resamples)
    # A difference of zero has no sign to flip; most users of a ranking metric are such.
    values = values[values != 0]
    observed = abs(values.sum())
    # Sums that are equal in exact arithmetic differ by rounding, and must count as ties.
    threshold = observed - 1e-12 * np.abs(values).sum()
    generator = np.random.default_rng([seed, 0])
    count = 0
    for rows in _blocks(resamples, values.size):
        packed = generator.integers(0, 256, size=(rows, -(-values.size // 8)), dtype=np.uint8)
        flipped = np.unpackbits(packed, axis=1, count=values.size).astype(np.float64) @ values
        count += int(np.count_nonzero(np.abs(values.sum() - 2.0 * flipped) >= threshold))
    return (1 + count) / (1 + resamples)


def bootstrap_interval(
    differences: np.ndarray, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean of paired differences.

    Args:
        differences: (n,) one difference per unit.
        resamples: Samples of n units, drawn with replacement.
        confidence: Level of the interval, between 0 and 1.
        seed: Seed of the draws.
    """
    values = _checked(differences, resamples)
    if not 0 < confidence < 1:
        raise ValueError(f"`0 < confidence < 1` must hold, but got {confidence}")
    generator = np.random.default_rng([seed, 1])
    means = np.empty(resamples)
    done = 0
    for rows in _blocks(resamples, values.size):
        drawn = generator.integers(0, values.size, size=(rows, values.size), dtype=np.int32)
        means[done : done + rows] = values[drawn].mean(axis=1)
        done += rows
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def compare(
    paired: PairedUnits, metric: str, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Compares two methods on the same units; the difference is the second's score minus the first's.

    Over units the trained models are given: interval by bootstrap, p-value by sign flips of the scores averaged over
    the common seeds. What training again may change is in `over_seeds`, `seed_p_value` and `crossed`.
    """
    differences = paired.b - paired.a
    low, high = bootstrap_interval(differences, resamples=resamples, confidence=confidence, seed=seed)
    return Comparison(
        metric=metric,
        n=len(differences),
        seeds=paired.seeds,
        mean_a=float(paired.a.mean()),
        mean_b=float(paired.b.mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        confidence=confidence,
        p_value=sign_flip_test(differences, resamples=resamples, seed=seed),
        resamples=resamples,
        effect=effect(paired.a, paired.b),
        dropped=paired.dropped,
        **_across_seeds(paired, resamples, confidence, seed),
    )


def _across_seeds(paired: PairedUnits, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
    a, b = paired.a_by_seed, paired.b_by_seed
    if a is None or b is None:
        return {}
    means = a.mean(axis=1), b.mean(axis=1)
    gaps = (means[1] - means[0]).tolist()
    return {
        "over_seeds": welch(*means, confidence=confidence),
        "seed_p_value": seed_permutation_test(*means, alpha=1 - confidence, seed=seed),
        "crossed": crossed_interval(a, b, resamples=min(resamples, _CROSSED), confidence=confidence, seed=seed),
        "by_seed": dict(zip(paired.seeds, gaps, strict=True)),
    }


def compare_rows(
    store: Store, a: Row, b: Row, metric: str, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Compares two rows of one table by the unit scores in the store.

    Raises:
        UserError: A run kept no unit scores, or they cannot be paired (see `align_units`).
    """
    paired = align_units(unit_scores(store, a), unit_scores(store, b), metric)
    return compare(paired, metric, resamples=resamples, confidence=confidence, seed=seed)


def unit_scores(store: Store, row: Row) -> dict[int, pl.DataFrame]:
    """Returns a row's unit scores by seed.

    Raises:
        UserError: A run kept none.
    """
    scores: dict[int, pl.DataFrame] = {}
    for number, fingerprint in row.fingerprints.items():
        frame = store.unit_scores(fingerprint)
        if frame is None:
            raise UserError(
                f"run {fingerprint[:12]} ({row.method}, seed {number}) kept no unit scores.",
                hint="Run it again with --fresh.",
            )
        scores[number] = frame
    return scores


def _checked(differences: np.ndarray, resamples: int) -> np.ndarray:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"differences must be a vector with at least one unit, but got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"differences must be finite, but {np.count_nonzero(~np.isfinite(values))} are not")
    if resamples < 1:
        raise ValueError(f"`resamples >= 1` must hold, but got {resamples}")
    return values


def _blocks(resamples: int, size: int) -> Iterator[int]:
    """Yields numbers of resamples, `resamples` in all, such that a block of `size` columns is small."""
    rows = max(1, _BLOCK // max(size, 1))
    for start in range(0, resamples, rows):
        yield min(rows, resamples - start)
