"""The single images of a stored grid, each with its text: the way back from `bench.tasks.grids`."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from bench.errors import StoreError
from bench.tasks.grids import GAP, LINE, TEXT_WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.store.records import SampleRecord

_LETTER = 7
_STORY_LABEL, _STORY_LINES = 76, 7
_MOST_BLOCKS = 8


class Piece(NamedTuple):
    """One prompt, or one story, and what was made of it.

    Attributes:
        texts: The prompt, or a caption for each frame.
        strips: Heading ("drawn", "real", "before") to (k, h, w, 3) uint8 images, one for each text.
        given: For each frame of a story whether it was given; False for a prompt.
    """

    texts: tuple[str, ...]
    strips: Mapping[str, np.ndarray]
    given: tuple[bool, ...]


def cut_grid(grid: SampleRecord, prompts: SampleRecord) -> list[Piece]:
    """Cuts a stored grid into its images.

    Args:
        grid: A sample of kind `grid`.
        prompts: The sample of kind `prompts` that belongs to it.

    Raises:
        StoreError: The grid is damaged, or was laid out in another way.
    """
    try:
        content: dict[str, Any] = json.loads(prompts.data)
        with Image.open(io.BytesIO(grid.data)) as image:
            sheet = np.asarray(image.convert("RGB"))
        if "strips" in content:
            return _stories(sheet, content["prompts"], [str(name) for name in content["strips"]])
        return _rows(sheet, content["prompts"], [str(name) for name in content["columns"]])
    except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise StoreError(f"grid {grid.unit!r} cannot be cut into its images: {error}.") from error


def _rows(sheet: np.ndarray, texts: list[Any], columns: list[str]) -> list[Piece]:
    height, width = sheet.shape[:2]
    beside = TEXT_WIDTH * _LETTER
    for blocks in range(1, _MOST_BLOCKS + 1):
        # The one number of blocks whose width and height belong to images of the same size.
        cell = ((width - GAP) // blocks - beside) // len(columns) - GAP
        wide, down = len(columns) * (cell + GAP) + beside, -(-len(texts) // blocks)
        if cell > 0 and (width, height) == (blocks * wide + GAP, LINE + GAP + down * (cell + GAP)):
            break
    else:
        raise ValueError(f"no grid of {len(texts)} rows of {len(columns)} images has {width} x {height} pixels")
    pieces = []
    for row, text in enumerate(texts):
        left, top = GAP + row // down * wide, LINE + row % down * (cell + GAP)
        images = {name: _cut(sheet, left + place * (cell + GAP), top, cell)[None] for place, name in enumerate(columns)}
        pieces.append(Piece((str(text),), images, (False,)))
    return pieces


def _stories(sheet: np.ndarray, stories: list[Any], strips: list[str]) -> list[Piece]:
    frames = len(stories[0]["captions"])
    cell = (sheet.shape[1] - GAP - _STORY_LABEL) // frames - GAP
    tall = len(strips) * (cell + GAP) + _STORY_LINES * LINE + GAP
    _check(sheet, _STORY_LABEL + frames * (cell + GAP) + GAP, GAP + len(stories) * tall)
    pieces = []
    for number, story in enumerate(stories):
        images = {}
        for strip, name in enumerate(strips):
            top = GAP + number * tall + strip * (cell + GAP)
            images[name] = np.stack(
                [_cut(sheet, _STORY_LABEL + frame * (cell + GAP), top, cell) for frame in range(frames)]
            )
        pieces.append(Piece(tuple(map(str, story["captions"])), images, tuple(map(bool, story["given"]))))
    return pieces


def _check(sheet: np.ndarray, width: int, height: int) -> None:
    if sheet.shape[:2] != (height, width):
        # The layout of grids changed since, or somebody else drew it.
        raise ValueError(f"it must be {width} x {height} pixels, but is {sheet.shape[1]} x {sheet.shape[0]}")


def _cut(sheet: np.ndarray, left: int, top: int, cell: int) -> np.ndarray:
    return sheet[top : top + cell, left : left + cell]
