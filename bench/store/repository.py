"""The store: what can be put in and read back. Pages and lookups with queries of their own go through `reading`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bench.errors import StoreError, UnknownNameError, nearest
from bench.store import codec, frames
from bench.store.counts import StoreCounts, TrialCounts, count_store, count_trials
from bench.store.database import Database
from bench.store.engine import locate
from bench.store.records import (
    EnvironmentRecord,
    ExperimentRecord,
    RunRecord,
    SampleRecord,
    StudyRecord,
    TrialRecord,
    UnitScores,
    ViewRecord,
)
from bench.store.rows import R, put_curve, to_curve, to_record, upsert
from bench.store.runs import conditions_of, put_run, read_runs
from bench.store.samples import put_sample
from bench.store.tables import (
    Base,
    Curve,
    Environment,
    Experiment,
    Run,
    Sample,
    Study,
    Trial,
    UnitScore,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import polars as pl
    from sqlalchemy.engine import Connection

    from bench.store.records import Record

    Filter = str | int | bool | Sequence[str] | Sequence[int] | None


class Store:
    """Everything that was run. Made by `Store.open`; use it as a context manager, or `close` it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url_or_path: str | Path, *, read_only: bool = False) -> Store:
        """Opens a store; when it may be written, makes it or upgrades its schema as needed.

        Args:
            url_or_path: A path of an SQLite file (`results.db`), or any SQLAlchemy URL.
            read_only: Never write, never create: neither the file nor anything beside it.

        Raises:
            StoreError: It cannot be opened, read or (unless `read_only`) written.
            StoreSchemaError: Its schema is newer than, or unknown to, this version of bench.
        """
        return cls(Database(locate(url_or_path), read_only=read_only))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the store and leaves one complete file."""
        self._database.close()

    @property
    def address(self) -> str:
        """Path or URL, without a password."""
        return str(self._database.location)

    @property
    def copied(self) -> bool:
        """Whether a copy in memory is read, because the file has an older schema: worth keeping open."""
        return self._database.copied

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a read transaction, for the queries of other modules of this package.

        Raises:
            StoreError: The store is closed, locked or damaged.
        """
        with self._database.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Opens a transaction that writes, for other modules of this package; an error in the block undoes all of it.

        Raises:
            StoreError: The store is read-only, closed, locked or damaged.
        """
        with self._database.begin(write=True) as connection:
            yield connection

    # Writing. A record that is there already takes no write at all: running a finished spec leaves the file as it was.

    def put_environment(self, record: EnvironmentRecord) -> None:
        """Stores an environment, once per digest."""
        if self.environment(record.digest) is None:
            self._upsert(Environment, {"digest": record.digest}, record)

    def put_experiment(self, record: ExperimentRecord) -> None:
        """Stores an experiment, once per digest; a changed text (comments, say) replaces the stored one."""
        found = self.experiment(record.spec_digest)
        if found is None or found.spec_text != record.spec_text:
            self._upsert(Experiment, {"spec_digest": record.spec_digest}, record)

    def put_view(self, record: ViewRecord) -> None:
        """Stores a view, once per digest: the first compile's time stays."""
        if self.view(record.digest) is None:
            self._upsert(View, {"digest": record.digest}, record)

    def put_study(self, record: StudyRecord) -> None:
        """Stores a study, or replaces it."""
        found = self.study(record.fingerprint)
        if found is None or found.model_dump(mode="json") != record.model_dump(mode="json"):
            self._upsert(Study, {"fingerprint": record.fingerprint}, record)

    def put_trial(self, record: TrialRecord) -> None:
        """Stores a trial with its curve, or replaces it. Its study must be there.

        Raises:
            StoreError: The study is not stored, or the store cannot be written.
        """
        with self._database.begin(write=True) as connection:
            row = upsert(connection, Trial, {"study": record.study, "number": record.number}, record)
            put_curve(connection, Curve.trial_id, row, record.curve)

    def put_run(
        self,
        record: RunRecord,
        units: UnitScores | None = None,
        samples: Sequence[SampleRecord] = (),
        *,
        replace: bool = False,
    ) -> bool:
        """Stores a run with its metrics, curve, unit scores and samples, in one transaction.

        A stored run of the same fingerprint is replaced, unless it is `done`: that one gives way only to
        `replace=True`. The study, environment and experiment it names must be there.

        Returns:
            Whether it was stored; False when a `done` run kept its place.

        Raises:
            StoreError: A record it names is not stored, the unit scores are another run's, or writing failed.
        """
        if units is not None:
            _check_units(record, units)
        if not replace and self._status(record.fingerprint) == "done":
            return False
        with self._database.begin(write=True) as connection:
            return put_run(connection, record, units, samples, replace=replace)

    def put_sample(self, record: SampleRecord) -> None:
        """Adds a sample to a stored run, in place of one about the same unit; its number is the next free one.

        Raises:
            UnknownNameError: The run is not stored.
            StoreError: Writing failed.
        """
        with self._database.begin(write=True) as connection:
            put_sample(connection, record)

    def _status(self, fingerprint: str) -> str | None:
        with self._database.begin() as connection:
            return connection.execute(sa.select(Run.status).where(Run.fingerprint == fingerprint)).scalar()

    def _upsert(self, table: type[Base], key: Mapping[str, Any], record: Record) -> None:
        with self._database.begin(write=True) as connection:
            upsert(connection, table, key, record)

    # Reading one thing.

    def environment(self, digest: str) -> EnvironmentRecord | None:
        """Returns the environment with this digest."""
        return self._one(EnvironmentRecord, sa.select(Environment.__table__).where(Environment.digest == digest))

    def experiment(self, spec_digest: str) -> ExperimentRecord | None:
        """Returns the experiment with this digest."""
        return self._one(ExperimentRecord, sa.select(Experiment.__table__).where(Experiment.spec_digest == spec_digest))

    def view(self, digest: str) -> ViewRecord | None:
        """Returns the view with this digest."""
        return self._one(ViewRecord, sa.select(View.__table__).where(View.digest == digest))

    def study(self, fingerprint: str) -> StudyRecord | None:
        """Returns the study with this fingerprint."""
        return self._one(StudyRecord, sa.select(Study.__table__).where(Study.fingerprint == fingerprint))

    def find_run(self, fingerprint: str) -> RunRecord | None:
        """Returns the run with exactly this fingerprint, curve included."""
        found = read_runs(self, Run.fingerprint == fingerprint, curves=True)
        return found[0] if found else None

    def run(self, prefix: str) -> RunRecord:
        """Returns the one run whose fingerprint begins with `prefix`, curve included.

        Raises:
            UnknownNameError: No run begins so, or several do; the message lists them.
        """
        found = read_runs(self, Run.fingerprint.startswith(prefix, autoescape=True), curves=True) if prefix else []
        if len(found) == 1:
            return found[0]
        exact = [run for run in found if run.fingerprint == prefix]
        if exact:
            return exact[0]
        if found:
            some = ", ".join(
                f"{run.fingerprint[: len(prefix) + 6]} ({run.method}, seed {run.seed})" for run in found[:5]
            )
            raise UnknownNameError(f"{len(found)} runs begin with {prefix!r}: {some}.", hint="Give more characters.")
        near = nearest(prefix, (run.fingerprint[: max(len(prefix), 4)] for run in self.runs()))
        hint = f"Nearest: {', '.join(near)}." if near else "`bench report` shows what is stored."
        raise UnknownNameError(f"no run in '{self.address}' begins with {prefix!r}.", hint=hint)

    def unit_scores(self, fingerprint: str) -> pl.DataFrame | None:
        """Returns a run's per-unit test scores, a column `unit` and a float64 column per metric; None when not kept."""
        query = sa.select(UnitScore.arrow).join(Run, Run.id == UnitScore.run_id).where(Run.fingerprint == fingerprint)
        with self._database.begin() as connection:
            blob = connection.execute(query).scalar()
        return None if blob is None else codec.decode_units(blob)

    def samples(self, fingerprint: str) -> list[SampleRecord]:
        """Returns what a run left for people to look at, in its order."""
        query = (
            sa.select(Sample.__table__)
            .join(Run, Run.id == Sample.run_id)
            .where(Run.fingerprint == fingerprint)
            .order_by(Sample.number)
        )
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return [to_record(SampleRecord, row, run=fingerprint) for row in rows]

    # Reading many.

    def trials(self, study: str) -> list[TrialRecord]:
        """Returns the trials of a study with their curves, by number."""
        query = (
            sa.select(Trial.__table__, Curve.arrow)
            .outerjoin(Curve, Curve.trial_id == Trial.id)
            .where(Trial.study == study)
            .order_by(Trial.number)
        )
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return [to_record(TrialRecord, row, curve=to_curve(row["arrow"])) for row in rows]

    def trial_counts(self) -> dict[str, TrialCounts]:
        """Returns, for every study that has trials, how many there are and how many were pruned or did not finish."""
        with self._database.begin() as connection:
            return count_trials(connection)

    def experiments(self) -> list[ExperimentRecord]:
        """Returns the experiments, newest first."""
        query = sa.select(Experiment.__table__).order_by(Experiment.created.desc(), Experiment.spec_digest)
        with self._database.begin() as connection:
            return [to_record(ExperimentRecord, row) for row in connection.execute(query).mappings()]

    def runs(self, *, curves: bool = False, **filters: Filter) -> list[RunRecord]:
        """Returns runs by task, dataset, protocol, budget, method and seed.

        Args:
            curves: Whether to read the training curves too (slower).
            **filters: Columns of a run (`task`, `dataset`, `protocol`, `budget`, `method`, `seed`, `status`, `family`,
                `study`, `spec_digest`, `fingerprint`, …) to the value, or values, they must have; None filters nothing.
        """
        return read_runs(self, *conditions_of(filters), curves=curves)

    def latest_runs_like(self, *, limit: int | None = None, **filters: Filter) -> list[RunRecord]:
        """Returns runs that share the given columns, newest first: what a cell that is not reused is compared with."""
        found = sorted(
            read_runs(self, *conditions_of(filters), curves=False), key=lambda run: run.created, reverse=True
        )
        return found[:limit]

    def runs_frame(self, **filters: Filter) -> pl.DataFrame:
        """Returns runs as a wide frame: a row per run, columns `test/<metric>`, `valid/<metric>` and `seconds/<part>`.

        Args:
            **filters: As in `runs`.
        """
        return frames.runs_frame(read_runs(self, *conditions_of(filters), curves=False), self.trial_counts())

    def metrics_frame(self, split: str | None = "test", **filters: Filter) -> pl.DataFrame:
        """Returns metrics as a long frame: one row per run, split and metric.

        Args:
            split: "test", "valid", or None for both.
            **filters: As in `runs`.
        """
        return frames.metrics_frame(read_runs(self, *conditions_of(filters), curves=False), split)

    def counts(self) -> StoreCounts:
        """Returns what the store holds, for `bench status`."""
        path = self._database.location.path
        with self._database.begin() as connection:
            return count_store(
                connection,
                address=self.address,
                schema=self._database.revision,
                size_bytes=None if path is None else path.stat().st_size,
            )

    def _one(self, kind: type[R], query: sa.Select[Any]) -> R | None:
        with self._database.begin() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else to_record(kind, row)


def _check_units(record: RunRecord, units: UnitScores) -> None:
    if units.run != record.fingerprint:
        raise StoreError(f"the unit scores of run {units.run!r} cannot be stored with run {record.fingerprint!r}.")
