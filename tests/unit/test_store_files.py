"""Tests of stores on disk: what is left behind, what is refused, and what a failure spares."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from store_factories import make_environment, make_run

from bench.errors import StoreError
from bench.store import Store, encode_units
from bench.store.engine import filesystem_type, is_local, locate
from bench.store.records import UnitScores

WAL, ROLLBACK = b"\x02\x02", b"\x01\x01"


def journal_of(path: Path) -> bytes:
    """The header's two bytes that name the journal's kind."""
    return path.read_bytes()[18:20]


@pytest.fixture
def path(tmp_path):
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(make_run())
    return tmp_path / "results.db"


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_a_closed_store_is_one_complete_file(path):
    assert names(path) == ["results.db"]
    assert journal_of(path) == ROLLBACK
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT count(*) FROM run").fetchone() == (1,)
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_writer_uses_a_wal_on_a_local_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.store.engine.is_local", lambda path: True)
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(make_run())
        assert (tmp_path / "results.db-wal").exists()


def test_a_network_disk_gets_no_wal(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.store.engine.is_local", lambda path: False)
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.put_run(make_run())
        assert names(path) == ["results.db"]
        assert journal_of(path) == ROLLBACK


def test_opening_without_news_leaves_every_byte(path):
    before = path.read_bytes()
    with Store.open(path) as store:
        assert not store.put_run(make_run())
        store.runs()
    assert path.read_bytes() == before


def test_reading_leaves_no_trace(path):
    before = (path.read_bytes(), path.stat().st_mtime_ns, names(path))
    with Store.open(path, read_only=True) as store:
        assert store.runs()
        assert store.counts().runs == {"done": 1}
        assert names(path) == ["results.db"]
    assert (path.read_bytes(), path.stat().st_mtime_ns, names(path)) == before


def test_a_reader_refuses_to_write(path):
    with Store.open(path, read_only=True) as store, pytest.raises(StoreError, match="for reading only"):
        store.put_run(make_run(seed=1))


def test_a_reader_sees_what_a_writer_commits(path):
    with Store.open(path) as writer, Store.open(path, read_only=True) as reader:
        writer.put_run(make_run(seed=1))
        assert len(reader.runs()) == 2
    assert names(path) == ["results.db"]


def test_the_last_of_two_writers_tidies_up(path):
    first, second = Store.open(path), Store.open(path)
    first.put_run(make_run(seed=1))
    second.put_run(make_run(seed=2))
    first.close()
    second.put_run(make_run(seed=3))
    second.close()
    assert names(path) == ["results.db"]
    assert journal_of(path) == ROLLBACK
    with Store.open(path, read_only=True) as store:
        assert len(store.runs()) == 4


def test_a_reader_that_stays_does_not_lose_what_was_written(path):
    with Store.open(path, read_only=True) as reader:
        with Store.open(path) as writer:
            writer.put_run(make_run(seed=1))
            reader.runs()
        assert path.with_name("results.db-wal").stat().st_size == 0
        assert len(reader.runs()) == 2
    with Store.open(path):
        pass
    assert names(path) == ["results.db"]
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT count(*) FROM run").fetchone() == (2,)


def test_a_store_left_by_a_kill_is_whole(path):
    store = Store.open(path)
    store.put_run(make_run(seed=1))
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            (path.parent / f"killed.db{suffix}").write_bytes(source.read_bytes())
    store.close()
    with Store.open(path.parent / "killed.db", read_only=True) as killed:
        assert len(killed.runs()) == 2
    with Store.open(path.parent / "killed.db") as killed:
        killed.put_run(make_run(seed=2))
    assert names(path) == ["killed.db", "results.db"]


def test_a_closed_store_refuses_work(path):
    store = Store.open(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.runs()


@pytest.mark.parametrize("address", ["sqlite:///{}", "{}"])
def test_urls_and_paths_name_the_same_file(path, address):
    with Store.open(address.format(path), read_only=True) as store:
        assert store.address == str(path)
        assert store.runs()


def test_odd_characters_in_a_path_are_kept(tmp_path):
    odd = tmp_path / "a b?c#d%20é&mode=ro.db"
    with Store.open(odd) as store:
        store.put_run(make_run())
    assert names(odd) == [odd.name]
    with Store.open(odd, read_only=True) as store:
        assert store.runs()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_missing_folder_is_named(tmp_path, read_only):
    with pytest.raises(StoreError, match=r"folder that does not exist: '.*missing'") as caught:
        Store.open(tmp_path / "missing" / "results.db", read_only=read_only)
    assert "--store" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_reading_a_missing_store_creates_nothing(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "results.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        Store.open(tmp_path)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n" * 40, b"\x00" * 5000])
def test_a_file_that_is_no_database_is_left_alone(tmp_path, content, read_only):
    path = tmp_path / "results.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not an SQLite database") as caught:
        Store.open(path, read_only=read_only)
    assert "git checkout" in caught.value.hint
    assert path.read_bytes() == content


def test_a_damaged_database_is_a_store_error(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), Store.open(path) as store:
        store.runs()


def test_reading_an_empty_database_says_so(tmp_path):
    path = tmp_path / "results.db"
    path.touch()
    with pytest.raises(StoreError, match="holds no results of bench"):
        Store.open(path, read_only=True)
    assert path.read_bytes() == b""
    with Store.open(path) as store:
        assert store.runs() == []


def test_a_read_only_file_is_refused_at_once(path, monkeypatch):
    # Root may write everywhere, so the answer of the system is pretended.
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    with pytest.raises(StoreError, match="is read-only"):
        Store.open(path)
    with pytest.raises(StoreError, match="folder is read-only"):
        Store.open(path.with_name("other.db"))
    with Store.open(path, read_only=True) as store:
        assert store.runs()


def test_a_store_that_turns_read_only_is_a_store_error(path):
    with Store.open(path) as store:
        store._database._pragma("query_only = ON")
        with pytest.raises(StoreError, match="is read-only"):
            store.put_run(make_run(seed=1))
        assert len(store.runs()) == 1


@pytest.mark.parametrize("local", [True, False])
def test_a_full_disk_spares_what_was_stored_and_stores_nothing_by_halves(path, monkeypatch, local):
    monkeypatch.setattr("bench.store.engine.is_local", lambda path: local)
    with Store.open(path) as store:
        pages = store._database._pragma("page_count")
        store._database._pragma(f"max_page_count = {pages + 2}")
        run = make_run(seed=1)
        noise = np.random.default_rng(0).random(20_000)
        units = UnitScores(run=run.fingerprint, arrow=encode_units(np.arange(20_000), {"recall@20": noise}))
        with pytest.raises(StoreError, match="full") as caught:
            store.put_run(run, units)
        assert "Free some space" in caught.value.hint
        assert [stored.seed for stored in store.runs()] == [0]
        assert store.find_run(run.fingerprint) is None
        store.put_environment(make_environment())
        store._database._pragma("max_page_count = 100000")
        assert store.put_run(run, units)
    with sqlite3.connect(path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert plain.execute("SELECT count(*) FROM run").fetchone() == (2,)


def test_a_full_disk_while_making_a_store_leaves_no_tables(tmp_path, monkeypatch):
    def prepare(connection: sqlite3.Connection) -> sqlite3.Connection:
        connection.execute("PRAGMA max_page_count = 10")
        return connection

    path = tmp_path / "results.db"
    with monkeypatch.context() as patch:
        patch.setattr("bench.store.engine._prepare", prepare)
        with pytest.raises(StoreError, match="full"):
            Store.open(path)
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    with Store.open(path) as store:
        assert store.put_run(make_run())


def test_a_locked_store_says_who_to_wait_for(path, monkeypatch):
    monkeypatch.setattr("bench.store.engine.BUSY_TIMEOUT_MS", 10)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            Store.open(path)
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "must not be empty"),
        ("nosuch://host/db", "not a URL that can be opened"),
        ("sqlite:///file:results.db?mode=ro", "only a path is allowed"),
        ("://", "not a URL that can be opened"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(address, message):
    with pytest.raises(StoreError, match=message):
        Store.open(address)


def test_a_password_is_not_shown():
    with pytest.raises(StoreError) as caught:
        locate("nosuch://me:secret@host/db")
    assert "secret" not in str(caught.value)


MOUNTS = r"""/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/me/local\040disk xfs rw 0 0
sshfs /mnt/far fuse.sshfs rw 0 0
/dev/vdc /mnt/twice ext4 rw 0 0
server:/twice /mnt/twice nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind", "local"),
    [
        ("/srv/results.db", "ext4", True),
        ("/home/me/results.db", "nfs4", False),
        ("/home/me/local disk/results.db", "xfs", True),
        ("/homestead/results.db", "ext4", True),
        ("/mnt/far/results.db", "fuse.sshfs", False),
        ("/mnt/twice/results.db", "nfs", False),
    ],
)
def test_network_disks_are_recognised(tmp_path, place, kind, local):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert filesystem_type(Path(place), mounts=mounts) == kind
    assert is_local(Path(place), mounts=mounts) is local


def test_an_unknown_disk_counts_as_remote(tmp_path):
    assert not is_local(tmp_path, mounts=tmp_path / "nothing")
