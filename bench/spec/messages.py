"""Pydantic's errors in the words of a spec: what was read, what is allowed, the nearest valid name."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bench.errors import did_you_mean
from bench.spec.models import Spec
from bench.spec.problems import Loc, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def _needs(what: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda context, got: f"got {shown(got)}; {what.format(**context)}."


def _literal(context: Mapping[str, Any], got: Any) -> str:
    expected = str(context["expected"])
    names = [name.strip("'") for part in expected.split(" or ") for name in part.split(", ")]
    if got in names and f"'{got}'" not in expected:
        return f"got {shown(got)}; write {got} without quotes."
    near = did_you_mean(got, names) if isinstance(got, str) else ""
    return f"got {shown(got)}; allowed: {', '.join(names)}.{near}"


def _count(context: Mapping[str, Any], got: Any) -> str:
    bound = context.get("min_length")
    return f"got {shown(got)}; {'at least one' if bound == 1 else bound} is needed."


def _own(context: Mapping[str, Any], got: Any) -> str:
    return f"{context['error']}."


def _model(context: Mapping[str, Any], got: Any) -> str:
    short = "a name or " if context.get("class_name") in _NAMED else ""
    return f"got {shown(got)}; {short}a mapping is needed (`key: value`)."


_NAMED = ("DatasetEntry", "MethodChoice", "MethodEntry")
_WHOLE = _needs("a whole number is needed, without quotes or a decimal point")
_NUMBER = _needs("a number is needed, without quotes")
_MAPPING = _needs("a mapping is needed (`key: value`)")
_LIST = _needs("a list is needed (`[a, b]`)")
_MESSAGES: dict[str, Callable[[Mapping[str, Any], Any], str]] = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _needs("a number must be finite"),
    "bool_type": _needs("true or false is needed"),
    "bool_parsing": _needs("true or false is needed"),
    "string_type": _needs("text is needed; put it in quotes"),
    "string_too_short": _needs("the text must not be empty"),
    "string_too_long": _needs("at most {max_length} characters are allowed"),
    "string_pattern_mismatch": _needs("a name starts with a letter or digit and goes on with letters, digits, _ . @ -"),
    "dict_type": _MAPPING,
    "model_type": _model,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "literal_error": _literal,
    "greater_than": _needs("more than {gt:g} is needed"),
    "greater_than_equal": _needs("at least {ge:g} is needed"),
    "less_than": _needs("less than {lt:g} is needed"),
    "less_than_equal": _needs("at most {le:g} is allowed"),
    "none_required": _needs("nothing (null) is needed"),
    "too_short": _count,
    "value_error": _own,
    "assertion_error": _own,
}


def describe(error: Mapping[str, Any], known: Iterable[str] = (), *, noun: str = "key") -> str:
    """Returns the text for one of Pydantic's errors.

    Args:
        error: An item of `ValidationError.errors()`.
        known: The keys that would have been allowed in its place.
        noun: What a key is called ("field" in a Config).
    """
    loc: Loc = error["loc"]
    known = list(known)
    if error["type"] == "extra_forbidden":
        name = str(loc[-1])
        return f"unknown {noun} {shown(name)}; allowed: {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
    if error["type"] == "missing":
        return f"required {noun} {shown(loc[-1])} is missing."
    rule = _MESSAGES.get(error["type"])
    if rule is not None:
        return rule(error.get("ctx", {}), error["input"])
    text = str(error["msg"])
    return f"got {shown(error['input'])}; {text[:1].lower()}{text[1:]}."


def keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """Returns the keys that may be written in the mapping at a location of a model; empty where any key may be."""
    current: list[Any] = [model]
    for step in loc:
        current = [inner for kind in current for inner in _step(kind, step)] or current
    for kind in current:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            extra = ["extends"] if kind is Spec else []
            hidden = {"name"} if "name" in kind.model_fields and not kind.model_fields["name"].is_required() else set()
            return [*(name for name in kind.model_fields if name not in hidden), *extra]
    return []


def _step(kind: Any, step: str | int) -> list[Any]:
    """Returns the types found one step into a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return [] if field is None else _members(field.annotation)
    arguments = get_args(kind)
    if get_origin(kind) is tuple and isinstance(step, int):
        return _members(arguments[0])
    if get_origin(kind) is dict and isinstance(step, str):
        return _members(arguments[1])
    return []


def _members(annotation: Any) -> list[Any]:
    """Returns the alternatives of an annotation, unions and Annotated opened."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [] if origin is Literal or annotation is type(None) else [annotation]
