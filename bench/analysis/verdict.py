"""What a comparison comes to, in a sentence: a claim about methods needs units and seeds to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.seeds import SeedDifference

if TYPE_CHECKING:
    from bench.analysis.paired import Comparison
    from bench.metrics.base import Direction

ALPHA = 0.05


def verdict_text(
    a: str, b: str, comparison: Comparison, p_value: float, direction: Direction | None, *, alpha: float = ALPHA
) -> str:
    """Returns the answer.

    Args:
        a: Label of the first method.
        b: Label of the second.
        comparison: How they compare; its difference is b's score minus a's.
        p_value: p-value over units, corrected where several comparisons are shown.
        direction: Which way the metric is better; None where nobody knows.
        alpha: Level.
    """
    if p_value >= alpha:
        shown = f"{p_value:.4f}" if p_value >= 0.001 else f"{p_value:.1e}"
        return f"no significant difference over units (p = {shown})"
    higher, lower = (b, a) if comparison.difference > 0 else (a, b)
    if direction is None:
        said = f"{higher} scores higher than {lower}"
    else:
        better, worse = (higher, lower) if direction == "maximize" else (lower, higher)
        said = f"{better} is better than {worse}"
    over = comparison.over_seeds
    if not isinstance(over, SeedDifference):
        return f"{said} on these units with these trained models; too few seeds to say so of the methods"
    if over.p_value is not None and over.p_value >= alpha:
        return f"{said} on these units with these trained models; over seeds the difference is not significant"
    return f"{said}, over units and over seeds"
