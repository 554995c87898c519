"""Search domains in Optuna's terms, and the points of a grid.

Optuna sees a choice as its position, never as its value: `1`, `1.0` and `True` are then different choices, and samplers
that know numbers only (CMA-ES) can walk an ordered list of choices.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from bench.spec.space import Choices, Domain, IntRange, Log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.spec.space import Scalar

GRID_POINTS = 5
"""Points a grid puts on a domain that is not a list of choices."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ordered(domain: Choices) -> tuple[Scalar, ...]:
    """Returns the choices in the order in which Optuna counts them: by size where they are numbers, else as written."""
    if all(_is_number(value) for value in domain.values):
        return tuple(sorted(domain.values, key=float))
    return domain.values


def _position(domain: Choices, value: object) -> int:
    for position, candidate in enumerate(_ordered(domain)):
        if candidate == value and isinstance(candidate, bool) == isinstance(value, bool):
            return position
    raise ValueError(f"{value!r} is not one of the choices {list(domain.values)}")


def distribution(domain: Domain, *, ordinal: bool = False) -> BaseDistribution:
    """Returns Optuna's distribution for a domain.

    Args:
        domain: The domain.
        ordinal: Whether numeric choices become an integer range over their positions (for CMA-ES).
    """
    if isinstance(domain, Choices):
        if ordinal and all(_is_number(value) for value in domain.values):
            return IntDistribution(0, len(domain.values) - 1)
        return CategoricalDistribution(tuple(range(len(domain.values))))
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, Log))


def distributions(space: Mapping[str, Domain], *, ordinal: bool = False) -> dict[str, BaseDistribution]:
    """Returns the distribution of every field, fields sorted by name so that a study does not depend on their order."""
    return {name: distribution(space[name], ordinal=ordinal) for name in sorted(space)}


def encode(space: Mapping[str, Domain], params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a configuration as Optuna sees them.

    Raises:
        ValueError: A value lies outside its domain, or the fields are not those of the space.
    """
    if set(params) != set(space):
        raise ValueError(f"parameters are {sorted(params)}, the space has {sorted(space)}")
    encoded: dict[str, Any] = {}
    for name in sorted(space):
        domain, value = space[name], params[name]
        if isinstance(domain, Choices):
            encoded[name] = _position(domain, value)
        elif not domain.contains(value):
            raise ValueError(f"{name} = {value!r} lies outside {domain.to_yaml()}")
        else:
            encoded[name] = value
    return encoded


def decode(space: Mapping[str, Domain], encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration from the values Optuna suggested."""
    decoded: dict[str, Any] = {}
    for name in sorted(space):
        domain, value = space[name], encoded[name]
        if isinstance(domain, Choices):
            decoded[name] = _ordered(domain)[value]
        else:
            decoded[name] = int(value) if isinstance(domain, IntRange) else float(value)
    return decoded


def nearest_inside(domain: Domain, value: object) -> Scalar:
    """Returns `value` itself when the domain contains it, else the nearest value that it does contain.

    A default may lie outside a space that a spec narrowed; the first trial then starts at the edge.
    """
    if isinstance(domain, Choices):
        same = [v for v in domain.values if v == value and isinstance(v, bool) == isinstance(value, bool)]
        if same:
            return same[0]
        numbers = [v for v in domain.values if _is_number(v)]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and numbers:
            return min(numbers, key=lambda number: abs(float(number) - value))
        return domain.values[0]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
        return domain.low
    clipped = min(max(value, domain.low), domain.high)
    return round(clipped) if isinstance(domain, IntRange) else float(clipped)


def grid_values(domain: Domain) -> tuple[Scalar, ...]:
    """Returns the values a grid visits.

    All choices, or `GRID_POINTS` evenly spaced values with both ends (in the logarithm for a log domain); whole numbers
    are all visited when there are no more than that.
    """
    if isinstance(domain, Choices):
        return domain.values
    steps = [index / (GRID_POINTS - 1) for index in range(GRID_POINTS)]
    if isinstance(domain, IntRange):
        if domain.high - domain.low < GRID_POINTS:
            return tuple(range(domain.low, domain.high + 1))
        return tuple(round(domain.low + step * (domain.high - domain.low)) for step in steps)
    if isinstance(domain, Log):
        low, high = math.log(domain.low), math.log(domain.high)
        inner = [math.exp(low + step * (high - low)) for step in steps[1:-1]]
    else:
        inner = [domain.low + step * (domain.high - domain.low) for step in steps[1:-1]]
    return (domain.low, *inner, domain.high)


def grid(space: Mapping[str, Domain], *, first: Mapping[str, Any], limit: int, seed: int) -> list[dict[str, Any]]:
    """Returns at most `limit` distinct points of the grid over a space, `first` before all others.

    The rest come in a random order, so that a budget smaller than the grid still covers it evenly.

    Args:
        space: Field to domain.
        first: The point to begin with; it need not lie on the grid.
        limit: How many points are wanted. Fewer come back when the grid has fewer.
        seed: Fixes the order.
    """
    names = sorted(space)
    axes: Sequence[tuple[Scalar, ...]] = [grid_values(space[name]) for name in names]
    size = math.prod(len(axis) for axis in axes)
    wanted = min(size, limit)
    # The order must not be a secret, only the same every time.
    order = random.Random(seed).sample(range(size), wanted)  # noqa: S311
    points, start = [dict(first)], encode(space, first)
    for index in order:
        point: dict[str, Any] = {}
        for name, axis in zip(names, axes, strict=True):
            index, position = divmod(index, len(axis))
            point[name] = axis[position]
        if encode(space, point) != start:
            points.append(point)
    return points[:limit]
