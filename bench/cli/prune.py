"""`bench prune`: runs out of the store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output
from bench.cli.merge import DatasetOption, MethodOption
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.store.records import RunRecord

EXAMPLE = "bench prune --older --method marnet[resnet]"


def command(
    *,
    store: StoreOption = DEFAULT_STORE,
    older: Annotated[
        bool, typer.Option("--older", help="Runs of methods whose code has changed since, or that are gone.")
    ] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Runs that failed, were skipped or interrupted.")
    ] = False,
    dataset: DatasetOption = None,
    method: MethodOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove runs that are older than their method's code, or unfinished.

    Lists them and asks first. What belongs to them goes too: scores, curves, samples, and studies nothing else uses.
    """
    from bench.cli.find import check_stored, open_existing
    from bench.store import Store
    from bench.store.transfer import remove_runs

    if not older and not unfinished:
        raise UserError("nothing says which runs are to go.", hint="Give --older, --unfinished, or both.")
    with open_existing(store) as found:
        if found is None:
            raise UserError(f"there is no store '{store}'.")
        check_stored(found.runs(), store, dataset=dataset, method=method)
        runs = found.runs(dataset=dataset or None, method=method or None)
    chosen = [run for run in runs if unfinished and run.status not in ("done", "pruned")]
    if older:
        chosen += [run for run in _older(runs) if run not in chosen]
    if chosen and not yes:
        if as_json or not sys.stdin.isatty():
            count = output.count(len(chosen), "run")
            raise UserError(f"{count} would go, and nobody is here to ask.", hint="Give --yes to remove them.")
        _print(chosen)
        if not typer.confirm(f"Remove {output.count(len(chosen), 'run')} from '{store}'?", default=False, err=True):
            output.note("nothing was removed")
            return
    if chosen:
        with Store.open(store) as opened:
            remove_runs(opened, [run.fingerprint for run in chosen])
    if as_json:
        output.emit({"removed": [run.fingerprint for run in chosen]})
        return
    if yes:
        _print(chosen)
    output.say(f"{output.count(len(chosen), 'run')} removed")


def _older(runs: Sequence[RunRecord]) -> list[RunRecord]:
    from bench.methods.registry import current_digests
    from bench.store.records import is_current

    # A label left out could not be read: nothing is claimed about its runs.
    current = current_digests(run.method for run in runs)
    return [run for run in runs if run.method in current and not is_current(run, current[run.method])]


def _print(runs: Sequence[RunRecord]) -> None:
    if runs:
        rows = [[run.fingerprint[:12], run.method, run.dataset, run.budget, str(run.seed), run.status] for run in runs]
        output.print_table(["run", "method", "dataset", "budget", "seed", "status"], rows, left=(0, 1, 2, 3, 5))
