"""`bench report`: result tables from the store."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption

EXAMPLE = "bench report --dataset baby --format md"


class Form(str, Enum):
    """How tables are written."""

    text = "text"
    md = "md"
    csv = "csv"
    tex = "tex"
    json = "json"


def _filter(name: str, about: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(f"--{name}", metavar=name.upper(), help=f"{about} May be repeated.")
    return option


def command(
    *,
    form: Annotated[
        Form, typer.Option("--format", help="How tables are written; csv and json keep full precision.")
    ] = Form.text,
    task: Annotated[list[str] | None, _filter("task", "Only these tasks.")] = None,
    dataset: Annotated[list[str] | None, _filter("dataset", "Only these datasets.")] = None,
    protocol: Annotated[list[str] | None, _filter("protocol", "Only these protocols.")] = None,
    budget: Annotated[list[str] | None, _filter("budget", "Only these budgets.")] = None,
    method: Annotated[list[str] | None, _filter("method", "Only these methods, by their names in the tables.")] = None,
    metric: Annotated[list[str] | None, _filter("metric", "Only these metrics, in this order.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print result tables from the store.

    One table per task, dataset, protocol and budget. The interval is Student's t at 95 % over seeds.
    """
    from bench.analysis.report import render
    from bench.analysis.summary import summarise
    from bench.cli.tables import print_tables
    from bench.methods.registry import current_digests
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        runs = opened.runs(task=task, dataset=dataset, protocol=protocol, budget=budget, method=method)
        trials = opened.trial_counts()
        address = opened.address
    current = current_digests(run.method for run in runs)
    tables = summarise(runs, trials=trials, metrics=metric, current=current)
    if as_json or form is Form.json:
        sys.stdout.write(render(tables, "json"))
    elif form is not Form.text:
        sys.stdout.write(render(tables, form.value))
    elif tables:
        print_tables(tables)
    else:
        output.note(f"nothing in '{address}' fits; `bench status` says what it holds.")
