"""Samples that are added to a run after it was stored."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bench.errors import UnknownNameError
from bench.store.tables import Run, Sample

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from bench.store.records import SampleRecord


def put_sample(connection: Connection, record: SampleRecord) -> None:
    """Adds a sample to its run, in place of one about the same unit, else after the others.

    Raises:
        UnknownNameError: The run is not stored.
    """
    row = connection.execute(sa.select(Run.id).where(Run.fingerprint == record.run)).scalar()
    if row is None:
        raise UnknownNameError(f"no run {record.run[:12]} is stored, so nothing can be kept with it.")
    of_run = Sample.run_id == row
    earlier = connection.execute(sa.select(Sample.number).where(of_run, Sample.unit == record.unit)).scalar()
    last = connection.execute(sa.select(sa.func.max(Sample.number)).where(of_run)).scalar()
    number = earlier if earlier is not None else 0 if last is None else last + 1
    connection.execute(sa.delete(Sample).where(of_run, Sample.number == number))
    content = record.model_dump(exclude={"run", "number"})
    content |= {"run_id": row, "number": number, "created": datetime.now(timezone.utc)}
    connection.execute(sa.insert(Sample).values(content))
