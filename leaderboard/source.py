"""Where the pages get their data: the store's address, a cached reading of it, and a page for when that fails."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from bench.errors import StoreError, StoreSchemaError
from bench.methods.registry import current_digests
from bench.store import Store

if TYPE_CHECKING:
    from bench.store import TrialCounts
    from bench.store.records import RunRecord

DEFAULT_STORE = "results.db"
REFRESH_S = 30


class Content(NamedTuple):
    """What the pages show of a store."""

    address: str
    runs: list[RunRecord]
    trials: dict[str, TrialCounts]
    current: dict[str, str | None]
    """Method label to the digest of its source today."""


def store_address() -> str:
    """Returns the store to read: `--store`, else `$BENCH_STORE`, else `results.db` in the working directory."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--store")
    known, _ = parser.parse_known_args(sys.argv[1:])
    return known.store or os.environ.get("BENCH_STORE") or DEFAULT_STORE


def load() -> Content:
    """Reads the store, or shows why it cannot be read and ends the page."""
    address = store_address()
    try:
        return _read(address, _stamp(address))
    except StoreError as error:
        _show_problem(error)
        st.stop()


def _stamp(address: str) -> tuple[int, ...]:
    """Changes whenever the store's file does, so that a finished cell shows at the next click."""
    stamp: list[int] = []
    for path in (Path(address.removeprefix("sqlite:///")), Path(address.removeprefix("sqlite:///") + "-wal")):
        if path.is_file():
            stat = path.stat()
            stamp += [stat.st_mtime_ns, stat.st_size]
    return tuple(stamp)


@st.cache_data(ttl=REFRESH_S, max_entries=4, show_spinner="Reading the store …")
def _read(address: str, stamp: tuple[int, ...]) -> Content:
    with Store.open(address, read_only=True) as store:
        runs = store.runs()
        return Content(store.address, runs, store.trial_counts(), current_digests(run.method for run in runs))


def _show_problem(error: StoreError) -> None:
    st.title("Leaderboard")
    newer = isinstance(error, StoreSchemaError)
    st.error("The store was written by another version of bench." if newer else "The store cannot be read.")
    # st.text, because paths and messages are not Markdown.
    st.text(error.message)
    if error.hint:
        st.text(error.hint)
    st.code("streamlit run leaderboard/app.py -- --store path/to/results.db", language="sh")


def show_empty(address: str) -> None:
    """Says how to fill a store that holds no runs."""
    st.info("The store is open, and holds no results yet.")
    st.text(address)
    st.write("A minute of work on generated data fills it:")
    st.code("bench run specs/quickstart.yaml", language="sh")
