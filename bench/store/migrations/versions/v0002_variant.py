"""Schema 0002: runs carry a digest of what the seeds of one row share, and an index by which rows are counted."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from bench.store.variant import variant_digest

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH = 5_000


def upgrade() -> None:
    """Adds the column, fills it, and puts the wider index in the place of the one it begins with."""
    op.add_column("run", sa.Column("variant", sa.String()))
    run = sa.table(
        "run", sa.column("id"), sa.column("identity"), sa.column("method_digest"), sa.column("variant", sa.String())
    )
    connection = op.get_bind()
    last = -1
    while True:
        query = sa.select(run.c.id, run.c.identity, run.c.method_digest).where(run.c.id > last).order_by(run.c.id)
        rows = connection.execute(query.limit(BATCH)).all()
        if not rows:
            break
        last = rows[-1].id
        found = [{"key": row.id, "digest": variant_digest(_decoded(row.identity), row.method_digest)} for row in rows]
        change = sa.update(run).where(run.c.id == sa.bindparam("key")).values(variant=sa.bindparam("digest"))
        connection.execute(change, found)
    op.drop_index("ix_run_task_dataset_protocol_budget_method", "run")
    columns = ["task", "dataset", "protocol", "budget", "method", "variant", "status", "seed", "select", "created"]
    op.create_index("ix_run_rows", "run", columns)


def _decoded(identity: Any) -> dict[str, Any]:
    # Some drivers decode JSON columns by themselves.
    value: dict[str, Any] = json.loads(identity) if isinstance(identity, (str, bytes)) else identity
    return value
