"""From what a job came to, to the records the store keeps."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bench.execution.checkpoints import NOTE
from bench.spec.space import domains_to_yaml
from bench.store.records import RunRecord, StudyRecord, TrialRecord, UnitScores, ViewRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.execution.entries import Entry
    from bench.execution.jobs import Job, Outcome
    from bench.execution.plan import Cell
    from bench.graph.compile import CompiledView
    from bench.search.study import Best
    from bench.store import Store
    from bench.store.records import Status

ERROR_CHARS = 8000
REPEATED = ("interrupted", "failed", "oom", "timeout", "lost")
"""Statuses of trials that an unfinished search tries again when it continues: what stopped them may be gone."""


def now() -> datetime:
    """Returns the time in UTC."""
    return datetime.now(timezone.utc)


def clip(error: str | None) -> str | None:
    """Returns an error's beginning and end when it is very long: the message is at one end, the cause at the other."""
    if error is None or len(error) <= ERROR_CHARS:
        return error
    half = ERROR_CHARS // 2
    return f"{error[:half]}\n… {len(error) - 2 * half} characters left out …\n{error[-half:]}"


def kept_trials(store: Store, study: str) -> list[TrialRecord]:
    """Returns the stored trials of a study that count.

    Once a study has chosen its winner all of them do: trying one again could change the choice, and runs that share the
    study would no longer share a configuration.
    """
    trials = store.trials(study)
    record = store.study(study)
    if record is not None and record.best_trial is not None:
        return trials
    return [trial for trial in trials if trial.status not in REPEATED]


def study_record(entry: Entry, trials: int, best: Best | None) -> StudyRecord:
    """Returns the record of an entry's study.

    Args:
        entry: What is searched.
        trials: How many trials there will be (a grid may be smaller than the budget).
        best: The winner, once there is one.
    """
    return StudyRecord(
        fingerprint=entry.study.fingerprint,
        task=entry.task.name,
        protocol=entry.protocol,
        dataset=entry.dataset,
        method=entry.label,
        budget=entry.budget.name,
        sampler=entry.search["sampler"],
        pruner=entry.search["pruner"],
        select=entry.select,
        direction=entry.direction,
        space=domains_to_yaml(entry.space),
        trials=trials,
        best_trial=None if best is None else best.number,
        created=now(),
    )


def trial_record(job: Job, study: str, number: int, params: Mapping[str, Any], outcome: Outcome) -> TrialRecord:
    """Returns the record of a finished trial."""
    return TrialRecord(
        study=study,
        number=number,
        status=outcome.status,
        params=dict(params),
        config=job.config,
        value=outcome.value,
        best_epoch=outcome.best_epoch,
        epochs=outcome.epochs,
        seconds=outcome.seconds.get("total", 0.0),
        error=clip(outcome.error),
        curve=outcome.curve,
        created=now(),
    )


def run_record(
    cell: Cell, *, status: Status, environment: str | None, spec_digest: str, reason: str | None = None,
    outcome: Outcome | None = None, job: Job | None = None, study: str | None = None, compile_seconds: float = 0.0,
) -> RunRecord:  # fmt: skip
    """Returns the record of a cell, whether it ran, was skipped, or could not run.

    Args:
        cell: The cell.
        status: How it ended.
        environment: Digest of the environment.
        spec_digest: Digest of the experiment.
        reason: Why a cell that did not run did not.
        outcome: What the job came to; None when there was no job.
        job: The job; None when there was none.
        study: Fingerprint of the study that chose the configuration.
        compile_seconds: Seconds the driver spent making the cell's graphs.
    """
    entry = cell.entry
    identity = entry.cell(cell.seed)
    known: dict[str, Any] = {}
    if outcome is not None:
        seconds = dict(outcome.seconds)
        seconds["compile"] = seconds.get("compile", 0.0) + compile_seconds
        known = {
            "device": outcome.device,
            "best_epoch": outcome.best_epoch,
            "epochs": outcome.epochs,
            "valid": outcome.valid,
            "metrics": outcome.metrics,
            "n_units": outcome.n_units,
            "parameters": outcome.parameters,
            "seconds": seconds,
            "peak_memory_bytes": outcome.peak_memory_bytes,
            "error": clip(outcome.error),
            "curve": outcome.curve,
        }
    notes = dict(entry.data.notes) if entry.data is not None else {}
    if entry.networks:
        notes[NOTE] = dict(entry.networks)
    return RunRecord(
        fingerprint=cell.fingerprint,
        identity=identity.model_dump(mode="json"),
        status=status,
        reason=reason,
        family=entry.task.family,
        task=entry.task.name,
        protocol=entry.protocol,
        dataset=entry.dataset,
        generated=entry.generated,
        method=entry.label,
        method_digest=entry.method_digest,
        budget=entry.budget.name,
        budget_detail=entry.budget.model_dump(mode="json"),
        seed=cell.seed,
        select=entry.select,
        config=job.config if job is not None else dict(entry.config),
        study=study,
        notes={**notes, **(outcome.notes if outcome is not None else {})},
        dataset_digest=entry.dataset_digest,
        views=job.view_digests if job is not None else dict(identity.views),
        environment=environment,
        spec_digest=spec_digest,
        created=now(),
        **known,
    )


def unit_scores(cell: Cell, arrow: bytes | None) -> UnitScores | None:
    """Returns the record of a run's per-unit scores, if it has any."""
    return None if arrow is None else UnitScores(run=cell.fingerprint, arrow=arrow)


def view_record(name: str, dataset: str, pipeline: list[Any], compiled: CompiledView) -> ViewRecord:
    """Returns the record of a compiled graph."""
    rows, cols = compiled.view.shape
    return ViewRecord(
        digest=compiled.digest,
        name=name,
        dataset=dataset,
        pipeline=pipeline,
        rows=rows,
        cols=cols,
        edges=compiled.view.n_edges,
        seconds=0.0 if compiled.cached else compiled.seconds,
    )
