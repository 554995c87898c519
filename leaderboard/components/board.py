"""`Board`: what a page knows of the store. It opens it for reading, for the time of one query, and keeps the answer."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import urlencode

import streamlit as st

from bench.analysis.index import result_index
from bench.methods.registry import current_digests
from bench.store import Store
from bench.store.engine import locate
from bench.store.index import result_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_STORE = "results.db"
REFRESH_S = 5
"""A store that changes is looked at again after so many seconds: a run may finish a cell every second."""
SERVER_REFRESH_S = 60
"""The same for a store on a server, which does not say whether it changed."""
KEPT = 128
"""Answers that are kept."""


@dataclass(frozen=True)
class Board:
    """The store behind the pages, and the pages.

    Attributes:
        address: Path or URL of the store.
        stamp: Changes whenever the store does.
        pages: Name of a page (`task`, `run`, …) to the page.
    """

    address: str
    stamp: tuple[int, ...]
    pages: Mapping[str, Any] = field(default_factory=dict)

    def query(self, function: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(store, …)`, from memory where the store has not changed since it was asked last.

        Args:
            function: A function of a module, which takes the opened store first.
            *args: Plain values: what they print as must tell them apart.
            **kwargs: The same.

        Returns:
            The answer. All sessions share it, so nobody may change it.

        Raises:
            StoreError: The store cannot be read.
        """
        # Shown only where it takes more than half a second.
        with st.spinner("Reading and counting …"):
            return cast("T", self._ask(function, args, kwargs))

    def _ask(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        name = f"{function.__module__}.{function.__qualname__}"
        return _answer(self.address, self.stamp, name, repr((args, kwargs)), _call=(function, args, kwargs))

    def warm_up(self) -> None:
        """Counts the store before anybody asks, and draws nothing."""
        self._ask(load_index, (), {})

    def rows(self) -> pl.DataFrame:
        """Returns the rows of all result tables, see `bench.analysis.index.result_index`."""
        return self.query(load_index)

    def link(self, page: str, label: str, *, icon: str | None = None, **params: str) -> None:
        """Draws a link to a page; `label` is Markdown."""
        st.page_link(self.pages[page], label=label, icon=icon, query_params=params)

    def url(self, page: str, **params: str) -> str:
        """Returns the address of a page, relative to this one."""
        path = "/" if page == "overview" else f"/{page}"
        return f"{path}?{urlencode(params)}" if params else path


def open_board(pages: Mapping[str, Any]) -> Board:
    """Looks where the store is, and whether it changed."""
    address = store_address()
    return Board(address, _stamp(address), pages)


def store_address() -> str:
    """Returns the store to read: `--store`, else `$BENCH_STORE`, else `results.db` in the working directory."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--store")
    known, _ = parser.parse_known_args(sys.argv[1:])
    return known.store or os.environ.get("BENCH_STORE") or DEFAULT_STORE


def load_index(store: Store) -> pl.DataFrame:
    """Returns the rows of all result tables."""
    groups = result_groups(store)
    return result_index(groups, current_digests(groups["method"].unique().to_list()))


@st.cache_data(ttl=REFRESH_S, max_entries=16, show_spinner=False)
def _stamp(address: str) -> tuple[int, ...]:
    path = locate(address).path
    if path is None:
        return (int(time.time() // SERVER_REFRESH_S),)
    stamp: list[int] = []
    for file in (path, path.with_name(path.name + "-wal")):
        if file.is_file():
            stat = file.stat()
            stamp += [stat.st_mtime_ns, stat.st_size]
    return tuple(stamp)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _answer(address: str, stamp: tuple[int, ...], name: str, key: str, *, _call: tuple[Any, Any, Any]) -> object:
    function, args, kwargs = _call
    store = _copy(address, stamp)
    if store is not None:
        return function(store, *args, **kwargs)
    with Store.open(address, read_only=True) as opened:
        return function(opened, *args, **kwargs)


@st.cache_resource(max_entries=1, show_spinner=False)
def _copy(address: str, stamp: tuple[int, ...]) -> Store | None:
    """Returns a store whose schema is older: it is upgraded in memory, once. A current one is not kept open.

    A writer could not close a file neatly that somebody keeps open.
    """
    store = Store.open(address, read_only=True)
    if store.copied:
        return store
    store.close()
    return None
