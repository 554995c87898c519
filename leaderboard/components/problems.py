"""Pages that say what is wrong and how to go on. Messages and paths are shown as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from bench.errors import StoreSchemaError

if TYPE_CHECKING:
    from bench.errors import BenchError, StoreError


def show_store(error: StoreError, *, titled: bool) -> None:
    """Says why the store cannot be read; `titled`: the page has its title."""
    if not titled:
        st.title("Leaderboard")
    foreign = isinstance(error, StoreSchemaError)
    st.error("The store was written by another version of bench." if foreign else "The store cannot be read.")
    _message(error)
    st.code("bench leaderboard --store path/to/results.db", language="sh")


def show_error(error: BenchError) -> None:
    """Says what cannot be shown."""
    st.error("This cannot be shown.")
    _message(error)


def show_empty(address: str, *, titled: bool) -> None:
    """Says how to fill a store that holds no runs; `titled`: the page has its title."""
    if not titled:
        st.title("Leaderboard")
    st.info("The store is open, and holds no results yet.")
    st.text(address)
    st.write("A minute of work on generated data fills it:")
    st.code("bench run specs/quickstart.yaml", language="sh")
    st.write("This page shows each result as soon as it is stored.")


def _message(error: BenchError) -> None:
    st.text(error.message)
    if error.hint:
        st.text(error.hint)
