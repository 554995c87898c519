"""Correction for testing many hypotheses at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted by Holm's step-down rule (Scand. J. Statist. 6, 1979), in the order given.

    With `p_(1) <= … <= p_(m)` the adjusted value is `max_{j <= i} min(1, (m - j + 1) p_(j))`. Rejecting what is at most
    α then keeps the chance of any false rejection at most α, whatever the dependence of the tests.

    Raises:
        ValueError: A value is not between 0 and 1.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"p-values must be between 0 and 1, but got {wrong[0]}")
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
