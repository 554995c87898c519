"""Records as rows of the database, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from bench.store import codec
from bench.store.records import Record, RunRecord
from bench.store.tables import Curve
from bench.store.variant import variant_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.engine import Connection

    from bench.store.records import CurvePoint
    from bench.store.tables import Base

R = TypeVar("R", bound=Record)


def to_record(kind: type[R], row: sa.RowMapping, **more: object) -> R:
    """Makes a record of a row's columns, and of `more`, which wins."""
    return kind.model_validate({name: row[name] for name in kind.model_fields if name in row} | more)


def to_curve(blob: bytes | None) -> list[CurvePoint]:
    """Returns a stored training curve; empty where there is none.

    Raises:
        StoreError: The blob is damaged.
    """
    return [] if blob is None else codec.decode_curve(blob)


def upsert(connection: Connection, table: type[Base], key: Mapping[str, Any], record: Record) -> int | str:
    """Inserts or updates the row with this key; returns its primary key."""
    columns = table.__table__.columns
    # JSON columns take what JSON can hold; a time stays a time.
    plain = record.model_dump(mode="json") | {"created": getattr(record, "created", None)}
    values = {name: plain[name] for name in plain if name in columns}
    if isinstance(record, RunRecord):
        values["variant"] = variant_digest(record.identity, record.method_digest)
    primary = sa.inspect(table).primary_key[0]
    where = [columns[name] == value for name, value in key.items()]
    found: int | str | None = connection.execute(sa.select(primary).where(*where)).scalar()
    if found is None:
        connection.execute(sa.insert(table).values(values))
        found = connection.execute(sa.select(primary).where(*where)).scalar_one()
    else:
        connection.execute(sa.update(table).where(*where).values(values))
    return found


def put_curve(connection: Connection, owner: Any, row: int | str, points: Iterable[CurvePoint]) -> None:
    """Stores a training curve in place of the one that is there; an empty one only removes it.

    Args:
        connection: Of a transaction that writes.
        owner: `Curve.run_id` or `Curve.trial_id`.
        row: Primary key of the run or trial.
        points: The epochs.
    """
    points = list(points)
    connection.execute(sa.delete(Curve).where(owner == row))
    if points:
        blob = {owner.key: row, "epochs": len(points), "arrow": codec.encode_curve(points)}
        connection.execute(sa.insert(Curve).values(blob))
