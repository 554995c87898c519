"""What the address names is drawn here; each page is a module in `views/`, imported when it is first opened."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    # Streamlit puts this folder on the path, not the one that holds it.
    sys.path.insert(0, str(HERE.parent))

if TYPE_CHECKING:
    from collections.abc import Callable

TITLES = {
    "overview": ("Overview", ":material/leaderboard:"),
    "task": ("Task", ":material/table:"),
    "compare": ("Compare", ":material/compare_arrows:"),
    "search": ("Search", ":material/manage_search:"),
    "run": ("Run", ":material/receipt_long:"),
    "gallery": ("Gallery", ":material/photo_library:"),
    "gate": ("Gate", ":material/verified:"),
}

# Constant: nothing from a store is ever put into HTML.
STYLE = """<style>
.stMainBlockContainer { padding-top: 4.5rem; padding-bottom: 3rem; }
:is(a, button):focus-visible { outline: 2px solid currentColor !important; outline-offset: 2px; }
</style>"""


def main() -> None:
    """Draws the page that the address names."""
    st.set_page_config(page_title="bench leaderboard", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.html(STYLE)
    pages: dict[str, Any] = {}
    for name, (title, icon) in TITLES.items():
        pages[name] = st.Page(_page(name, pages), title=title, icon=icon, url_path=name, default=name == "overview")
    st.navigation(list(pages.values()), position="top").run()


def _page(name: str, pages: dict[str, Any]) -> Callable[[], None]:
    def show() -> None:
        if name == "overview":
            # Something to see while the first visitor's server still imports and counts.
            st.title("Leaderboard")
        from bench.errors import BenchError, StoreError
        from leaderboard.components import problems
        from leaderboard.components.board import open_board
        from leaderboard.components.text import plain

        try:
            board = open_board(pages)
            if board.rows().is_empty():
                problems.show_empty(board.address, titled=name == "overview")
                return
            import_module(f"leaderboard.views.{name}").render(board)
            st.caption(f"{plain(board.address)}, opened for reading only.")
        except StoreError as error:
            problems.show_store(error, titled=name == "overview")
        except BenchError as error:
            problems.show_error(error)

    return show


main()
