"""Sample grids: what a run made, beside the text it was asked for, as one PNG and as JSON."""

from __future__ import annotations

import io
import json
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.tasks.base import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

CELL = 96
"""Pixels of an image on a grid, at least; larger images keep their size."""
GAP, LINE, FONT = 6, 13, 11
TEXT_WIDTH, COLUMNS = 40, 2
"""Characters of 7 pixels that a line beside an image has room for; rows of a picture grid that stand side by side."""
INK, PAPER = (30, 30, 30), (255, 255, 255)


def picture_grid(
    name: str,
    columns: Mapping[str, np.ndarray],
    texts: Sequence[str],
    notes: Mapping[str, Any],
    *,
    blocks: int = COLUMNS,
) -> tuple[Sample, Sample]:
    """Returns a grid of images in rows, each row with its text on the right, and the texts as JSON.

    Args:
        name: Of the sample.
        columns: Heading to (n, side, side, 3) uint8 images.
        texts: n texts.
        notes: Plain JSON values to show beside it.
        blocks: Rows that stand side by side.
    """
    cell = max(CELL, next(iter(columns.values())).shape[1])
    row_width = len(columns) * (cell + GAP) + TEXT_WIDTH * 7
    down = -(-len(texts) // blocks)
    sheet = Image.new("RGB", (blocks * row_width + GAP, LINE + GAP + down * (cell + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for block in range(min(blocks, len(texts))):
        for place, heading in enumerate(columns):
            draw.text((GAP + block * row_width + place * (cell + GAP), 0), heading, INK, font)
    for row, text in enumerate(texts):
        left = GAP + row // down * row_width
        top = LINE + row % down * (cell + GAP)
        for place, images in enumerate(columns.values()):
            sheet.paste(_cell(images[row], cell), (left + place * (cell + GAP), top))
        told = _wrapped(text, TEXT_WIDTH * 7, cell // LINE, font)
        draw.multiline_text((left + len(columns) * (cell + GAP), top), told, INK, font, spacing=2)
    return _samples(name, sheet, list(texts), {"columns": list(columns), **notes})


def story_grid(
    name: str,
    rows: Mapping[str, np.ndarray],
    given: np.ndarray,
    texts: Sequence[Sequence[str]],
    notes: Mapping[str, Any],
) -> tuple[Sample, Sample]:
    """Returns a grid of stories: their frames in rows of strips, captions below, given frames framed in blue.

    Args:
        name: Of the sample.
        rows: Heading to (n, F, side, side, 3) uint8 frames; a strip each.
        given: (n, F) bool.
        texts: n lists of F captions.
        notes: Plain JSON values to show beside it.
    """
    first = next(iter(rows.values()))
    cell, frames = max(CELL, first.shape[2]), first.shape[1]
    lines, label = 7, 76
    tall = len(rows) * (cell + GAP) + lines * LINE + GAP
    sheet = Image.new("RGB", (label + frames * (cell + GAP) + GAP, GAP + len(texts) * tall), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for story, captions in enumerate(texts):
        top = GAP + story * tall
        for strip, (heading, images) in enumerate(rows.items()):
            y = top + strip * (cell + GAP)
            draw.text((GAP, y), heading, INK, font)
            for frame in range(frames):
                x = label + frame * (cell + GAP)
                sheet.paste(_cell(images[story, frame], cell), (x, y))
                if given[story, frame]:
                    draw.rectangle((x - 2, y - 2, x + cell + 1, y + cell + 1), outline=(40, 90, 220), width=2)
        for frame, caption in enumerate(captions):
            told = _wrapped(caption, cell, lines, font)
            place = (label + frame * (cell + GAP), top + len(rows) * (cell + GAP))
            draw.multiline_text(place, told, INK, font, spacing=2)
    prompts = [
        {"captions": list(captions), "given": known.tolist()} for captions, known in zip(texts, given, strict=True)
    ]
    return _samples(name, sheet, prompts, {"strips": list(rows), **notes})


def png(pixels: np.ndarray) -> bytes:
    """Returns one (h, w, 3) uint8 image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def _wrapped(text: str, room: int, lines: int, font: Font) -> str:
    """Returns a text in lines of at most `room` pixels; a longer one ends in dots, and is whole among the prompts."""
    # The font has no accents.
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    told: list[str] = []
    for letters in range(room // 4, 2, -1):
        told = textwrap.wrap(bare, letters, max_lines=lines, placeholder=" …")
        if all(font.getlength(line) <= room for line in told):
            break
    return "\n".join(told)


def _cell(pixels: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    # Whole multiples look as drawn; anything else would invent pixels.
    return image.resize((side, side), Image.Resampling.NEAREST) if image.width != side else image


def _samples(name: str, sheet: Image.Image, prompts: list[Any], notes: Mapping[str, Any]) -> tuple[Sample, Sample]:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    told = {"kind": "grid", **notes}
    data = json.dumps({"prompts": prompts, **notes}, ensure_ascii=False).encode()
    return (
        Sample(name, "image/png", buffer.getvalue(), notes=told),
        Sample(f"{name}: prompts", "application/json", data, notes={"kind": "prompts", "grid": name}),
    )
