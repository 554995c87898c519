"""What runs left to look at, found without reading it: runs that have samples, and the heads of their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bench.store.records import SampleRecord
from bench.store.rows import to_record
from bench.store.tables import Run, Sample

if TYPE_CHECKING:
    from bench.store.repository import Store

SCHEMA: dict[str, Any] = {
    "fingerprint": pl.String,
    "family": pl.String,
    "task": pl.String,
    "dataset": pl.String,
    "generated": pl.Boolean,
    "protocol": pl.String,
    "budget": pl.String,
    "method": pl.String,
    "seed": pl.Int64,
    "created": pl.Datetime("us", "UTC"),
    "samples": pl.Int64,
}
"""Columns of `sampled_runs`."""


class SampleHead(NamedTuple):
    """A sample without its content; see `SampleRecord`."""

    run: str
    number: int
    unit: str
    media_type: str
    notes: dict[str, Any]

    @property
    def kind(self) -> str:
        """What it is: `grid`, `prompts`, `reasoning`, `confusion`, `table`; "" where the run did not say."""
        return str(self.notes.get("kind", ""))


def sampled_runs(store: Store) -> pl.DataFrame:
    """Returns the runs that left samples, newest first, with the columns of `SCHEMA`.

    Raises:
        StoreError: The store cannot be read.
    """
    counted = sa.select(Sample.run_id, sa.func.count().label("samples")).group_by(Sample.run_id).cte("counted")
    columns = [counted.c.samples if name == "samples" else getattr(Run, name) for name in SCHEMA]
    query = sa.select(*columns).join(counted, counted.c.run_id == Run.id).order_by(Run.created.desc(), Run.id.desc())
    with store.reading() as connection:
        rows = connection.execute(query).all()
    values = zip(*rows, strict=True) if rows else ((),) * len(SCHEMA)
    return pl.DataFrame(
        [pl.Series(name, column, dtype=kind) for (name, kind), column in zip(SCHEMA.items(), values, strict=True)]
    )


def sample_heads(store: Store, *fingerprints: str) -> list[SampleHead]:
    """Returns what some runs left, in the order of the runs and of their samples.

    Raises:
        StoreError: The store cannot be read.
    """
    query = (
        sa.select(Run.fingerprint, Sample.number, Sample.unit, Sample.media_type, Sample.notes)
        .join(Run, Run.id == Sample.run_id)
        .where(Run.fingerprint.in_(fingerprints))
    )
    with store.reading() as connection:
        found = [SampleHead(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda head: (fingerprints.index(head.run), head.number))


def one_sample(store: Store, fingerprint: str, number: int) -> SampleRecord | None:
    """Returns one sample of a run, with its content.

    Raises:
        StoreError: The store cannot be read.
    """
    query = (
        sa.select(Sample.__table__)
        .join(Run, Run.id == Sample.run_id)
        .where(Run.fingerprint == fingerprint, Sample.number == number)
    )
    with store.reading() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else to_record(SampleRecord, row, run=fingerprint)
