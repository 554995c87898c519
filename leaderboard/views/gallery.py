"""Gallery: what runs made, method beside method: images with their prompts, stories, clips kept, attribution maps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import polars as pl
import streamlit as st

from bench.analysis.report import GENERATED
from bench.errors import BenchError
from bench.store.gallery import SampleHead, sample_heads, sampled_runs
from leaderboard.components import pick
from leaderboard.components.samples import (
    CLIPS,
    Image,
    joined,
    load_pieces,
    sheet_name,
    show_card,
    show_sample,
)
from leaderboard.components.text import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.pictures import Piece
    from leaderboard.components.board import Board

T = TypeVar("T")

ALL = "All methods"
MOST = 6
"""Runs that stand beside each other."""
CARDS, STORIES, DRAWINGS = 12, 3, 4
"""Prompts, stories and drawings of a page."""
HALF = 4
"""Images of a card that leaves room for another beside it."""
_FAMILIES = ("generation", "vqa", "classification", "recommendation")
_ITEM = re.compile(r".*?\(item \d+\)(?= )")
OWN = ("drawn", "made", "before", "after")
"""Headings of what a method made; of the others one is shown for all methods."""


class Made(NamedTuple):
    """A run's sheet."""

    label: str
    """What tells its run from the others."""
    head: SampleHead


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Gallery")
    found = board.query(sampled_runs)
    if found.is_empty():
        st.info("No run of this store left anything to look at.")
        st.text("Classification, question answering and generation leave samples; `bench attribute` adds maps.")
        return
    runs = _pick(found)
    heads = board.query(sample_heads, *runs["fingerprint"].to_list())
    names = list(dict.fromkeys(name for head in heads if (name := sheet_name(head)) is not None))
    # Reasoning and images before numbers, which every run of the family has.
    names.sort(key=lambda name: (name != CLIPS, all(head.kind == "table" for head in heads if head.unit == name)))
    name = names[0]
    if len(names) > 1:
        chosen = st.segmented_control("Show", names, default=name, key="show", bind="query-params", format_func=plain)
        name = chosen if chosen in names else name
    if runs["generated"].any():
        st.warning(GENERATED, icon=":material/science:")
    labels = dict(zip(runs["fingerprint"].to_list(), labels_of(runs), strict=True))
    made = [Made(labels[head.run], head) for head in heads if sheet_name(head) == name]
    _links(board, labels)
    if all(one.head.kind == "grid" for one in made):
        _cards(board, made)
    else:
        _drawings(board, made)


def _pick(found: pl.DataFrame) -> pl.DataFrame:
    """Asks for task, dataset, method and seed; returns at most `MOST` runs, by method."""
    columns = st.columns([2, 2, 2, 1])
    order = pl.col("family").replace_strict({name: i for i, name in enumerate(_FAMILIES)}, default=len(_FAMILIES))
    tasks = found.sort(order, maintain_order=True)["task"].unique(maintain_order=True).to_list()
    task = pick.choose("Task", tasks, key="task", container=columns[0])
    left = found.filter(pl.col("task") == task)
    datasets = left.sort("generated", maintain_order=True)["dataset"].unique(maintain_order=True).to_list()
    dataset = pick.choose("Dataset", datasets, key="dataset", container=columns[1])
    left = left.filter(pl.col("dataset") == dataset)
    methods = sorted(left["method"].unique().to_list())
    options = [ALL, *methods] if len(methods) > 1 else methods
    method = pick.choose("Method", options, key="method", container=columns[2])
    if method != ALL:
        left = left.filter(pl.col("method") == method)
    seeds = [str(seed) for seed in sorted(left["seed"].unique().to_list())]
    seed = pick.choose("Seed", seeds, key="seed", container=columns[3])
    left = left.filter(pl.col("seed") == int(seed))
    # The newest run of each method under each setting; older code made the others.
    left = left.unique(["method", "protocol", "budget"], keep="first", maintain_order=True).sort("method", "budget")
    if left.height > MOST:
        st.caption(f"The first {MOST} of {count(left.height, 'run')}. Choose a method to see the others.")
    return left.head(MOST)


def labels_of(runs: pl.DataFrame) -> list[str]:
    """Returns what to call each run: its method, and what else tells it from a run of the same method."""
    labels = runs["method"].to_list()
    for name in ("budget", "protocol"):
        twice = {label for label in labels if labels.count(label) > 1}
        if twice:
            extra = runs[name].to_list()
            labels = [f"{one} · {more}" if one in twice else one for one, more in zip(labels, extra, strict=True)]
    return labels


