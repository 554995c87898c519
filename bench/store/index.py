"""What the store holds, counted by the database: one line per group of seeds, whatever the number of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import orm

from bench.store.records import StudyRecord
from bench.store.rows import to_record
from bench.store.tables import Metric, Run, Study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.store.repository import Store

SCHEMA: dict[str, Any] = {
    "family": pl.String,
    "task": pl.String,
    "dataset": pl.String,
    "protocol": pl.String,
    "budget": pl.String,
    "dataset_digest": pl.String,
    "generated": pl.Boolean,
    "method": pl.String,
    "method_digest": pl.String,
    "variant": pl.String,
    "select": pl.String,
    "status": pl.String,
    "study": pl.String,
    "fingerprint": pl.String,
    "since": pl.Datetime("us", "UTC"),
    "created": pl.Datetime("us", "UTC"),
    "detail": pl.String,
    "last_detail": pl.String,
    "runs": pl.Int64,
    "seeds": pl.String,
    "scored": pl.Int64,
    "total": pl.Float64,
}
"""Columns of `result_groups`."""


def result_groups(store: Store) -> pl.DataFrame:
    """Counts the runs of a store.

    Returns:
        A row per table, method, variant (source and identity less the seed) and status, with the columns of `SCHEMA`:
        `seeds` is "0,1,2"; `fingerprint` and `detail` (the budget's detail, JSON text) are those of the first run that
        was stored, `last_detail` that of the last, for a later spec may ask for more seeds; `since` is when the oldest
        ended and `created` when the newest did; `scored` says how many have a finite test value of `select`, and
        `total` is the sum of those.

    Raises:
        StoreError: The store cannot be read.
    """
    with store.reading() as connection:
        rows = [row for loose in (False, True) for row in connection.execute(_counted(loose=loose))]
    values = zip(*rows, strict=True) if rows else ((),) * len(SCHEMA)
    return pl.DataFrame(
        [pl.Series(name, column, dtype=kind) for (name, kind), column in zip(SCHEMA.items(), values, strict=True)]
    )


def _counted(*, loose: bool) -> sa.Select[Any]:
    """Counts the runs that have a variant; `loose`: those that have none, each for itself."""
    # In the order of the index, so that nothing is sorted; what else a line shows comes from one run of it.
    keys = [Run.task, Run.dataset, Run.protocol, Run.budget, Run.method, Run.variant, Run.status]
    tested = sa.and_(Metric.run_id == Run.id, Metric.split == "test", Metric.name == Run.select)
    counted = (
        sa.select(
            sa.func.min(Run.id).label("first"),
            sa.func.max(Run.id).label("last"),
            sa.func.min(Run.created).label("since"),
            sa.func.max(Run.created).label("created"),
            sa.func.count().label("runs"),
            sa.func.aggregate_strings(sa.cast(Run.seed, sa.String), ",").label("seeds"),
            sa.func.count(Metric.value).label("scored"),
            sa.func.sum(Metric.value).label("total"),
        )
        .select_from(sa.outerjoin(Run, Metric, tested))
        .where(Run.variant.is_(None) if loose else Run.variant.is_not(None))
        .group_by(*keys, *([Run.id] if loose else []))
        .cte("counted")
    )
    last = orm.aliased(Run)
    columns = {name: getattr(Run, name) for name in SCHEMA if hasattr(Run, name)} | {
        "variant": sa.func.coalesce(Run.variant, Run.fingerprint),
        "detail": sa.type_coerce(Run.budget_detail, sa.Text),
        "last_detail": sa.type_coerce(last.budget_detail, sa.Text),
        **{name: counted.c[name] for name in ("since", "created", "runs", "seeds", "scored", "total")},
    }
    return (
        sa.select(*(columns[name].label(name) for name in SCHEMA))
        .join(Run, Run.id == counted.c.first)
        .join(last, last.id == counted.c.last)
    )


def studies(store: Store, **filters: str) -> list[StudyRecord]:
    """Returns searches, newest first.

    Args:
        store: The store.
        **filters: Columns of a study (`task`, `dataset`, `protocol`, `budget`, `method`) to the value they must have.

    Raises:
        StoreError: The store cannot be read.
    """
    query = sa.select(Study.__table__).where(*_equal(filters)).order_by(Study.created.desc(), Study.fingerprint)
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [to_record(StudyRecord, row) for row in rows]


def _equal(filters: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    columns = Study.__table__.columns
    unknown = [name for name in filters if name not in columns]
    if unknown:
        raise TypeError(f"studies have no column {unknown[0]!r} to filter by")
    return [columns[name] == wanted for name, wanted in filters.items()]
