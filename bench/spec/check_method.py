"""One method entry against its class: values, search domains and views."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from bench.errors import UserError, did_you_mean
from bench.spec.messages import describe, keys_at
from bench.spec.problems import Loc, shown
from bench.spec.space import Choices, Domain, IntRange, Log, Uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.data.card import DatasetCard
    from bench.methods.base import Method
    from bench.spec.config import MethodConfig
    from bench.spec.models import MethodEntry

_MOST_TRIED = 64


class Finding(NamedTuple):
    """A problem inside a method entry."""

    loc: Loc
    """Where, seen from the entry."""
    message: str
    key: bool
    """Whether the key there is at fault rather than the value."""


class _Published(NamedTuple):
    """A modality as its card promises it; whether raw vectors are on disk is known when the data is opened."""

    kind: str
    dim: int
    derived: None = None


def why_unfit(methods: Sequence[type[Method]], dataset: str, card: DatasetCard) -> str | None:
    """Returns why a dataset lacks what a chain of methods needs, or None when it has it all."""
    present: Any = {name: _Published("features", modality.dim) for name, modality in card.modalities.items()}
    reasons = (method.needs.missing(dataset, present) for method in methods)
    return next((reason for reason in reasons if reason is not None), None)


def entry_problems(
    entry: MethodEntry, method: type[Method], cards: Sequence[DatasetCard], pipeline: Callable[[object], object]
) -> Iterator[Finding]:
    """Yields what of an entry does not fit its method's `Config` and views."""
    config = method.Config
    bad_values = list(_values(config, entry.set))
    yield from bad_values
    for name, domain in entry.space.items():
        yield from _domain(entry.method, config, name, domain)
    for name, raw in entry.views.items():
        try:
            pipeline(raw)
        except UserError as error:
            hint = f" {error.hint}" if error.hint else ""
            yield Finding(("views", name), f"{error.message}{hint}", False)
    if entry.views and not bad_values and cards:
        yield from _view_names(entry, method, cards)


def _strict_errors(config: type[MethodConfig], values: dict[str, Any]) -> list[dict[str, Any]]:
    # Strict JSON mode: '64' is no number and 1.5 no whole number, yet a list is a fine tuple.
    try:
        config.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        return [dict(item) for item in error.errors(include_url=False)]
    return []


def _values(config: type[MethodConfig], values: dict[str, Any]) -> Iterator[Finding]:
    for error in _strict_errors(config, values):
        loc: Loc = ("set", *error["loc"])
        key = error["type"] == "extra_forbidden"
        yield Finding(loc, describe(error, keys_at(config, error["loc"][:-1]), noun="field"), key)


def _tried(domain: Domain) -> list[Any]:
    """Returns values that stand for all a domain can yield."""
    if isinstance(domain, Choices):
        return list(domain.values)
    if isinstance(domain, IntRange):
        step = max(1, (domain.high - domain.low) // _MOST_TRIED)
        return [domain.high, *range(domain.low, domain.high, step)]
    return [domain.low, domain.high, (domain.low + domain.high) / 2]


def _domain(method: str, config: type[MethodConfig], name: str, domain: Domain) -> Iterator[Finding]:
    known = list(config.model_fields)
    if name not in known:
        message = f"method {shown(method)} has no field {shown(name)}; its fields: {', '.join(known) or 'none'}."
        yield Finding(("space", name), message + did_you_mean(name, known), True)
        return
    for value in _tried(domain):
        errors = [error for error in _strict_errors(config, {name: value}) if error["loc"][:1] == (name,)]
        if not errors:
            continue
        if isinstance(domain, (Uniform, Log)) and all(error["type"].startswith("int_") for error in errors):
            form = next(iter(domain.to_yaml()))
            way_out = "write {int: [low, high]} or a list"
            message = f"field {shown(name)} takes whole numbers and {form} draws fractions; {way_out}."
        else:
            message = f"the domain does not fit field {shown(name)}: {describe(errors[0])}"
        yield Finding(("space", name), message, False)
        return


def _view_names(entry: MethodEntry, method: type[Method], cards: Sequence[DatasetCard]) -> Iterator[Finding]:
    config = method.Config.with_values(entry.set)
    known: dict[str, None] = {}
    for card in cards:
        present: Any = {name: _Published("features", modality.dim) for name, modality in card.modalities.items()}
        if method.needs.missing(card.name, present) is None:
            known.update(dict.fromkeys(method.views(config, present)))
    for name in entry.views:
        if name not in known:
            views = ", ".join(known) or "none"
            message = f"method {shown(entry.method)} has no view {shown(name)}; its views: {views}."
            yield Finding(("views", name), message + did_you_mean(name, known), True)
