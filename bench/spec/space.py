"""Search domains: what a hyperparameter may be, written beside its default.

A method's `Config` annotates a field with a domain (`Annotated[float, Log(1e-4, 1e-1)]`) and a spec may put another
in its place (`space: {contrast: {log: [1.0e-4, 1.0e-1]}}`). The same classes serve both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = bool | int | float | str


@dataclass(frozen=True, init=False)
class Choices:
    """One of finitely many values: `Choices(1, 2, 3)`; in YAML a list, or `{choices: [1, 2, 3]}`."""

    values: tuple[Scalar, ...]

    def __init__(self, *values: Scalar) -> None:
        if not values:
            raise ValueError("a choice needs at least one value, but got none")
        if len({(type(v).__name__, v) for v in values}) != len(values):
            raise ValueError(f"choices must be distinct, but got {list(values)}")
        object.__setattr__(self, "values", tuple(values))

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the choices."""
        return value in self.values

    def to_yaml(self) -> dict[str, Any]:
        """Returns the domain as it is written in a spec."""
        return {"choices": list(self.values)}


@dataclass(frozen=True)
class _Interval:
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"bounds must be finite, but got [{self.low}, {self.high}]")
        if not self.low < self.high:
            raise ValueError(f"`low < high` must hold, but got [{self.low}, {self.high}]")

    def contains(self, value: object) -> bool:
        """Whether `value` lies between the bounds, both included."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Uniform(_Interval):
    """A float between two bounds, uniformly; in YAML `{uniform: [low, high]}`."""

    def to_yaml(self) -> dict[str, Any]:
        """Returns the domain as it is written in a spec."""
        return {"uniform": [self.low, self.high]}


@dataclass(frozen=True)
class Log(_Interval):
    """A float between two positive bounds, uniform in its logarithm; in YAML `{log: [low, high]}`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise ValueError(f"a log domain needs `low > 0`, but got [{self.low}, {self.high}]")

    def to_yaml(self) -> dict[str, Any]:
        """Returns the domain as it is written in a spec."""
        return {"log": [self.low, self.high]}


@dataclass(frozen=True)
class IntRange(_Interval):
    """A whole number between two bounds, both included; in YAML `{int: [low, high]}`."""

    low: int
    high: int

    def contains(self, value: object) -> bool:
        """Whether `value` is a whole number between the bounds."""
        return isinstance(value, int) and super().contains(value)

    def to_yaml(self) -> dict[str, Any]:
        """Returns the domain as it is written in a spec."""
        return {"int": [self.low, self.high]}


Domain = Choices | Uniform | Log | IntRange
_FLOATS: dict[str, type[Uniform] | type[Log]] = {"uniform": Uniform, "log": Log}
FORMS = "a list of choices, {choices: […]}, {uniform: [low, high]}, {log: [low, high]} or {int: [low, high]}"


def parse_domain(raw: object) -> Domain:
    """Reads a domain from its YAML form.

    Raises:
        ValueError: The form is unknown or its bounds do not make sense; the message says which rule was broken.
    """
    if isinstance(raw, (list, tuple)):
        return Choices(*raw)
    if not isinstance(raw, dict) or len(raw) != 1:
        raise ValueError(f"a domain is {FORMS}, but got {raw!r}")
    ((form, arguments),) = raw.items()
    if form == "choices":
        if not isinstance(arguments, (list, tuple)):
            raise ValueError(f"choices must be a list, but got {arguments!r}")
        return Choices(*arguments)
    if form != "int" and form not in _FLOATS:
        raise ValueError(f"unknown domain {form!r}: a domain is {FORMS}")
    numeric = isinstance(arguments, (list, tuple)) and len(arguments) == 2
    if not numeric or any(isinstance(a, bool) or not isinstance(a, (int, float)) for a in arguments):
        raise ValueError(f"{form} takes two numbers [low, high], but got {arguments!r}")
    low, high = arguments
    if form == "int":
        if not (isinstance(low, int) and isinstance(high, int)):
            raise ValueError(f"int takes two whole numbers, but got {arguments!r}")
        return IntRange(low, high)
    return _FLOATS[form](float(low), float(high))


def domains_to_yaml(domains: Mapping[str, Domain]) -> dict[str, Any]:
    """Returns a whole space as it is written in a spec, fields sorted."""
    return {name: domains[name].to_yaml() for name in sorted(domains)}
