"""The leaderboard: `streamlit run leaderboard/app.py [-- --store PATH]`. It reads the store and writes nothing.

This file is the server; what it shows is in `router.py`. While the first visitor's browser still starts, the server
imports what the pages need and counts the store, so that the first page is there at once.
"""

from __future__ import annotations

import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    # Streamlit puts this folder on the path, not the one that holds it.
    sys.path.insert(0, str(HERE.parent))


@asynccontextmanager
async def warmed(app: Any) -> AsyncIterator[None]:
    """Starts to warm up beside the server."""
    threading.Thread(target=warm_up, name="warm up", daemon=True).start()
    yield


def warm_up() -> None:
    """Imports the pages and counts the store; what is wrong with the store is for the pages to say."""
    from bench.errors import BenchError
    from leaderboard.components.board import open_board
    from leaderboard.views import overview  # noqa: F401

    try:
        open_board({}).warm_up()
    except BenchError:
        return


app = st.App(HERE / "router.py", lifespan=warmed)
