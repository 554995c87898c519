"""Pickers whose choice is in the address of the page, so that a view can be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import streamlit as st

from bench.analysis.index import tables
from bench.analysis.summary import TableKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bench.analysis.index import TableSummary
    from leaderboard.components.board import Board

Place: TypeAlias = tuple[str, str, str, str]
"""Task, dataset, protocol and budget."""


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

    @property
    def key(self) -> TableKey:
        """What all rows of the table share."""
        return TableKey(self.task, self.protocol, self.dataset, self.budget, self.effort, self.dataset_digest)


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


def table(board: Board, *, prefer: Collection[Place] = ()) -> TableChoice:
    """Draws pickers of task, dataset and setting; each holds what those before it leave.

    Args:
        board: The store.
        prefer: Where the page has most to show: one of these is chosen at first, wherever there is one.
    """
    found = tables(board.rows())
    columns = st.columns([1, 1, 2])

    def first(name: Callable[[TableSummary], str]) -> str | None:
        return next((name(t) for t in found if place_of(t) in prefer), None)

    named = [t.key.task for t in found]
    task = choose("Task", _each(named), key="task", default=first(lambda t: t.key.task), container=columns[0])
    found = [t for t in found if t.key.task == task]
    named = [t.key.dataset for t in found]
    dataset = choose(
        "Dataset", _each(named), key="dataset", default=first(lambda t: t.key.dataset), container=columns[1]
    )
    found = [t for t in found if t.key.dataset == dataset]
    texts = {setting_text(t, found): t for t in found}
    about = "Protocol, budget and effort. Numbers of two settings do not compare."
    default = first(lambda t: setting_text(t, found))
    setting = choose("Setting", list(texts), key="setting", default=default, container=columns[2], help=about)
    chosen = texts[setting]
    return TableChoice(**vars(chosen.key), generated=chosen.generated, select=chosen.select)


def where(board: Board, key: TableKey) -> dict[str, str]:
    """Returns what an address says of a table: task, dataset, and its setting where the store has it."""
    alike = [t for t in tables(board.rows()) if (t.key.task, t.key.dataset) == (key.task, key.dataset)]
    settings = [setting_text(t, alike) for t in alike if t.key == key]
    return {"task": key.task, "dataset": key.dataset} | ({"setting": settings[0]} if settings else {})


def place_of(table: TableSummary) -> Place:
    """Returns what a table and the searches of its methods share."""
    key = table.key
    return key.task, key.dataset, key.protocol, key.budget


def _each(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
