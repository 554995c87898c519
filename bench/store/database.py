"""One open database: its connection, its transactions, and what is left on the disk when it closes."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from bench.errors import StoreError, StoreSchemaError
from bench.store import engine, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from bench.store.engine import Location

_TIDY_ATTEMPTS = 20
_TIDY_PAUSE_S = 0.05
"""How long a closing writer waits for readers to let go; a page of the leaderboard holds a store for milliseconds."""


class Database:
    """A database at the current schema. Threads take turns; processes take turns through SQLite's locks.

    Args:
        location: Where it lives.
        read_only: Refuse every write, and leave no trace on the disk.

    Raises:
        StoreError: It cannot be opened, read or (unless `read_only`) written.
        StoreSchemaError: Its schema is newer or unknown.
    """

    def __init__(self, location: Location, *, read_only: bool) -> None:
        self.location = location
        self.read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._ready = False
        self._wal: bool | None = None
        self.copied = False
        """Whether a copy in memory is read, because the file has an older schema."""
        engine.check_place(location, read_only=read_only)
        with self._translated():
            self._engine = engine.create_engine(location, read_only=read_only)
        try:
            self.revision = self._prepare()
        except BaseException:
            self.close()
            raise
        self._ready = True

    def _prepare(self) -> str:
        current = migrate.known_revisions()[-1]
        with self.begin() as connection:
            found = migrate.revision(connection)
        if found is not None:
            migrate.check_revision(found, str(self.location))
        if found == current:
            if not self.read_only:
                with self._transaction(write=True):
                    pass  # taking the write lock once shows now, not hours later, that the file may be written
            return current
        if self.read_only:
            self._read_older(found)
        with self._transaction(write=True) as connection:
            # Another process may have upgraded while this one waited for the lock.
            if migrate.revision(connection) != current:
                migrate.upgrade(connection)
        return current

    def _read_older(self, found: str | None) -> None:
        """Moves to a copy in memory, which may be upgraded, so that reading never changes the file."""
        if found is None:
            raise StoreError(
                f"the store '{self.location}' holds no results of bench.",
                hint="`bench run specs/quickstart.yaml` fills it; --store PATH or $BENCH_STORE names another.",
            )
        if not self.location.sqlite:
            raise StoreSchemaError(
                f"the store '{self.location}' has the older schema {found}, and reading may not upgrade it.",
                hint="Any `bench run` with this store upgrades it.",
            )
        self._engine.dispose()
        with self._translated():
            self._engine = engine.memory_copy(self.location)
        self.copied = True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise engine.translate(error, self.location) from error

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[Connection]:
        """Opens a transaction: committed at the end of the block, rolled back (all of it) when the block raises.

        Raises:
            StoreError: The store is closed, read-only (when writing), locked, full or damaged.
        """
        if write and self.read_only:
            raise StoreError(f"the store '{self.location}' was opened for reading only.")
        if write:
            self._enter_wal()
        with self._transaction(write=write) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        with self._lock:
            if self._closed:
                raise StoreError(f"the store '{self.location}' is closed.")
            with self._translated(), self._engine.connect() as plain:
                connection = plain.execution_options(bench_write=write)
                with connection.begin():
                    yield connection

    def _pragma(self, statement: str) -> object:
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101  (only called for SQLite)
            row = driver.execute(f"PRAGMA {statement}").fetchone()
        return None if row is None else row[0]

    def _enter_wal(self) -> None:
        """Switches to WAL before the first write, so that a store opened and not written keeps its every byte."""
        with self._lock:
            if self._wal is not None or self._closed or self.location.path is None:
                return
            self._wal = False
            if engine.is_local(self.location.path):
                try:
                    self._wal = self._pragma("journal_mode = WAL") == "wal"
                except sqlite3.OperationalError:
                    self._wal = False  # somebody reads right now: the rollback journal serves as well

    def close(self) -> None:
        """Closes the connection. The last writer leaves one complete file: no -wal, no -shm, ready for git."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if self._ready and not self.read_only and self.location.path is not None:
                    self._leave_wal()
            finally:
                self._engine.dispose()

    def _leave_wal(self) -> None:
        with self._translated():
            # A WAL may also be somebody else's, left by a kill; the last writer to close tidies up for all.
            if self._pragma("journal_mode") != "wal":
                return
            self._pragma("busy_timeout = 0")
            for _ in range(_TIDY_ATTEMPTS):
                try:
                    self._pragma("journal_mode = DELETE")
                    return
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error):
                        raise
                time.sleep(_TIDY_PAUSE_S)
            # Another process keeps it open; what was written goes into the main file nevertheless.
            self._pragma("wal_checkpoint(TRUNCATE)")
