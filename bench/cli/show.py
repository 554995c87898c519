"""`bench show RUN`: one run in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, RunArgument, StoreOption

if TYPE_CHECKING:
    from bench.store import Store
    from bench.store.records import CurvePoint, EnvironmentRecord, RunRecord, StudyRecord, TrialRecord

EXAMPLE = "bench show mgcn:baby:0"
CURVE_ROWS = 12


def command(
    run: RunArgument,
    *,
    samples: Annotated[
        Path | None,
        typer.Option("--samples", metavar="DIR", help="Write what the run left to look at there, and print no more."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Print one run in full.

    Numbers, configuration, how it was chosen, what it was made from and where, its curve. With --samples: its images,
    confusion matrix, clips kept, as PNG files beside what is stored.
    """
    from bench.cli.find import find_run
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        record = find_run(opened, run)
        if samples is not None:
            _write_samples(record, opened, samples, as_json=as_json)
            return
        environment = opened.environment(record.environment) if record.environment else None
        study = opened.study(record.study) if record.study else None
        trials = opened.trials(record.study) if record.study else []
    if as_json:
        output.emit({"run": record, "environment": environment, "study": study, "trials": trials})
        return
    _print_run(record)
    if study is not None:
        _print_study(study, trials, record)
    if environment is not None:
        _print_environment(environment, record)
    _print_curve(record.curve, record.select)
    if record.error:
        _section("error")
        output.say(record.error.rstrip())


def _write_samples(run: RunRecord, store: Store, folder: Path, *, as_json: bool) -> None:
    from bench.errors import UserError
    from bench.pictures import write_samples

    found = store.samples(run.fingerprint)
    if not found:
        raise UserError(
            f"run {run.fingerprint[:12]} ({run.method} on {run.dataset}) left nothing to look at.",
            hint="Classification, question answering and generation leave samples; recommendation leaves numbers.",
        )
    written = write_samples(run, found, folder)
    for problem in written.problems:
        output.warn(problem)
    if as_json:
        output.emit({"files": written.files})
        return
    for file in written.files:
        output.say(str(file))
    output.note(f"{output.count(len(written.files), 'file')} of {run.method} on {run.dataset} in {folder}")


def _section(title: str) -> None:
    output.say()
    output.say(title, style="bold")


def _print_run(run: RunRecord) -> None:
    from bench.analysis.cost import parameters_text

    mark = " (generated)" if run.generated else ""
    title = f"{run.method} on {run.dataset}{mark}, seed {run.seed}"
    output.say(f"{title} · {run.task} · {run.protocol} · budget {run.budget}")
    output.print_fields(
        {
            "fingerprint": run.fingerprint,
            "status": run.status,
            "reason": run.reason,
            "best epoch": f"{run.best_epoch} of {run.epochs}" if run.best_epoch is not None else None,
            "parameters": parameters_text(run),
            "averaged over": f"{run.n_units:,} units" if run.n_units else None,
            "seconds": {name: round(value, 3) for name, value in run.seconds.items()},
            "peak memory": output.size(run.peak_memory_bytes) if run.peak_memory_bytes else None,
            "device": run.device,
            "finished": f"{run.created:%Y-%m-%d %H:%M:%S} UTC",
        }
    )
    names = list(dict.fromkeys([*run.metrics, *run.valid]))
    if names:
        output.say()
        output.print_table(
            ["metric", "test", "validation"],
            [[n, _number(run.metrics.get(n)), _number(run.valid.get(n))] for n in names],
        )
    if run.config:
        _section("configuration")
        output.print_fields(flat(run.config))
    if run.notes:
        _section("notes")
        output.print_fields(run.notes)


def _print_study(study: StudyRecord, trials: list[TrialRecord], run: RunRecord) -> None:
    _section(
        f"search: {study.sampler}, {study.pruner} pruner, {len(trials)} of {study.trials} trials by {study.select}"
    )
    output.print_table(
        ["trial", study.select, "epochs", "status", "suggested"],
        [
            [
                f"{trial.number}{' *' if trial.number == study.best_trial else ''}",
                _number(trial.value),
                str(trial.epochs),
                trial.status,
                output.inline(trial.params),
            ]
            for trial in trials
        ],
        left=(0, 3, 4),
    )


def _print_environment(environment: EnvironmentRecord, run: RunRecord) -> None:
    _section("made from")
    commit = environment.git_commit or "not in git"
    dirty = " with uncommitted changes" if environment.git_dirty else ""
    output.print_fields(
        {
            "commit": commit + dirty,
            "method source": run.method_digest,
            "data": run.dataset_digest,
            **{f"view {name}": digest for name, digest in run.views.items()},
            "spec": run.spec_digest,
            "python": environment.python,
            "packages": environment.packages,
            "hardware": environment.hardware,
        }
    )


def _print_curve(curve: list[CurvePoint], select: str) -> None:
    if not curve:
        return
    _section(f"curve ({output.count(len(curve), 'epoch')})")
    step = max(1, -(-len(curve) // CURVE_ROWS))
    shown = [point for index, point in enumerate(curve) if index % step == 0 or index == len(curve) - 1]
    # What is trained in turns (generator, discriminator) has a loss each; their terms are not shown.
    names = dict.fromkeys(name for point in curve for name in point.values)
    whole = ["loss"] if "loss" in names else [n for n in names if n.startswith("loss/") and n.count("/") == 1]
    output.print_table(
        ["epoch", *(name.replace("loss/", "loss of ") for name in whole), f"valid {select}"],
        [
            [str(p.epoch), *(_loss(p.values.get(name)) for name in whole), _number(p.values.get(f"valid/{select}"))]
            for p in shown
        ],
        left=(),
    )


def _loss(value: float | None) -> str:
    return output.ABSENT if value is None else f"{value:.5g}"


def _number(value: float | None) -> str:
    return output.ABSENT if value is None else f"{value:.4f}"


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a configuration without nesting: `wrapped.dim`."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
