"""`bench gate SPEC --baseline FILE`: did a change make a method worse?"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output
from bench.cli.options import (
    BudgetOption,
    DeviceOption,
    FreshOption,
    JobsOption,
    JsonOption,
    ManyValues,
    SeedOption,
    SpecArgument,
)
from bench.errors import EXIT_FAILED, EXIT_INTERRUPTED, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.analysis.baseline import Rule
    from bench.execution.driver import Report
    from bench.store import Store

EXAMPLE = "bench gate specs/gate/recommendation.yaml --baseline specs/gate/recommendation.json"
COMMAND = ManyValues

BaselineOption = Annotated[
    Path, typer.Option("--baseline", metavar="FILE", help="What is expected: a file kept in git.")
]


def command(
    spec: SpecArgument,
    *,
    baseline: BaselineOption,
    update: Annotated[
        bool, typer.Option("--update", help="Write what comes out as the new baseline, and judge nothing.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URL", help="Take what this store has and add the rest; by default all is run anew."
        ),
    ] = None,
    budget: BudgetOption = None,
    seed: SeedOption = None,
    fresh: FreshOption = False,
    jobs: JobsOption = None,
    device: DeviceOption = "auto",
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML.")] = None,
    summary: Annotated[
        Path | None, typer.Option("--summary", metavar="FILE", help="Also append the Markdown to this file.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a spec and compare every score with a baseline: pass, regress, improve or unknown.

    The Markdown also goes to $GITHUB_STEP_SUMMARY where that is set. Exit code: 0 all pass or improve; 3 something
    regressed; 1 nothing regressed, but something is unknown (a cell is missing or failed, other data, other effort);
    2 the input is wrong; 130 interrupted.
    """
    from bench.analysis.baseline import Rule, read_baseline
    from bench.analysis.gate import judge
    from bench.analysis.gate_output import headline, to_json, to_junit, to_markdown

    # A wrong path or a damaged baseline must not show only after minutes of training.
    for file in (baseline if update else None, junit, summary):
        if file is not None:
            output.check_writable(file)
    expected = read_baseline(baseline) if not update or baseline.exists() else None
    with _store(store) as opened:
        report = _execute(spec, opened, budget, seed, fresh, jobs, device, silent=quiet or as_json)
        if report.interrupted:
            output.note("interrupted: nothing was judged")
            raise typer.Exit(EXIT_INTERRUPTED)
        if update or expected is None:
            # The rule is the user's: an update keeps it.
            _update(baseline, report, opened, expected.rule if expected else Rule(), as_json=as_json)
            return
        verdicts = judge(expected, [cell.record for cell in report.cells], opened.unit_scores, metrics=_metrics(report))
    text = to_markdown(verdicts)
    if as_json:
        output.emit(to_json(verdicts) | {"seconds": report.seconds, "computed": report.computed})
    else:
        output.say(text)
    # What was judged is printed by now: a disk that is full cannot take it away.
    if junit is not None:
        output.write(junit, to_junit(verdicts))
    if summary is not None:
        _append(summary, text)
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            _append(Path(step), text)
        except UserError as error:
            output.warn(f"$GITHUB_STEP_SUMMARY: {error.message}")
    if verdicts.exit_code:
        output.note(headline(verdicts))
    raise typer.Exit(verdicts.exit_code)


@contextmanager
def _store(address: str | None) -> Iterator[Store]:
    """Opens the store; without one a new one that is thrown away, so that every score is made by today's code.

    A fingerprint does not cover the code of evaluation and training, so stored results would let a fault there pass.
    """
    from bench.store import Store

    if address is not None:
        with Store.open(address) as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as folder, Store.open(Path(folder) / "gate.db") as opened:
        yield opened


def _execute(
    spec: Path,
    store: Store,
    budget: str | None,
    seeds: list[int] | None,
    fresh: bool,
    jobs: int | None,
    device: str,
    *,
    silent: bool,
) -> Report:
    from bench.cli.progress import ProgressBar
    from bench.execution.display import make_display
    from bench.execution.driver import Options, execute
    from bench.execution.plan import build_plan
    from bench.spec.check import validate_spec

    loaded = validate_spec(spec)
    with ProgressBar(silent=silent) as bar:
        plan = build_plan(loaded, store, budget=budget, seeds=seeds, device=device, fresh=fresh, progress=bar)
    display = make_display(json=silent)
    return execute(plan, store, Options(device=device, jobs=jobs), display)


def _update(path: Path, report: Report, store: Store, rule: Rule, *, as_json: bool) -> None:
    from bench.analysis.baseline import Baseline, measure, write_baseline
    from bench.analysis.gate import insensitive

    runs = [cell.record for cell in report.cells]
    broken = [run for run in runs if run.status != "done"]
    if broken:
        for run in broken:
            reason = (run.reason or run.error or "").strip().partition("\n")[0]
            output.note(f"{run.method} on {run.dataset}, seed {run.seed}: {run.status}: {reason}")
        output.note(f"{path} is unchanged: a baseline needs every cell")
        raise typer.Exit(EXIT_FAILED)
    cells = measure(runs, store.unit_scores, _metrics(report))
    made = Baseline(spec=report.plan.loaded.spec.name, rule=rule, cells=cells)
    changed = write_baseline(path, made)
    usual = len(report.plan.loaded.spec.budgets[report.plan.budget.name].seeds)
    wide = insensitive(made, usual)
    for key, metric, allowed in wide:
        output.warn(
            f"{key.method} on {key.dataset}, {metric}: the tolerance {allowed:.4f} is more than a quarter of the mean; "
            f"more seeds (`--seed 0 1 2 …`) or longer training make it smaller"
        )
    if as_json:
        output.emit({"baseline": path, "changed": changed, "cells": len(cells), "insensitive": len(wide)})
    else:
        output.say(f"{path}: {output.count(len(cells), 'cell')}, {'written' if changed else 'unchanged'}")


def _metrics(report: Report) -> list[str]:
    return list(dict.fromkeys(name for entry in report.plan.entries for name in entry.metrics))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {output.why(error)}.") from error
