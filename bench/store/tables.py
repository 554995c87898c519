"""The tables. Column names equal the field names of `bench.store.records`, so that a record maps to a row by name.

A change here needs a new file in `migrations/versions` and a new tiny database in `tests/assets/schemas`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from sqlalchemy import Dialect

Json = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC: SQLite keeps no zone, so it is dropped going in and put back coming out. A naive time is UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Converts to naive UTC."""
        if value is None or value.tzinfo is None:
            return value
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Marks as UTC."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Base(DeclarativeBase):
    """Base of all tables; constraints are named, as migrations need."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: Json,
        list[Any]: Json,
        datetime: UtcDateTime,
        float: Double,
        str: String,
        bytes: LargeBinary,
    }


class Environment(Base):
    """Where results were made."""

    __tablename__ = "environment"
    digest: Mapped[str] = mapped_column(primary_key=True)
    git_commit: Mapped[str | None]
    git_dirty: Mapped[bool | None]
    packages: Mapped[dict[str, Any]]
    hardware: Mapped[dict[str, Any]]
    python: Mapped[str]


class Experiment(Base):
    """A spec that was run, with the budget that was chosen."""

    __tablename__ = "experiment"
    spec_digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    spec_text: Mapped[str] = mapped_column(Text)
    resolved: Mapped[dict[str, Any]]
    budget: Mapped[str]
    created: Mapped[datetime]


class View(Base):
    """A compiled graph."""

    __tablename__ = "view"
    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    dataset: Mapped[str]
    pipeline: Mapped[list[Any]]
    rows: Mapped[int] = mapped_column(BigInteger)
    cols: Mapped[int] = mapped_column(BigInteger)
    edges: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]


class Study(Base):
    """A search for one (dataset, method)."""

    __tablename__ = "study"
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str]
    protocol: Mapped[str]
    dataset: Mapped[str]
    method: Mapped[str]
    budget: Mapped[str]
    sampler: Mapped[str]
    pruner: Mapped[str]
    select: Mapped[str]
    direction: Mapped[str]
    space: Mapped[dict[str, Any]]
    trials: Mapped[int]
    best_trial: Mapped[int | None]
    created: Mapped[datetime]


class Trial(Base):
    """One trial of a study."""

    __tablename__ = "trial"
    __table_args__ = (UniqueConstraint("study", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey("study.fingerprint", ondelete="CASCADE"))
    number: Mapped[int]
    status: Mapped[str]
    params: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    value: Mapped[float | None]
    best_epoch: Mapped[int | None]
    epochs: Mapped[int]
    seconds: Mapped[float]
    error: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime]


class Run(Base):
    """One cell of the result grid."""

    __tablename__ = "run"
    __table_args__ = (
        # Rows of result tables are counted from the index alone; the conventional name would pass 63 characters.
        Index(
            "ix_run_rows",
            *("task", "dataset", "protocol", "budget", "method", "variant", "status", "seed", "select", "created"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(unique=True)
    identity: Mapped[dict[str, Any]]
    status: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    family: Mapped[str]
    task: Mapped[str]
    protocol: Mapped[str]
    dataset: Mapped[str]
    generated: Mapped[bool]
    method: Mapped[str]
    method_digest: Mapped[str]
    budget: Mapped[str]
    budget_detail: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    select: Mapped[str]
    config: Mapped[dict[str, Any]]
    study: Mapped[str | None] = mapped_column(ForeignKey("study.fingerprint"))
    notes: Mapped[dict[str, Any]]
    dataset_digest: Mapped[str]
    views: Mapped[dict[str, Any]]
    environment: Mapped[str | None] = mapped_column(ForeignKey("environment.digest"))
    spec_digest: Mapped[str | None] = mapped_column(ForeignKey("experiment.spec_digest"))
    device: Mapped[str]
    best_epoch: Mapped[int | None]
    epochs: Mapped[int]
    n_units: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[dict[str, Any]]
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime]
    variant: Mapped[str | None]
    """`bench.store.variant`; NULL in what a version without it wrote into a store that has it."""


class Metric(Base):
    """One number of one run; `position` keeps the order of the spec. A NaN becomes NULL (as SQLite would make it)."""

    __tablename__ = "metric"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    split: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    value: Mapped[float | None]


class Curve(Base):
    """The epochs of one run or of one trial, as Arrow IPC (zstd): column `epoch` and one float64 column per value."""

    __tablename__ = "curve"
    __table_args__ = (CheckConstraint("(run_id IS NULL) <> (trial_id IS NULL)", name="one_owner"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), unique=True)
    trial_id: Mapped[int | None] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), unique=True)
    epochs: Mapped[int]
    arrow: Mapped[bytes]


class UnitScore(Base):
    """Per-unit test scores of one run, as Arrow IPC (zstd): column `unit` and one float64 column per metric."""

    __tablename__ = "unit_scores"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    units: Mapped[int] = mapped_column(BigInteger)
    arrow: Mapped[bytes]


class Sample(Base):
    """One thing a run generated (an image, a story frame, an answer), for people to look at."""

    __tablename__ = "sample"
    __table_args__ = (UniqueConstraint("run_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    number: Mapped[int]
    unit: Mapped[str]
    prompt: Mapped[str | None] = mapped_column(Text)
    media_type: Mapped[str]
    data: Mapped[bytes]
    notes: Mapped[dict[str, Any]]
    created: Mapped[datetime]


class Baseline(Base):
    """A recorded number that the gate compares fresh results with."""

    __tablename__ = "baseline"
    __table_args__ = (
        # The conventional name would pass PostgreSQL's 63 characters.
        UniqueConstraint("name", "task", "protocol", "dataset", "method", "budget", "metric", name="uq_baseline_cell"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    task: Mapped[str]
    protocol: Mapped[str]
    dataset: Mapped[str]
    method: Mapped[str]
    budget: Mapped[str]
    metric: Mapped[str]
    values: Mapped[dict[str, Any]]
    runs: Mapped[list[Any]]
    note: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime]
