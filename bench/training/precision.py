"""Which methods cannot be trained in which precision: they are refused before training, not by torch in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.methods.base import Method

MIXED = frozenset({"16-mixed", "bf16-mixed"})
"""Precisions under which products come out in half and weights stay in single precision."""


class _Limit(NamedTuple):
    """What of a method needs one floating type throughout."""

    why: str
    field: str | None = None
    """The configuration field that switches it off at 0; None where nothing does."""


_CONTRAST = _Limit("the gradient of its contrastive loss is written for one floating type", "contrast")
_SINGLE_TYPE = {
    "bench.methods.recommendation.lattice.LATTICE": _Limit(
        "the product with the item graph it learns is written for one floating type"
    ),
    "bench.methods.recommendation.mgcn.MGCN": _CONTRAST,
    "bench.methods.recommendation.mgcn_lite.MGCNLite": _CONTRAST,
}
"""Class to its limit, by name, so that no method is loaded for the question. Whoever is not here may train."""


def precision_problem(name: str, method: type[Method], config: Mapping[str, Any], precision: str) -> str | None:
    """Returns why a method cannot train in a precision, or None when it can; an adapter has no limit of its own.

    Args:
        name: What to call the method: `befa[mgcn]` for one in an adapter.
        method: The innermost method's class. Subclasses of a limited one count as their own.
        config: Its configuration, without that of adapters around it.
        precision: A Lightning Fabric precision.
    """
    limit = _SINGLE_TYPE.get(f"{method.__module__}.{method.__qualname__}")
    if limit is None or precision not in MIXED or (limit.field is not None and not config.get(limit.field)):
        return None
    off = "" if limit.field is None else f", or set its {limit.field} to 0"
    return f"method {name!r} cannot train in {precision}: {limit.why}; use 32-true{off}."


def check_precision(method: Method, precision: str) -> None:
    """Checks that a built method, or what an adapter wraps in the end, can train in a precision.

    Raises:
        UserError: It cannot.
    """
    inner = method.innermost
    problem = precision_problem(_name(method), type(inner), vars(getattr(inner, "config", object)), precision)
    if problem is not None:
        raise UserError(problem, hint="In a spec: `resources: {precision: 32-true}`.")


def _name(method: Method) -> str:
    """Returns `mgcn` or `befa[mgcn]`: a method is called like its file."""
    name = type(method).__module__.rpartition(".")[2]
    wrapped = getattr(method, "wrapped", None)
    return name if wrapped is None else f"{name}[{_name(wrapped)}]"
