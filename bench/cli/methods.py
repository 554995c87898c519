"""`bench methods [NAME]`: which methods exist; what one can be told."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bench.cli import output
from bench.cli.options import JsonOption, NameArgument

if TYPE_CHECKING:
    from bench.methods.base import Method, Needs
    from bench.spec.config import MethodConfig

EXAMPLE = "bench methods mgcn"


def command(name: NameArgument = None, *, as_json: JsonOption = False) -> None:
    """List the methods; with a name, its settings.

    Default, what is searched and help of each setting; what the method needs and the graphs it asks for.
    """
    from bench.methods import METHODS

    if name is not None:
        details = describe(name, METHODS.get(name))
        output.emit(details) if as_json else _print(details)
        return
    rows = [summary(entry, method) for entry, method in METHODS.items()]
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["method", "tasks", "needs", "searches", "about"],
        [
            [r["name"], ", ".join(r["tasks"]), r["needs"], ", ".join(r["space"]) or output.ABSENT, r["title"]]
            for r in rows
        ],
        left=range(5),
    )


def summary(name: str, method: type[Method]) -> dict[str, Any]:
    """Returns one line of the list of methods."""
    return {
        "name": name,
        "title": title(method),
        "tasks": sorted(method.tasks),
        "needs": needs_text(method.needs),
        "adapter": method.adapter,
        "closed_form": method.closed_form,
        "space": sorted(method.Config.space()),
    }


def describe(name: str, method: type[Method]) -> dict[str, Any]:
    """Returns everything a spec's author may want to know about a method."""
    return summary(name, method) | {
        "documentation": inspect.getdoc(method) or "",
        "module": method.__module__,
        "fields": fields(method.Config),
        "views": views(method),
    }


def title(thing: object) -> str:
    """Returns the first sentence of a docstring, without its full stop."""
    return (inspect.getdoc(thing) or "").split("\n\n", 1)[0].replace("\n", " ").rstrip(".")


def needs_text(needs: Needs) -> str:
    """Returns what item content a method needs, in words."""
    words = sorted(needs.modalities)
    if needs.at_least and not words:
        words.append(output.count(needs.at_least, "modality").replace("modalitys", "modalities"))
    return (", ".join(words) + (" (raw)" if needs.raw else "")) or output.ABSENT


def fields(config: type[MethodConfig]) -> list[dict[str, Any]]:
    """Returns name, type, default, bounds, search domain and help of each setting, in the order they are written."""
    properties = config.model_json_schema().get("properties", {})
    space = config.space()
    described = []
    for name, field in config.model_fields.items():
        schema = properties.get(name, {})
        bounds = {
            sign: schema[key]
            for key, sign in (
                ("minimum", ">="),
                ("exclusiveMinimum", ">"),
                ("maximum", "<="),
                ("exclusiveMaximum", "<"),
            )
            if key in schema
        }
        described.append(
            {
                "name": name,
                "type": _type(schema),
                "default": None if field.is_required() else field.get_default(call_default_factory=True),
                "bounds": bounds,
                "space": space[name].to_yaml() if name in space else None,
                "help": field.description or "",
            }
        )
    return described


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(repr, schema["enum"]))
    if "const" in schema:
        return repr(schema["const"])
    if "anyOf" in schema:
        return " | ".join(_type(part) for part in schema["anyOf"])
    names = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "array": "list", "object": "map"}
    kind: str = schema.get("type", "any")
    return names.get(kind, kind)


def views(method: type[Method]) -> dict[str, list[Any]]:
    """Returns the graphs a method asks for on a dataset that publishes raw image and text vectors, as in a spec."""
    if method.adapter:
        return {}
    from bench.data.types import ModalityInfo
    from bench.graph.stages import pipeline_to_yaml

    names = sorted(method.needs.modalities) or ["image", "text"]
    modalities = {name: ModalityInfo(kind="features", dim=1, derived=None) for name in names}
    return {view: pipeline_to_yaml(stages) for view, stages in method.views(method.Config(), modalities).items()}


def _print(details: dict[str, Any]) -> None:
    output.say(details["documentation"])
    output.say()
    output.print_fields(
        {
            "tasks": details["tasks"],
            "needs": details["needs"],
            "wraps": f"another method: {{method: {details['name']}, wrap: …}}" if details["adapter"] else None,
            "training": "closed form" if details["closed_form"] else None,
            "defined in": details["module"],
        }
    )
    if details["fields"]:
        output.say()
        output.print_table(
            ["setting", "type", "default", "searched", "about"],
            [
                [
                    field["name"],
                    " ".join([field["type"], *(f"{sign} {bound:g}" for sign, bound in field["bounds"].items())]),
                    output.inline(field["default"]),
                    domain(field["space"]),
                    field["help"].replace("\n", " "),
                ]
                for field in details["fields"]
            ],
            left=(0, 1, 3, 4),
        )
    if details["views"]:
        output.say()
        output.print_table(
            ["view", "stages (with raw image and text vectors)"],
            [[name, " → ".join(map(stage_text, stages))] for name, stages in details["views"].items()],
            left=(0, 1),
        )


def stage_text(stage: str | dict[str, Any]) -> str:
    """Returns a stage of a view on one line: `knn(modality=image)`."""
    if isinstance(stage, str):
        return stage
    return ", ".join(f"{name}({output.inline(parameters)})" for name, parameters in stage.items())


def domain(space: dict[str, Any] | None) -> str:
    """Returns a search domain on one line: `log [0.0001, 0.1]`, or `–` when the field is not searched."""
    if space is None:
        return output.ABSENT
    return " ".join(f"{form} [{output.inline(values)}]" for form, values in space.items())
