"""`bench run SPEC`: does what a spec asks for and the store lacks, and prints the tables."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import output
from bench.cli.find import open_existing
from bench.cli.options import (
    DEFAULT_STORE,
    BudgetOption,
    DeviceOption,
    FreshOption,
    JobsOption,
    JsonOption,
    ManyValues,
    OnlyOption,
    SeedOption,
    SpecArgument,
    StoreOption,
)
from bench.cli.progress import ProgressBar

if TYPE_CHECKING:
    from bench.analysis.summary import Table
    from bench.execution.driver import CellResult, Report
    from bench.store import Store

EXAMPLE = "bench run specs/quickstart.yaml --only lightgcn mgcn"
COMMAND = ManyValues


def command(
    spec: SpecArgument,
    *,
    budget: BudgetOption = None,
    store: StoreOption = DEFAULT_STORE,
    jobs: JobsOption = None,
    device: DeviceOption = "auto",
    only: OnlyOption = None,
    seed: SeedOption = None,
    fresh: FreshOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the tables.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run what a spec asks for; what is stored is not run again.

    Ctrl-C once finishes the jobs that run, twice stops at once; the same command goes on later. Exit code: 0 all done,
    1 some cell failed, 2 the input is wrong, 130 interrupted.
    """
    from bench.execution.display import make_display
    from bench.execution.driver import Options, execute
    from bench.execution.plan import build_plan
    from bench.spec.check import validate_spec
    from bench.store import Store
    from bench.store.engine import check_place, locate

    loaded = validate_spec(spec)
    check_place(locate(store), read_only=False)
    silent = quiet or as_json
    # Planned on what is there, so that a wrong argument leaves no empty store behind.
    with open_existing(store) as existing, ProgressBar(silent=silent) as bar:
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
    with Store.open(store) as opened:
        display = make_display(json=silent)
        report = execute(plan, opened, Options(device=device, jobs=jobs), display)
        tables = tables_of(report, opened)
        address = opened.address
    if as_json:
        output.emit(to_json(report, tables, address))
    else:
        print_report(report, tables, address)
    for warning in plan.warnings:
        output.warn(warning)
    raise typer.Exit(report.exit_code)


def tables_of(report: Report, store: Store) -> list[Table]:
    """Returns the tables of a report's cells, with the spec's metrics in its order."""
    from bench.analysis.summary import summarise

    metrics = list(dict.fromkeys(metric for entry in report.plan.entries for metric in entry.metrics))
    return summarise([result.record for result in report.cells], trials=store.trial_counts(), metrics=metrics)


def to_json(report: Report, tables: list[Table], address: str) -> dict[str, Any]:
    """Returns a report for a machine."""
    import json

    from bench.analysis.report import render

    wanted = (
        "fingerprint",
        "task",
        "protocol",
        "dataset",
        "generated",
        "method",
        "seed",
        "status",
        "reason",
        "metrics",
    )
    return {
        "name": report.plan.loaded.spec.name,
        "spec_digest": report.plan.spec_digest,
        "budget": report.plan.budget,
        "store": address,
        "seconds": report.seconds,
        "interrupted": report.interrupted,
        "counts": {"cells": len(report.plan.cells), "computed": report.computed, **report.counts},
        "warnings": report.plan.warnings,
        "cells": [
            {name: getattr(result.record, name) for name in wanted} | {"computed": result.computed}
            for result in report.cells
        ],
        "tables": json.loads(render(tables, "json")),
    }


def print_report(report: Report, tables: list[Table], address: str) -> None:
    """Prints tables, what did not finish and why, and where to look next."""
    from bench.cli.tables import print_tables

    print_tables(tables, name=report.plan.loaded.spec.name)
    for line in unfinished(report.cells):
        output.say(f" {line}")
    output.say(closing_line(report, address))
    if report.interrupted:
        output.note("interrupted: the same command goes on from here")


def unfinished(results: tuple[CellResult, ...]) -> list[str]:
    """Returns a line for each cell that should have finished and did not: what to look at, and why."""
    lines = []
    for result in results:
        run = result.record
        if run.status in ("done", "skipped", "interrupted"):
            continue
        reason = (run.reason or run.error or "").strip().split("\n", 1)[0]
        lines.append(f"{run.method} on {run.dataset}, seed {run.seed}: {run.status}{': ' if reason else ''}{reason}")
        lines.append(f"  `bench show {run.fingerprint[:12]}` prints all that is known")
    return lines


def closing_line(report: Report, address: str) -> str:
    """Returns `14 cells: 13 done, 1 skipped · 6 min 12 s · stored in results.db · …`."""
    counts = Counter(result.record.status for result in report.cells)
    parts = [f"{number} {status}" for status, number in counts.items()]
    absent = len(report.plan.cells) - len(report.cells)
    if absent:
        parts.append(f"{absent} not started")
    cells = f"{output.count(len(report.plan.cells), 'cell')}: {', '.join(parts)}"
    reused = len(report.cells) - report.computed - counts["skipped"]
    if reused > 0:
        cells += f" ({reused} from the store)"
    used = os.environ.get("BENCH_STORE", DEFAULT_STORE)
    look = f"`streamlit run leaderboard/app.py{'' if address == used else f' -- --store {address}'}`"
    return " · ".join((cells, output.duration(report.seconds), f"stored in {address}", look))
