"""Pickers whose choice is in the address of the page, so that a view can be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from bench.analysis.index import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.analysis.index import TableSummary
    from bench.analysis.summary import TableKey
    from leaderboard.components.board import Board


class TableChoice(NamedTuple):
    """The table that was picked."""

    task: str
    dataset: str
    protocol: str
    budget: str
    effort: str
    dataset_digest: str
    generated: bool
    select: str

    def holds(self, key: TableKey) -> bool:
        """Returns whether a table is this one."""
        return all(getattr(key, name) == getattr(self, name) for name in ("effort", "dataset_digest", "budget")) and (
            key.task == self.task and key.dataset == self.dataset and key.protocol == self.protocol
        )


def choose(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | None = None,
    format: Callable[[str], str] | None = None,
    help: str | None = None,
    container: Any = st,
) -> str:
    """Draws a list to choose from; what the URL names and the list lacks is the first.

    Args:
        label: What is chosen.
        options: At least one.
        key: Name in the URL.
        default: What is chosen at first; None: the first.
        format: Option to what is shown of it.
        help: One line.
        container: Where to draw it.
    """
    index = options.index(default) if default is not None and default in options else 0
    chosen = container.selectbox(
        label, options, index=index, key=key, bind="query-params", format_func=format or str, help=help
    )
    return chosen if chosen in options else options[index]


def setting_text(table: TableSummary, alike: Sequence[TableSummary]) -> str:
    """Returns what tells a table from others of its task and dataset: protocol, budget, and data where that differs."""
    key = table.key
    text = f"{key.protocol} · {key.budget}" + (f": {key.effort}" if key.effort else "")
    same = [other for other in alike if other.key.protocol == key.protocol and other.key.budget == key.budget]
    if len({other.key.dataset_digest for other in same}) > 1:
        text += f" · data {key.dataset_digest[:8]}"
    return text


def table(board: Board, *, container: Any = st) -> TableChoice:
    """Draws pickers of task, dataset and setting; each holds what those before it leave."""
    found = tables(board.rows())
    columns = container.columns([1, 1, 2])
    task = choose("Task", list(dict.fromkeys(t.key.task for t in found)), key="task", container=columns[0])
    found = [t for t in found if t.key.task == task]
    dataset = choose("Dataset", list(dict.fromkeys(t.key.dataset for t in found)), key="dataset", container=columns[1])
    found = [t for t in found if t.key.dataset == dataset]
    texts = {setting_text(t, found): t for t in found}
    about = "Protocol, budget and effort. Numbers of two settings do not compare."
    setting = choose("Setting", list(texts), key="setting", container=columns[2], help=about)
    chosen = texts[setting]
    return TableChoice(**vars(chosen.key), generated=chosen.generated, select=chosen.select)
