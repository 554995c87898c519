"""`bench report`: result tables from the store."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import output
from bench.cli.find import check_stored, method_of
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from bench.errors import UnknownNameError, UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.analysis.significance import Significance
    from bench.analysis.summary import Table
    from bench.store import Store
    from bench.store.records import RunRecord

EXAMPLE = "bench report --dataset baby --format md"


class Form(str, Enum):
    """How tables are written."""

    text = "text"
    md = "md"
    csv = "csv"
    tex = "tex"
    json = "json"
    html = "html"


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
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="METHOD", help="Mark what is significantly better or worse than this one."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write to this file.")] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print result tables from the store.

    One table per task, dataset, protocol and budget. The interval is Student's t at 95 % over seeds. With a reference
    every row is compared with it on the units both were tested on (paired sign-flip test, Holm's correction), as the
    models were trained; `bench compare` also tests over seeds.
    """
    from bench.analysis.report import render
    from bench.analysis.significance import significance
    from bench.analysis.summary import summarise
    from bench.cli.tables import print_tables
    from bench.methods.registry import current_digests
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        places = {"task": task, "dataset": dataset, "protocol": protocol, "budget": budget}
        runs = _runs(opened, places, method)
        trials = opened.trial_counts()
        address = opened.address
        current = current_digests(run.method for run in runs)
        _check_metrics(metric, runs, address)
        made = summarise(runs, trials=trials, metrics=metric, current=current)
        tables = _of_metrics(_of_methods(made, method), metric)
        compared = significance(opened, tables, reference) if reference is not None and tables else None
    wanted = Form.json if as_json else _form(form, out)
    if out is not None:
        output.write(out, render(tables, wanted.value, significance=compared))
        output.note(f"{output.count(len(tables), 'table')} written to {out}")
    elif wanted is not Form.text:
        sys.stdout.write(render(tables, wanted.value, significance=compared))
    elif compared is not None:
        _print_marked(tables, compared)
    elif tables:
        print_tables(tables)
    else:
        output.note(f"nothing in '{address}' fits; `bench status` says what it holds.")


def _runs(store: Store, places: Mapping[str, Sequence[str] | None], methods: Sequence[str] | None) -> list[RunRecord]:
    """Returns the runs of some places and methods, the latter called as tables call their rows.

    Raises:
        UnknownNameError: The store has nothing of a name.
    """
    bare = methods and [name.partition(" (")[0] for name in methods]
    filters: dict[str, Any] = {**places, "method": methods and [*methods, *(bare or ())]}
    found = store.runs(**filters)
    asked = {**places, "method": bare}
    if any(set(values or ()) - {getattr(run, name) for run in found} for name, values in asked.items()):
        # Something asked for is missing: is it unknown, or only not together with the rest?
        every = store.runs()
        check_stored(every, store.address, **places, method=methods and [method_of(name, every) for name in methods])
    return found


def _of_methods(tables: Sequence[Table], names: Sequence[str] | None) -> list[Table]:
    """Returns tables with the rows of some names: of methods, or of methods with their settings."""
    if names is None or not tables:
        return list(tables)
    rows = [row for table in tables for row in table.rows]
    # A method without a row may have none in these tables; settings that no row has are a slip.
    labels = {row.label for row in rows} | {row.method for row in rows}
    for name in names:
        if " (" in name and name not in labels:
            near, rest = did_you_mean(name, labels), ", ".join(sorted(labels))
            raise UnknownNameError(f"no row {name!r} in these tables.{near}", hint=f"Rows: {rest}.")
    kept = [replace(t, rows=tuple(row for row in t.rows if row.method in names or row.label in names)) for t in tables]
    return [table for table in kept if table.rows]


def _check_metrics(wanted: Sequence[str] | None, runs: Sequence[RunRecord], where: str) -> None:
    known = {name for run in runs for name in run.metrics}
    for name in wanted or ():
        if runs and name not in known:
            raise UnknownNameError(
                f"no run in '{where}' that fits has metric {name!r}.{did_you_mean(name, known)}",
                hint=f"Stored: {', '.join(sorted(known)) or 'none'}.",
            )


def _of_metrics(tables: Sequence[Table], wanted: Sequence[str] | None) -> list[Table]:
    """Leaves out tables whose rows have scores, but none of some metrics."""
    if wanted is None:
        return list(tables)
    scored = [(table, {name for row in table.rows for name in row.scores}) for table in tables]
    return [table for table, names in scored if not names or names & set(wanted)]


def _form(form: Form, out: Path | None) -> Form:
    """Returns how tables are written: as asked, or else as the name of the file says."""
    if out is None or form is not Form.text:
        return form
    known = {f".{item.value}": item for item in Form if item is not Form.text}
    if out.suffix.lower() not in known:
        raise UserError(
            f"'{out}' does not say in which format it is to be written.",
            hint=f"Give --format, or a name that ends in {', '.join(known)}.",
        )
    return known[out.suffix.lower()]


def _print_marked(tables: Sequence[Table], compared: Significance) -> None:
    from bench.analysis.report import sheet
    from bench.cli.tables import title

    for number, table in enumerate(tables):
        drawn = sheet(table, significance=compared)
        if number:
            output.say()
        output.say(title(table), style="bold")
        left = [column for column, is_text in enumerate(drawn.left) if is_text]
        output.print_table(drawn.headers, [[cell.text + cell.mark for cell in row] for row in drawn.rows], left=left)
        for note in drawn.notes:
            output.say(f" {note}")
