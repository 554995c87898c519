"""Samples that are added to a run after it was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_factories import make_run

from bench.errors import StoreError, UnknownNameError
from bench.store import Store
from bench.store.records import SampleRecord

if TYPE_CHECKING:
    from pathlib import Path


def sample(unit: str, data: bytes, *, run: str) -> SampleRecord:
    return SampleRecord(run=run, number=0, unit=unit, media_type="image/png", data=data, notes={"kind": "grid"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    run = make_run()
    with Store.open(tmp_path / "results.db") as store:
        store.put_run(run, samples=[sample("first", b"1", run=run.fingerprint)])
    return tmp_path / "results.db"


def test_a_sample_goes_behind_the_others(path: Path) -> None:
    name = make_run().fingerprint
    with Store.open(path) as store:
        store.put_sample(sample("maps", b"2", run=name))
        store.put_sample(sample("more", b"3", run=name))
        assert [(one.number, one.unit, one.data) for one in store.samples(name)] == [
            (0, "first", b"1"),
            (1, "maps", b"2"),
            (2, "more", b"3"),
        ]
        assert store.samples(name)[1].notes == {"kind": "grid"}


def test_one_about_the_same_unit_gives_way(path: Path) -> None:
    name = make_run().fingerprint
    with Store.open(path) as store:
        for data in (b"2", b"3"):
            store.put_sample(sample("maps", data, run=name))
        store.put_sample(sample("first", b"4", run=name))
        assert [(one.number, one.data) for one in store.samples(name)] == [(0, b"4"), (1, b"3")]


def test_a_run_that_is_not_stored_takes_none(path: Path) -> None:
    with Store.open(path) as store, pytest.raises(UnknownNameError, match="no run 012345678901 is stored"):
        store.put_sample(sample("maps", b"2", run="0123456789012345"))


def test_a_store_that_is_read_takes_none(path: Path) -> None:
    with Store.open(path, read_only=True) as store, pytest.raises(StoreError, match="reading only"):
        store.put_sample(sample("maps", b"2", run=make_run().fingerprint))
