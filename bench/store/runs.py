"""Runs, whose metrics, curves, unit scores and samples lie in tables of their own: written and read whole."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bench.store import codec
from bench.store.records import RunRecord
from bench.store.rows import put_curve, to_curve, to_record, upsert
from bench.store.tables import Curve, Metric, Run, Sample, UnitScore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from bench.store.records import SampleRecord, UnitScores
    from bench.store.repository import Store


def put_run(
    connection: Connection,
    record: RunRecord,
    units: UnitScores | None,
    samples: Sequence[SampleRecord],
    *,
    replace: bool,
) -> bool:
    """Stores a run with all that belongs to it, in place of a run of the same fingerprint.

    Args:
        connection: Of a transaction that writes.
        record: The run.
        units: Its unit scores.
        samples: Its samples.
        replace: Whether a run that is `done` gives way too.

    Returns:
        Whether it was stored.

    Raises:
        StoreError: The unit scores are damaged.
    """
    stored = connection.execute(sa.select(Run.status).where(Run.fingerprint == record.fingerprint)).scalar()
    if stored == "done" and not replace:
        return False
    row = upsert(connection, Run, {"fingerprint": record.fingerprint}, record)
    for table in (Metric, UnitScore, Sample):
        connection.execute(sa.delete(table).where(table.run_id == row))
    numbers = [
        {"run_id": row, "split": split, "name": name, "position": i, "value": None if math.isnan(x) else x}
        for split, values in (("valid", record.valid), ("test", record.metrics))
        for i, (name, x) in enumerate(values.items())
    ]
    if numbers:
        connection.execute(sa.insert(Metric), numbers)
    put_curve(connection, Curve.run_id, row, record.curve)
    if units is not None:
        blob = {"run_id": row, "units": codec.decode_units(units.arrow).height, "arrow": units.arrow}
        connection.execute(sa.insert(UnitScore).values(blob))
    if samples:
        now = datetime.now(timezone.utc)
        rows = [sample.model_dump(exclude={"run"}) | {"run_id": row, "created": now} for sample in samples]
        connection.execute(sa.insert(Sample), rows)
    return True


def read_runs(store: Store, *conditions: sa.ColumnElement[bool], curves: bool) -> list[RunRecord]:
    """Returns the runs for which all conditions hold, by task, dataset, protocol, budget, method and seed.

    Args:
        store: The store.
        conditions: On columns of `Run`.
        curves: Whether to read the training curves too.

    Raises:
        StoreError: The store cannot be read.
    """
    order = (Run.task, Run.dataset, Run.protocol, Run.budget, Run.method, Run.seed, Run.created)
    query = sa.select(Run.__table__).where(*conditions).order_by(*order)
    columns = (Metric.run_id, Metric.split, Metric.name, Metric.value)
    numbers = sa.select(*columns).join(Run, Run.id == Metric.run_id).where(*conditions).order_by(Metric.position)
    blobs = sa.select(Curve.run_id, Curve.arrow).join(Run, Run.id == Curve.run_id).where(*conditions)
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
        values: dict[tuple[int, str], dict[str, float]] = {}
        for run_id, split, name, value in connection.execute(numbers):
            values.setdefault((run_id, split), {})[name] = math.nan if value is None else value
        arrows = {run_id: arrow for run_id, arrow in connection.execute(blobs)} if curves else {}
    return [
        to_record(
            RunRecord,
            row,
            valid=values.get((row["id"], "valid"), {}),
            metrics=values.get((row["id"], "test"), {}),
            curve=to_curve(arrows.get(row["id"])),
        )
        for row in rows
    ]


def conditions_of(filters: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions that columns of a run have a value, or one of several; None asks for nothing.

    Raises:
        TypeError: There is no such column.
    """
    columns = Run.__table__.columns
    conditions: list[sa.ColumnElement[bool]] = []
    for name, wanted in filters.items():
        if name not in columns or name == "id":
            raise TypeError(f"runs have no column {name!r} to filter by")
        if isinstance(wanted, (list, tuple, set, frozenset)):
            conditions.append(columns[name].in_(wanted))
        elif wanted is not None:
            conditions.append(columns[name] == wanted)
    return conditions