def _links(board: Board, labels: dict[str, str]) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for fingerprint, label in labels.items():
            board.link("run", plain(label), icon=":material/receipt_long:", run=fingerprint, part="Samples")


def _cards(board: Board, made: Sequence[Made]) -> None:
    """Draws prompts or stories, what each method made of them beside what is real."""
    sheets: list[tuple[str, list[Piece]]] = []
    for one in made:
        try:
            sheets.append((one.label, board.query(load_pieces, one.head.run, one.head.number)))
        except BenchError:
            # Cut or not, a stored sheet can be shown whole.
            show_sample(board, one.head, label=one.label)
    if not sheets:
        return
    stories = max(len(piece.texts) for _, pieces in sheets for piece in pieces) > 1
    subjects = list(dict.fromkeys(subject(piece) for _, pieces in sheets for piece in pieces))
    # As many rows of images as a page can hold.
    size = STORIES if stories else CARDS if len(sheets) <= 2 else CARDS // 2
    items = any(subject(piece) != piece.texts for _, pieces in sheets for piece in pieces)
    cards = []
    for wanted in _page(subjects, size, "story" if stories else "item" if items else "prompt"):
        same = [(label, piece) for label, pieces in sheets for piece in pieces if subject(piece) == wanted]
        told = [
            f"{label}: {piece.texts[0].removeprefix(wanted[0]).strip()}"
            for label, piece in same
            if piece.texts != wanted
        ]
        images = side_by_side(same, several=len(sheets) > 1)
        cards.append((wanted, images, same[0][1].given, told))
    beside = 1 if stories or max(len(images) for _, images, *_ in cards) > HALF else 2
    for start in range(0, len(cards), beside):
        for column, card in zip(st.columns(beside), cards[start : start + beside], strict=False):
            with column:
                show_card(*card)


def subject(piece: Piece) -> tuple[str, ...]:
    """Returns what a piece is about: its texts, of a map of an item only what names the item, without the numbers."""
    found = _ITEM.match(piece.texts[0]) if len(piece.texts) == 1 else None
    return (found.group(0),) if found else piece.texts


def side_by_side(pieces: Sequence[tuple[str, Piece]], *, several: bool) -> list[Image]:
    """Returns the images of one prompt: what all methods share once, then what each of them made.

    Args:
        pieces: Label of a run, and what it has for the prompt.
        several: Whether there are several runs, so that a heading has to name the run.
    """
    shared: list[Image] = []
    own: list[Image] = []
    for label, piece in pieces:
        mine = [name for name in piece.strips if name in OWN and not _same(pieces, name)]
        for name, frames in piece.strips.items():
            if several and name in mine:
                own.append(Image(label if len(mine) == 1 else f"{label}: {name}", joined(frames)))
            elif not several:
                own.append(Image(name, joined(frames)))
            elif not any(image.heading == name for image in shared):
                shared.append(Image(name, joined(frames)))
    return [*shared, *own]


def _same(pieces: Sequence[tuple[str, Piece]], name: str) -> bool:
    """Returns whether something is no method's own: the image before an edit is equal for all."""
    if name in ("drawn", "made", "after"):
        return False
    found = [piece.strips[name] for _, piece in pieces if name in piece.strips]
    return all(np.array_equal(found[0], other) for other in found[1:])


def _drawings(board: Board, made: Sequence[Made]) -> None:
    """Draws samples one below the other; those about the same unit together."""
    units = list(dict.fromkeys(one.head.unit for one in made))
    runs = len({one.head.run for one in made})
    noun = "question" if made[0].head.kind == "reasoning" else "drawing"
    for unit in _page(units, max(1, DRAWINGS // runs), noun):
        for one in made:
            if one.head.unit == unit:
                with st.container(border=True):
                    show_sample(board, one.head, label=one.label if runs > 1 else None)


def _page(items: Sequence[T], size: int, noun: str) -> Sequence[T]:
    pages = -(-len(items) // size)
    if pages <= 1:
        return items
    with st.container(horizontal=True, vertical_alignment="center"):
        number = st.pagination(pages, key="page", bind="query-params")
        first = (number - 1) * size
        said = "stories" if noun == "story" else f"{noun}s"
        st.caption(f"{first + 1} to {min(first + size, len(items))} of {len(items)} {said}")
    return items[first : first + size]
