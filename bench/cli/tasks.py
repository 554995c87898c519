"""`bench tasks [NAME]`: what can be asked of a method."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bench.cli import output
from bench.cli.options import JsonOption, NameArgument

if TYPE_CHECKING:
    from bench.tasks.base import Task

EXAMPLE = "bench tasks recommendation"


def command(name: NameArgument = None, *, as_json: JsonOption = False) -> None:
    """List the tasks; with a name, all about it.

    What it averages over, its metrics, protocols, datasets and methods.
    """
    from bench.tasks.registry import TASKS

    if name is not None:
        details = describe(TASKS.get(name))
        if as_json:
            output.emit(details)
            return
        output.say(details.pop("documentation"))
        output.say()
        output.print_fields({key.replace("_", " "): value for key, value in details.items() if key != "protocols"})
        output.say()
        output.print_table(["protocol", "about"], list(details["protocols"].items()), left=(0, 1))
        return
    rows = [summary(task) for _, task in TASKS.items()]
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["task", "family", "unit", "default metrics", "about"],
        [[r["name"], r["family"], r["unit"], ", ".join(r["default_metrics"]), r["summary"]] for r in rows],
        left=range(5),
    )


def summary(task: Task) -> dict[str, Any]:
    """Returns one line of the list of tasks."""
    return {
        "name": task.name,
        "family": task.family,
        "unit": task.unit,
        "default_metrics": list(task.default_metrics),
        "summary": task.summary,
    }


def describe(task: Task) -> dict[str, Any]:
    """Returns everything a spec's author may want to know about a task."""
    from bench.data.protocols import PROTOCOLS
    from bench.data.registry import DATASETS
    from bench.methods import METHODS

    cards = {name: card for name, card in DATASETS.items() if task.name in card.tasks}
    offered = {protocol for card in cards.values() for protocol in card.protocols}
    return summary(task) | {
        "documentation": inspect.getdoc(task) or task.summary,
        "protocols": {name: PROTOCOLS[name].description for name in PROTOCOLS if name in offered},
        "datasets": list(cards),
        "methods": [name for name, method in METHODS.items() if task.name in method.tasks],
    }
