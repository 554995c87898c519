"""What a run left to look at: images with their prompts, confusion matrices, clips kept, tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import streamlit as st

from bench.errors import BenchError, StoreError
from bench.pictures import (
    cut_grid,
    draw_confusion,
    draw_sample,
    read_confusion,
    read_reasoning,
    read_table,
)
from bench.pictures.canvas import DARK, LIGHT
from bench.pictures.drawn import PNG
from bench.store.gallery import one_sample, sample_heads
from leaderboard.components.downloads import button, csv_button, csv_text, file_stem
from leaderboard.components.tables import height
from leaderboard.components.text import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.pictures import Confusion, Piece, Reasoning
    from bench.store import Store
    from bench.store.gallery import SampleHead
    from bench.store.records import SampleRecord
    from leaderboard.components.board import Board

CELL = 112
"""Pixels of one image of a card."""
FRAME, LEAST_FRAME = 128, 96
"""Pixels of one frame of a story: two stories stand beside each other where their frames stay large enough."""
ROOM = 1080
"""Pixels across a card, at a page of 1280."""
CLIPS = "clips kept"
"""What samples of reasoning are called."""
_PER_PAGE = 6


class Image(NamedTuple):
    """An image with what it is."""

    heading: str
    pixels: np.ndarray


def is_dark() -> bool:
    """Returns whether the page is dark."""
    return getattr(st.context.theme, "type", None) == "dark"


def sheet_name(head: SampleHead) -> str | None:
    """Returns what a sample is listed under; None for what belongs to another (the prompts of a grid)."""
    if head.kind == "prompts":
        return None
    return CLIPS if head.kind == "reasoning" else head.unit


def load_sample(store: Store, fingerprint: str, number: int) -> SampleRecord:
    """Returns one sample.

    Raises:
        StoreError: It is gone.
    """
    sample = one_sample(store, fingerprint, number)
    if sample is None:
        raise StoreError(f"run {fingerprint[:12]} has no sample {number} any more.")
    return sample


def load_picture(store: Store, fingerprint: str, number: int, *, dark: bool) -> bytes:
    """Returns a sample as PNG.

    Raises:
        StoreError: It cannot be drawn.
    """
    run = store.find_run(fingerprint)
    if run is None:
        raise StoreError(f"run {fingerprint[:12]} is gone.")
    return draw_sample(load_sample(store, fingerprint, number), run, DARK if dark else LIGHT)


def load_reasoning(store: Store, fingerprint: str, number: int) -> Reasoning:
    """Returns what a method looked at."""
    return read_reasoning(load_sample(store, fingerprint, number))


def load_confusion(store: Store, fingerprint: str, number: int) -> Confusion:
    """Returns a confusion matrix."""
    return read_confusion(load_sample(store, fingerprint, number))


def load_pieces(store: Store, fingerprint: str, number: int) -> list[Piece]:
    """Returns the single images of a grid, with their texts.

    Raises:
        StoreError: The grid's texts are missing, or it cannot be cut.
    """
    grid = load_sample(store, fingerprint, number)
    for head in sample_heads(store, fingerprint):
        if head.kind == "prompts" and head.notes.get("grid") == grid.unit:
            return cut_grid(grid, load_sample(store, fingerprint, head.number))
    raise StoreError(f"grid {grid.unit!r} was stored without its texts.")


def show_run(board: Board, fingerprint: str) -> None:
    """Draws everything a run left; a picker chooses where there is much."""
    heads = board.query(sample_heads, fingerprint)
    names = list(dict.fromkeys(name for head in heads if (name := sheet_name(head)) is not None))
    if not names:
        st.info("This run left numbers only. Classification, question answering and generation leave more to look at.")
        return
    name = names[0]
    if len(names) > 1:
        chosen = st.segmented_control("Show", names, default=name, key="show", bind="query-params", format_func=plain)
        name = chosen if chosen in names else name
    shown = [head for head in heads if sheet_name(head) == name]
    pages = -(-len(shown) // _PER_PAGE)
    number = st.pagination(pages, key="page", bind="query-params") if pages > 1 else 1
    for head in shown[(number - 1) * _PER_PAGE : number * _PER_PAGE]:
        show_sample(board, head)


def show_sample(board: Board, head: SampleHead, *, label: str | None = None) -> None:
    """Draws one sample, or says why it cannot be drawn.

    Args:
        board: The store.
        head: Which.
        label: Shown above it.
    """
    if label is not None:
        st.text(label)
    try:
        if head.kind == "grid":
            _grid(board, head)
        elif head.kind == "confusion":
            _confusion(board, head)
        elif head.kind == "reasoning":
            _reasoning(board, head)
        elif head.kind == "table":
            _table(board, head)
        else:
            _other(board, head)
    except BenchError as error:
        st.warning("This sample cannot be drawn.")
        st.text(str(error))


def _grid(board: Board, head: SampleHead) -> None:
    sample = board.query(load_sample, head.run, head.number)
    try:
        pieces = board.query(load_pieces, head.run, head.number)
    except StoreError:
        # A sheet that cannot be cut can still be shown whole.
        st.image(sample.data, alt=f"{head.unit}: a sheet of images")
    else:
        for start in range(0, len(pieces), 2):
            columns = st.columns(2) if len(pieces[start].texts) == 1 else [st.container()] * 2
            for column, piece in zip(columns, pieces[start : start + 2], strict=False):
                with column:
                    show_card(piece.texts, strips_of(piece), piece.given)
    with st.container(horizontal=True):
        name = file_stem(head.unit, head.run[:8])
        button(lambda: sample.data, name=f"{name}.png", mime=PNG, label="PNG", key=f"png {head.run} {head.number}")


def strips_of(piece: Piece) -> list[Image]:
    """Returns each strip of a piece as one image, its frames side by side."""
    return [Image(name, joined(frames)) for name, frames in piece.strips.items()]


def joined(frames: np.ndarray) -> np.ndarray:
    """Returns (k, h, w, 3) frames side by side, with a gap that lets the page through at none."""
    k, high, wide, _ = frames.shape
    gap = 4 if k > 1 else 0
    sheet = np.full((high, k * (wide + gap) - gap, 3), 127, dtype=np.uint8)
    for place, frame in enumerate(frames):
        sheet[:, place * (wide + gap) : place * (wide + gap) + wide] = frame
    return sheet


def show_card(
    texts: Sequence[str], images: Sequence[Image], given: Sequence[bool] = (), told: Sequence[str] = ()
) -> None:
    """Draws a prompt or a story's captions, with images.

    Args:
        texts: The prompt, or a caption for each frame.
        images: What was made, and what it is held against.
        given: Which frames of a story were given.
        told: Lines below the images.
    """
    story = len(texts) > 1
    half = ROOM // 2 // len(texts)
    frame = min(FRAME, half if half >= LEAST_FRAME else ROOM // len(texts))
    with st.container(border=True):
        if not story:
            st.text(texts[0])
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            for image in images:
                width = frame * len(texts) if story else CELL
                with st.container(width=width, gap=None):
                    st.caption(plain(image.heading))
                    st.image(image.pixels, width=width, output_format="PNG", alt=f"{image.heading}: {'; '.join(texts)}")
        if story:
            marks = [" (given)" if place < len(given) and given[place] else "" for place in range(len(texts))]
            lines = [f"{place}{mark}. {text}" for place, (text, mark) in enumerate(zip(texts, marks, strict=True), 1)]
            st.text("\n".join(lines))
        if told:
            st.text("\n".join(told))


def _confusion(board: Board, head: SampleHead) -> None:
    from leaderboard.components.sample_charts import draw_confusion_chart

    confusion = board.query(load_confusion, head.run, head.number)
    draw_confusion_chart(confusion, key=f"{head.run[:12]} {head.number}")
    with st.container(horizontal=True):
        name = file_stem(head.unit, head.run[:8])
        button(
            lambda: draw_confusion(confusion),
            name=f"{name}.png",
            mime=PNG,
            label="Picture with the list beside it",
            key=f"png {head.run} {head.number}",
        )


def _reasoning(board: Board, head: SampleHead) -> None:
    reasoning = board.query(load_reasoning, head.run, head.number)
    picture = board.query(load_picture, head.run, head.number, dark=is_dark())
    cycles = "; ".join(
        f"cycle {cycle} kept {count(sum(share >= 0.5 for share in reasoning.kept(cycle)), 'clip')}"
        for cycle in reasoning.cycles
    )
    told = f"{reasoning.question} True answer {reasoning.answer}, given {reasoning.prediction}. {cycles}"
    st.image(picture, width="stretch", alt=told)
    name = file_stem(head.unit, head.run[:8])
    key = f"{head.run} {head.number}"
    with st.container(horizontal=True):
        # A paper is white, whatever the page is.
        button(
            lambda: board.query(load_picture, head.run, head.number, dark=False),
            name=f"{name}.png", mime=PNG, label="PNG", key=f"png {key}",
        )  # fmt: skip
        button(
            lambda: csv_text(weights_frame(reasoning)),
            name=f"{name}.csv", mime="text/csv", label="CSV", key=f"csv {key}",
        )  # fmt: skip


def weights_frame(reasoning: Reasoning) -> pl.DataFrame:
    """Returns all weights: what they are, the cycle, the place from 1, the word where it is one, and the weight."""
    rows = [
        (strip.label, strip.cycle, place, None, value)
        for strip in reasoning.clips
        for place, value in enumerate(strip.values, start=1)
    ]
    rows += [
        (strip.label, None, place, reasoning.read[place - 1] if place <= len(reasoning.read) else None, value)
        for strip in reasoning.words
        for place, value in enumerate(strip.values, start=1)
    ]
    schema = {"weights": pl.String, "cycle": pl.Int64, "place": pl.Int64, "word": pl.String, "weight": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _table(board: Board, head: SampleHead) -> None:
    frame = pl.DataFrame(read_table(board.query(load_sample, head.run, head.number)))
    numeric = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    columns = {name: st.column_config.ProgressColumn(name, format="%.4f", min_value=0, max_value=1) for name in numeric}
    st.dataframe(frame, hide_index=True, width="stretch", height=height(frame.height), column_config=columns)
    csv_button(frame, name=file_stem(head.unit, head.run[:8]), label="CSV", key=f"csv {head.run} {head.number}")


def _other(board: Board, head: SampleHead) -> None:
    sample = board.query(load_sample, head.run, head.number)
    if sample.media_type == PNG:
        st.image(sample.data, alt=head.unit)
        name = file_stem(head.unit, head.run[:8])
        button(lambda: sample.data, name=f"{name}.png", mime=PNG, label="PNG", key=f"png {head.run} {head.number}")
    elif sample.media_type == "application/json":
        st.code(json.dumps(json.loads(sample.data), indent=2, ensure_ascii=False)[:20_000], language="json")
    else:
        st.code(sample.data.decode("utf-8", errors="replace")[:20_000], language=None)
