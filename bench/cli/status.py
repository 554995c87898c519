"""`bench status`: what the store holds, by status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption

if TYPE_CHECKING:
    from bench.execution.results import JobsAtWork
    from bench.store.records import RunRecord

EXAMPLE = "bench status --store results.db"
FINE = ("done", "pruned")


def command(*, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Print what the store holds, by status.

    Runs that did not finish are listed with the reason.
    """
    from bench.execution.results import jobs_at_work
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        counts = opened.counts()
        unfinished = [run for run in opened.runs() if run.status not in FINE]
    jobs = jobs_at_work(counts.address)
    if as_json:
        now = {"running": jobs.running, "jobs_begun": jobs.begun}
        output.emit(output.plain(counts) | now | {"unfinished": [_unfinished(run) for run in unfinished]})
        return
    output.print_fields(
        {
            "store": counts.address + (f" ({output.size(counts.size_bytes)})" if counts.size_bytes else ""),
            "runs": counts.runs or "none yet",
            "trials": counts.trials,
            "studies": counts.studies,
            "views": counts.views,
            "datasets": counts.datasets,
            "methods": counts.methods,
            "now": _now(jobs),
            "last run": counts.newest.strftime("%Y-%m-%d %H:%M UTC") if counts.newest else None,
        }
    )
    if unfinished:
        output.say()
        output.print_table(
            ["run", "method", "dataset", "budget", "seed", "status"],
            [
                [run.fingerprint[:12], run.method, run.dataset, run.budget, str(run.seed), status_text(run)]
                for run in unfinished
            ],
            left=(0, 1, 2, 3, 5),
        )


def _now(jobs: JobsAtWork) -> str:
    begun = output.count(len(jobs.begun), "job")
    if jobs.running:
        return f"a `bench run` is at work here, {begun} in progress"
    if jobs.begun:
        return f"nothing runs; {begun} left behind by a run that was stopped: the same `bench run` takes them up"
    return "nothing runs"


def _unfinished(run: RunRecord) -> dict[str, Any]:
    wanted = ("fingerprint", "task", "protocol", "dataset", "method", "budget", "seed", "status", "reason")
    return {name: getattr(run, name) for name in wanted} | {"error": run.error}


def status_text(run: RunRecord) -> str:
    """Returns a run's status and, where it did not finish, why."""
    if run.status in FINE:
        return run.status
    reason = run.reason or (run.error or "").strip().split("\n", 1)[0]
    return f"{run.status}: {reason}" if reason else run.status
