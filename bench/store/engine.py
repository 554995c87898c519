"""Opening the database: URLs, SQLite's journal, network disks, and driver errors put into words."""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from bench.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

BUSY_TIMEOUT_MS = 30_000

# On these a WAL's shared memory is not shared (or its locks are not kept), so a WAL there loses data.
_REMOTE = frozenset(
    "9p afs beegfs ceph cifs coda davfs drvfs fhgfs gfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs pvfs2 "
    "smb3 smbfs vboxsf virtiofs wekafs".split()
)


@dataclass(frozen=True)
class Location:
    """Where a store lives.

    Attributes:
        url: The SQLAlchemy URL.
        path: The file of an SQLite store; None for a store in memory or on a server.
    """

    url: URL
    path: Path | None

    @property
    def sqlite(self) -> bool:
        """Whether SQLite serves it."""
        return self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.url.render_as_string(hide_password=True)


def locate(url_or_path: str | Path) -> Location:
    """Reads a store's address: a plain path, or any SQLAlchemy URL.

    Raises:
        StoreError: The URL cannot be parsed, or names SQLite in a way that is not a plain path.
    """
    text = os.fspath(url_or_path)
    if not text:
        raise StoreError("a store's address must not be empty.", hint="Give a path (results.db) or a SQLAlchemy URL.")
    if "://" not in text:
        if text == ":memory:":
            return Location(sa.make_url("sqlite://"), None)
        path = Path(text).expanduser()
        return Location(sa.URL.create("sqlite", database=str(path)), path)
    try:
        url = sa.make_url(text)
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise StoreError(
            f"the store's address {_hide_password(text)!r} is not a URL that can be opened: {error}",
            hint="Give a path (results.db), sqlite:///results.db, or another SQLAlchemy URL whose driver is installed.",
        ) from error
    if url.get_backend_name() != "sqlite":
        return Location(url, None)
    if not url.database or url.database == ":memory:":
        return Location(sa.make_url("sqlite://"), None)
    if url.query or url.database.startswith("file:"):
        raise StoreError(
            f"the store's address {text!r} holds SQLite parameters; only a path is allowed.",
            hint="Write sqlite:///results.db or just results.db.",
        )
    path = Path(url.database)
    return Location(sa.URL.create("sqlite", database=str(path)), path)


def _hide_password(text: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", text)


def filesystem_type(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """Returns the type of the file system that holds `path` ("ext4", "nfs4", …), or None where nobody says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    target = path.resolve()
    best: tuple[int, str] | None = None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        # Of two mounts on one point the later hides the earlier.
        if (target == point or point in target.parents) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), fields[2])
    return None if best is None else best[1]


def is_local(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Returns whether `path` is surely on a local disk, so that SQLite's WAL is safe there."""
    kind = filesystem_type(path, mounts=mounts)
    return kind is not None and kind not in _REMOTE and not kind.startswith("fuse.")


def create_engine(location: Location, *, read_only: bool) -> Engine:
    """Makes the engine. SQLite gets one connection, kept for the engine's life, which the caller serialises."""
    if not location.sqlite:
        options = {"postgresql_readonly": True} if read_only and location.url.get_backend_name() == "postgresql" else {}
        return sa.create_engine(location.url, execution_options=options, pool_pre_ping=True)

    def connect() -> sqlite3.Connection:
        if location.path is None:
            return _prepare(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))
        mode = "ro" if read_only else "rwc"
        uri = f"file:{quote(str(location.path.absolute()))}?mode={mode}"
        return _prepare(sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None))

    return wrap_sqlite(connect)


def memory_copy(location: Location) -> Engine:
    """Copies an SQLite store into memory, to read an older schema without touching the file."""
    source = sqlite3.connect(f"file:{quote(str(location.path))}?mode=ro", uri=True)
    target = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    try:
        source.backup(target)
    finally:
        source.close()
    return wrap_sqlite(lambda: _prepare(target))


def wrap_sqlite(connect: object) -> Engine:
    """Makes an engine over one SQLite connection, whose transactions begin as their `bench_write` option says."""
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=StaticPool)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("bench_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _prepare(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def check_place(location: Location, *, read_only: bool) -> None:
    """Refuses early what SQLite would refuse late or in fewer words.

    Raises:
        StoreError: The folder is missing; the file is missing (when reading), a folder, or closed to us.
    """
    path = location.path
    if path is None:
        return
    elsewhere = "Name another store with --store PATH or $BENCH_STORE."
    if not path.parent.is_dir():
        raise StoreError(
            f"the store {str(path)!r} is in a folder that does not exist: {str(path.parent)!r}.", hint=elsewhere
        )
    if path.is_dir():
        raise StoreError(f"the store {str(path)!r} is a folder; it must be a file.", hint=elsewhere)
    if not path.exists():
        if read_only:
            raise StoreError(
                f"there is no store at {str(path)!r}.",
                hint="`bench run specs/quickstart.yaml` makes one; --store PATH or $BENCH_STORE names another.",
            )
        if not os.access(path.parent, os.W_OK):
            raise StoreError(f"the store {str(path)!r} cannot be made: its folder is read-only.", hint=elsewhere)
        return
    if not os.access(path, os.R_OK):
        raise StoreError(f"the store {str(path)!r} may not be read.", hint=elsewhere)
    if not read_only and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise StoreError(
            f"the store {str(path)!r} is read-only.", hint=f"Make the file and its folder writable. {elsewhere}"
        )


def translate(error: SQLAlchemyError | sqlite3.Error, location: Location) -> StoreError:
    """Puts a driver's error into words, with the way out."""
    cause = getattr(error, "orig", None) or error
    text = str(cause)
    low = text.lower()
    where = f"the store '{location}'"
    if "disk is full" in low or "disk i/o error" in low or "no space left" in low or "disk quota" in low:
        return StoreError(
            f"{where} could not be written: {text}. Nothing was half-written; what was stored before is safe.",
            hint="Free some space, or name a store on another disk with --store PATH; finished cells are kept.",
        )
    if "readonly database" in low or "read-only" in low:
        return StoreError(
            f"{where} is read-only.", hint="Make the file and its folder writable, or name another with --store PATH."
        )
    if "locked" in low or "busy" in low:
        return StoreError(
            f"{where} was locked by another process for {BUSY_TIMEOUT_MS // 1000} s.",
            hint="Wait until the other `bench run` has written, or name another store with --store PATH.",
        )
    if "not a database" in low or "malformed" in low or "corrupt" in low:
        return StoreError(
            f"{where} is not an SQLite database, or is damaged: {text}.",
            hint="Restore it (`git checkout -- results.db`), or name another with --store PATH.",
        )
    if isinstance(error, IntegrityError) and "foreign key" in low:
        return StoreError(
            f"{where} refused a record that points to one it does not hold: {text}.", hint="Put that one first."
        )
    if "unable to open" in low:
        return StoreError(
            f"{where} cannot be opened.", hint="Check that its folder exists and may be written, or use --store PATH."
        )
    return StoreError(f"{where} could not do what was asked: {text}", hint="Name another store with --store PATH.")
