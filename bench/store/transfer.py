"""Runs from one store into another, and out of a store for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from bench.store.records import UnitScores
from bench.store.tables import Environment, Experiment, Run, Study, UnitScore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.store.records import RunRecord
    from bench.store.repository import Store


class Merged(NamedTuple):
    """What became of the runs of a source, by fingerprint."""

    copied: list[str]
    there: list[str]
    """Finished in the target already: those stay."""
    unfinished: list[str]
    """Failed, skipped or interrupted: left out."""


def merge_runs(
    source: Store, target: Store, runs: Sequence[RunRecord], progress: Callable[[int], None] = lambda done: None
) -> Merged:
    """Copies finished runs with all that belongs to them: scores, curves, samples, studies, views, environments.

    A run is one transaction and comes after what it names, so an interrupted merge is taken up by doing it again.

    Args:
        source: Where the runs are.
        target: Where they go; a finished run of the same fingerprint keeps its place.
        runs: Records of `source`, with their curves.
        progress: Told after each run how many are done.

    Raises:
        StoreError: One of the two cannot be read or written.
    """
    merged = Merged([], [], [])
    finished = set(_finished(target))
    for place, run in enumerate(runs):
        if run.status != "done":
            merged.unfinished.append(run.fingerprint)
        elif run.fingerprint in finished:
            merged.there.append(run.fingerprint)
        else:
            _copy(source, target, run)
            merged.copied.append(run.fingerprint)
        progress(place + 1)
    return merged


def _finished(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(sa.select(Run.fingerprint).where(Run.status == "done")).scalars())


def _copy(source: Store, target: Store, run: RunRecord) -> None:
    environment = source.environment(run.environment) if run.environment else None
    experiment = source.experiment(run.spec_digest) if run.spec_digest else None
    views = [source.view(digest) for digest in run.views.values()]
    if environment is not None:
        target.put_environment(environment)
    # The stored text of an experiment stays: comments in the other's are no reason to rewrite it.
    if experiment is not None and target.experiment(experiment.spec_digest) is None:
        target.put_experiment(experiment)
    for view in views:
        if view is not None:
            target.put_view(view)
    if run.study:
        _copy_study(source, target, run.study)
    query = sa.select(UnitScore.arrow).join(Run, Run.id == UnitScore.run_id).where(Run.fingerprint == run.fingerprint)
    with source.reading() as connection:
        arrow = connection.execute(query).scalar()
    units = None if arrow is None else UnitScores(run=run.fingerprint, arrow=arrow)
    target.put_run(run, units, source.samples(run.fingerprint))


def _copy_study(source: Store, target: Store, fingerprint: str) -> None:
    """Copies a search, also over one that got less far here: it was interrupted, or its merge was."""
    study, trials = source.study(fingerprint), source.trials(fingerprint)
    if study is None or (target.study(fingerprint) is not None and len(target.trials(fingerprint)) >= len(trials)):
        return
    target.put_study(study)
    for trial in trials:
        target.put_trial(trial)


def remove_runs(store: Store, fingerprints: Sequence[str]) -> None:
    """Removes runs with all that belongs to them, and studies, environments and experiments that no run is left of.

    One transaction: either all go or none.

    Raises:
        StoreError: The store cannot be written.
    """
    with store.writing() as connection:
        named: list[set[str | None]] = [set() for _ in _OWNERS]
        for start in range(0, len(fingerprints), _AT_ONCE):
            these = Run.fingerprint.in_(fingerprints[start : start + _AT_ONCE])
            for names, (_, column) in zip(named, _OWNERS, strict=True):
                names.update(connection.execute(sa.select(column).where(these).distinct()).scalars())
            # Scores, curves and samples go with their run, trials with their study: the schema's foreign keys say so.
            connection.execute(sa.delete(Run).where(these))
        for names, (key, column) in zip(named, _OWNERS, strict=True):
            for name in names - {None}:
                used = sa.exists().where(column == name)
                connection.execute(sa.delete(key.class_).where(key == name, ~used))


_OWNERS = (
    (Study.fingerprint, Run.study),
    (Environment.digest, Run.environment),
    (Experiment.spec_digest, Run.spec_digest),
)
"""What runs name, and how."""
_AT_ONCE = 500
"""SQLite takes a limited number of values in one statement."""
