"""The schema's version: what a store has, what this `bench` knows, and the way from one to the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bench.errors import StoreSchemaError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "bench_alembic_version"


def known_revisions() -> list[str]:
    """Returns the schema revisions this `bench` knows, oldest first ("0001", …); the last is the current one."""
    return sorted(path.name.split("_")[0].removeprefix("v") for path in (MIGRATIONS / "versions").glob("v*.py"))


def revision(connection: Connection) -> str | None:
    """Returns the schema revision of a store; None when it holds no tables of `bench`."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    # VERSION_TABLE is a constant of this module.
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608


def check_revision(found: str, where: str) -> None:
    """Refuses a store that this `bench` cannot know.

    Raises:
        StoreSchemaError: The revision is newer than, or foreign to, the known ones.
    """
    known = known_revisions()
    if found in known:
        return
    kind = "newer than" if found.isdigit() and found > known[-1] else "unknown to"
    raise StoreSchemaError(
        f"the store '{where}' has schema {found}, which is {kind} this version of bench (it knows up to {known[-1]}).",
        hint="Upgrade with `pip install -U multimodal-bench`, or name another store with --store PATH or $BENCH_STORE.",
    )


def upgrade(connection: Connection) -> None:
    """Brings the store to the current schema, inside the connection's open transaction: all of it or nothing."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    command.upgrade(config, "head")
