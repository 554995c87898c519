"""What a heat map over the parts of a picture covers: information drift and omission, and how two maps differ.

BeFA (Fan et al., AAAI 2025, arXiv 2406.00323) looks at pictures for information drift, a feature that encodes what is
beside the point, and information omission, a feature that leaves out what matters. The paper's numbers were not at
hand; these are RECONSTRUCTED.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.paired import Comparison, PairedUnits, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

HOT = 0.5
"""τ: a part is covered where its heat is above this share of the map's largest."""
_FLAT = 1e-9
"""A map whose largest heat is below this has none: the feature is the same whatever part changes.

1 − cos θ ≈ θ²/2, so this is a turn of 4.5e-5. Float32, in which methods are trained, tells turns of some 1e-6 apart
(2⁻²⁴ = 6e-8 per operation), so what lies above is no rounding. A higher floor would not do in place of `BLIND`: where a
gate is locally flat, one part in 64 turns a feature by 1e-4 that loses half of its direction with the whole picture.
"""
BLIND = 1e-3
"""A feature is blind where its reliance after the adapter is at most this share of that before.

It does not depend on the picture, and whatever a map of it shows is what training left over: such an item has no map
after. Reliance is 1 − cos, whatever the feature's length, so the share compares like with like.
"""


def drift(heat: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Information drift, 1 − Σ_p H_p M_p / Σ_p H_p: the share of a map's mass that lies on the background.

    Args:
        heat: (n, parts) H ≥ 0.
        foreground: (n, parts) M, share of each part in [0, 1] that shows the foreground. A share counts as if the map
            were enlarged to pixels, each part the same all over.

    Returns:
        (n,) in [0, 1]; NaN where a map is zero everywhere.
    """
    return 1.0 - _ratio((heat * foreground).sum(axis=1), np.where(heat.max(axis=1) > _FLAT, heat.sum(axis=1), 0.0))


def omission(heat: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Information omission, 1 − |{H > τ max H} ∩ M| / |M|: the share of the foreground that a map does not cover.

    Args:
        heat: (n, parts) H ≥ 0.
        foreground: (n, parts) M, see `drift`.

    Returns:
        (n,) in [0, 1]; NaN where a map is zero everywhere or there is no foreground.
    """
    covered = (hot(heat) * foreground).sum(axis=1)
    return 1.0 - _ratio(covered, np.where(heat.max(axis=1) > _FLAT, foreground.sum(axis=1), 0.0))


def hot(heat: np.ndarray) -> np.ndarray:
    """Returns (n, parts) bool: where a map is above half of its largest heat."""
    return np.asarray(heat > HOT * heat.max(axis=1, keepdims=True))


def covered_share(heat: np.ndarray) -> np.ndarray:
    """Returns (n,): the share of the parts that a map covers; NaN where it is zero everywhere."""
    return np.where(heat.max(axis=1) > _FLAT, hot(heat).mean(axis=1), np.nan)


def spread(heat: np.ndarray) -> np.ndarray:
    """Returns (n,): exp of the entropy of a map's mass over its parts, as a share of the parts; 1 is even, 1/parts one.

    NaN where a map is zero everywhere.
    """
    mass = heat.sum(axis=1, keepdims=True)
    share = heat / np.where(mass > 0, mass, 1.0)
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    return np.where(heat.max(axis=1) > _FLAT, np.exp(entropy) / heat.shape[1], np.nan)


def agreement(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns (n,): Spearman's rank correlation over parts of two maps of each item; NaN where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(heat, axis=1) - (heat.shape[1] + 1) / 2 for heat in (before, after)]
    norms = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return _ratio((ranks[0] * ranks[1]).sum(axis=1), norms)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.where(under > 0, over / np.where(under > 0, under, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class Attribution:
    """Maps of some items before and after an adapter, and what they cover.

    Attributes:
        items: (n,) item ids.
        before: (n, parts) heat; zero everywhere where it is hardly more anywhere.
        after: (n, parts) heat, the same; also where the item's feature is blind.
        scores: Name to the (n,) scores before and after: `reliance` and, where the foreground is known, `drift` and
            `omission`; `spread` and `covered` always.
        agreement: (n,) rank correlation of the two maps.
        chance: Name to the mean score of an even map, of those that need the foreground.
    """

    items: np.ndarray
    before: np.ndarray
    after: np.ndarray
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]]
    agreement: np.ndarray
    chance: Mapping[str, float]

    @property
    def blind(self) -> bool:
        """Whether the adapter's output does not depend on the picture: `BLIND` holds of the mean reliance."""
        before, after = self.scores["reliance"]
        return bool(after.mean() <= BLIND * before.mean())


def attribution(
    items: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    reliance: tuple[np.ndarray, np.ndarray],
    foreground: np.ndarray | None,
) -> Attribution:
    """Scores maps.

    Args:
        items: (n,) item ids.
        before: (n, parts) heat.
        after: (n, parts) heat.
        reliance: (n,) before and after: how far an item's feature turns when it loses its whole picture.
        foreground: (n, parts), see `drift`; None where nobody knows.
    """
    before, after = (np.where(heat.max(axis=1, keepdims=True) > _FLAT, heat, 0.0) for heat in (before, after))
    after = np.where((reliance[1] <= BLIND * reliance[0])[:, None], 0.0, after)
    scores = {"reliance": reliance}
    chance = {}
    if foreground is not None:
        for name, measure in (("drift", drift), ("omission", omission)):
            scores[name] = (measure(before, foreground), measure(after, foreground))
        chance["drift"] = float(1.0 - foreground.mean())
    for name, plain in (("spread", spread), ("covered", covered_share)):
        scores[name] = (plain(before), plain(after))
    return Attribution(items, before, after, scores, agreement(before, after), chance)


def paired(found: Attribution, seed: int, *, resamples: int = 10_000) -> dict[str, Comparison | None]:
    """Returns, for each score, after less before over items: interval, p-value, n; None where no item has both.

    Of a blind adapter, interval and p-value are NaN but for reliance: a test over the few items that still have a map
    would say nothing of what the adapter looks at.

    Args:
        found: Scored maps.
        seed: Seed of the run.
        resamples: Of the interval and of the test.
    """
    compared: dict[str, Comparison | None] = {}
    for name, (before, after) in found.scores.items():
        kept = ~(np.isnan(before) | np.isnan(after))
        if not kept.any():
            compared[name] = None
            continue
        dropped = int(np.count_nonzero(~kept))
        units = PairedUnits(found.items[kept], before[kept], after[kept], (seed,), dropped=dropped)
        result = compare(units, name, resamples=resamples)
        if found.blind and name != "reliance":
            result = replace(result, low=math.nan, high=math.nan, p_value=math.nan)
        compared[name] = result
    return compared
