"""`bench plan SPEC`: what a run would do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output
from bench.cli.find import open_existing
from bench.cli.options import (
    DEFAULT_STORE,
    BudgetOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    ManyValues,
    OnlyOption,
    SeedOption,
    SpecArgument,
    StoreOption,
)
from bench.cli.progress import ProgressBar

if TYPE_CHECKING:
    from bench.execution.plan import Cell, Plan

EXAMPLE = "bench plan specs/baby_all.yaml"
COMMAND = ManyValues


def command(
    spec: SpecArgument,
    *,
    budget: BudgetOption = None,
    store: StoreOption = DEFAULT_STORE,
    device: DeviceOption = "auto",
    only: OnlyOption = None,
    seed: SeedOption = None,
    fresh: FreshOption = False,
    show_spec: Annotated[bool, typer.Option("--spec", help="Print the resolved spec too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what a run would do: cells, views, what is stored.

    A cell whose stored result is no longer current names the fields that changed.
    """
    from bench.execution.plan import build_plan
    from bench.spec.check import validate_spec

    loaded = validate_spec(spec)
    with open_existing(store) as existing, ProgressBar(silent=as_json) as bar:
        plan = build_plan(
            loaded,
            existing,
            budget=budget,
            only=set(only) if only else None,
            seeds=seed,
            device=device,
            fresh=fresh,
            progress=bar,
        )
    for warning in plan.warnings:
        output.warn(warning)
    if as_json:
        output.emit(plan.to_json() | ({"resolved": plan.resolved} if show_spec else {}))
        return
    print_plan(plan)
    if show_spec:
        from bench.spec.loader import to_yaml

        output.say()
        output.say(to_yaml(loaded.spec).rstrip())


def print_plan(plan: Plan) -> None:
    """Prints a plan for a person: one line per (dataset, method), views, totals."""
    from bench.execution.plan import STATE_WORDS

    output.say(f"{plan.loaded.spec.name} · {plan.describe_budget()}", style="bold")
    rows = []
    for entry in plan.entries:
        cells = plan.cells_of(entry)
        statuses = Counter(STATE_WORDS[cell.status] for cell in cells)
        state = ", ".join(f"{number} {word}" if len(cells) > 1 else word for word, number in statuses.items())
        trials = f"{plan.trials_left(entry)} of {entry.trials}" if entry.trials else output.ABSENT
        left = plan.estimates.get(entry.study.fingerprint)
        rows.append(
            [
                entry.method.spoken,
                entry.dataset + (" (generated)" if entry.generated else ""),
                entry.protocol,
                ", ".join(str(cell.seed) for cell in cells),
                trials,
                output.ABSENT if left is None else "~" + output.duration(left.seconds),
                state + why(cells),
            ]
        )
    headers = ["method", "dataset", "protocol", "seeds", "trials left", "effort", "state"]
    output.print_table(headers, rows, left=(0, 1, 2, 3, 6))
    _print_views(plan)
    estimate = plan.estimate
    counts = Counter(STATE_WORDS[cell.status] for cell in plan.cells)
    total = ", ".join(f"{number} {word}" for word, number in counts.items())
    line = f"{output.count(len(plan.cells), 'cell')}: {total or 'none'} · {output.count(plan.jobs, 'job')}"
    if plan.jobs:
        basis = "from stored runs" if estimate.basis == "stored runs" else "a guess from the sizes of the data"
        line += f" · about {output.duration(estimate.seconds)} on one slot ({basis})"
    output.say(line)


def why(cells: list[Cell]) -> str:
    """Returns the reasons behind the states of an entry's cells, each once."""
    reasons = dict.fromkeys(cell.reason.split("\n", 1)[0] for cell in cells if cell.reason)
    return f": {'; '.join(reasons)}" if reasons else ""


def _print_views(plan: Plan) -> None:
    views: dict[str, tuple[str, str, list[str]]] = {}
    for entry in plan.entries:
        if entry.data is None or not any(cell.open for cell in plan.cells_of(entry)):
            continue
        for name, digest in entry.study.views.items():
            users = views.setdefault(digest, (name, entry.dataset, []))[2]
            if entry.method.spoken not in users:
                users.append(entry.method.spoken)
    if views:
        output.say()
        output.print_table(
            ["view", "dataset", "digest", "used by"],
            [[name, dataset, digest[:12], ", ".join(users)] for digest, (name, dataset, users) in views.items()],
            left=range(4),
        )
        output.say()
