"""What a method looked at to answer one question: clips kept in each cycle, weights of clips and of words."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.errors import StoreError
from bench.pictures.canvas import LIGHT, WIDTH, Canvas, Palette, evenly, fitted, letters_on, mix, text_width, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.features.frames import Watched
    from bench.store.records import SampleRecord

KEPT = 0.5
"""A cycle keeps a clip that it scales by at least this much."""
CHANNELS = ("appearance", "motion")
_LABELS, _GAP, _ROW = 136, 6, 22
_STILL = 184
"""Units across one small photo."""


class Strip(NamedTuple):
    """Weights beside each other.

    Attributes:
        label: What they are.
        values: One for each clip, each frame of each clip, or each word.
        cycle: Of DualVGR's reasoning, from 1; None for what is no cycle.
    """

    label: str
    values: tuple[float, ...]
    cycle: int | None = None

    @property
    def kept(self) -> tuple[int, ...]:
        """Clips that a cycle keeps; empty for what is no cycle."""
        return () if self.cycle is None else tuple(i for i, value in enumerate(self.values) if value >= KEPT)


@dataclass(frozen=True)
class Reasoning:
    """A question, its answers, and what the method looked at.

    Attributes:
        question: As written.
        kind: Its type.
        answer: The true answer.
        prediction: The method's.
        about: The video or image.
        n_clips: Number of clips.
        clips: Weights of clips, the cycles first.
        words: Weights of words.
        read: The words that were read; empty where the run did not keep them.
        candidates: Answers to choose from; empty for open-ended questions.
        chosen: The candidate the method chose, or None.
    """

    question: str
    kind: str
    answer: str
    prediction: str
    about: str
    n_clips: int
    clips: tuple[Strip, ...]
    words: tuple[Strip, ...]
    read: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    chosen: int | None = None

    @property
    def cycles(self) -> tuple[int, ...]:
        """Numbers of the cycles."""
        return tuple(sorted({strip.cycle for strip in self.clips if strip.cycle is not None}))

    def kept(self, cycle: int) -> tuple[float, ...]:
        """Returns how much of each clip a cycle keeps, the mean over its channels."""
        rows = [strip.values for strip in self.clips if strip.cycle == cycle]
        return tuple(float(value) for value in np.mean(rows, axis=0))


def read_reasoning(sample: SampleRecord) -> Reasoning:
    """Reads a stored sample of kind `reasoning`.

    Weights that are not of clips, frames or words are left out.

    Raises:
        StoreError: It is not one.
    """
    try:
        content = json.loads(sample.data)
        return _reasoning(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"sample {sample.unit!r} tells of no reasoning: {error}.") from error


def _reasoning(content: dict[str, Any]) -> Reasoning:
    candidates = tuple(map(str, content.get("candidates", ())))
    chosen, read = content.get("chosen"), tuple(map(str, content.get("words", ())))
    n = len(content["clips"])
    clips: list[Strip] = []
    words: list[Strip] = []
    for name, values in sorted(content["weights"].items(), key=lambda item: _place(item[0])):
        table = np.array(values, dtype=np.float64)
        rows = table[None] if table.ndim == 1 else table
        if rows.ndim != 2 or not np.isfinite(rows).all():
            continue
        of_cycles = name.startswith("punishment_")
        if not of_cycles and candidates and len(rows) == len(candidates) and chosen is not None:
            rows = rows[chosen][None]
        label = name.removeprefix("punishment_")
        numbered = len(rows) > 1 and not of_cycles
        strips = [
            Strip(f"{label} {row}" if numbered else label, tuple(found), row if of_cycles else None)
            for row, found in enumerate(rows.tolist(), start=1)
        ]
        if name == "words":
            # Texts that were scored beside longer ones are padded, and padding weighs nothing.
            length = len(read) or int(np.flatnonzero(rows.any(axis=0)).max(initial=-1)) + 1
            words += [Strip(strip.label, strip.values[:length]) for strip in strips]
        elif n and rows.shape[1] % n == 0:
            clips += strips
    clips.sort(key=lambda strip: math.inf if strip.cycle is None else strip.cycle)
    return Reasoning(
        question=str(content["question"]), kind=str(content["type"]), answer=str(content["answer"]),
        prediction=str(content["prediction"]), about=str(content["about"]), n_clips=n, clips=tuple(clips),
        words=tuple(words), read=read, candidates=candidates, chosen=chosen,
    )  # fmt: skip


def _place(name: str) -> tuple[int, str]:
    order = ("punishment_appearance", "punishment_motion")
    return (order.index(name) if name in order else len(order), name)


def draw_reasoning(reasoning: Reasoning, watched: Watched | None = None, palette: Palette = LIGHT) -> bytes:
    """Draws one question as PNG: what was seen, and under it a row of weights for each cycle and channel.

    Args:
        reasoning: From `read_reasoning`.
        watched: The clips' frames; without them clips are numbers.
        palette: Colours.
    """
    if watched is not None and len(watched.frames) != reasoning.n_clips:
        watched = None
    # Drawn twice: the first time only tells how tall it is.
    height = _draw(Canvas(1, 1, palette), reasoning, watched)
    canvas = Canvas(WIDTH, height, palette)
    _draw(canvas, reasoning, watched)
    return canvas.png()


def _draw(canvas: Canvas, reasoning: Reasoning, watched: Watched | None) -> float:
    y = _heading(canvas, reasoning)
    if watched is not None and watched.grid is not None:
        y = _photos(canvas, reasoning, watched, y)
    else:
        y = _film(canvas, reasoning, watched, y)
    y = _words(canvas, reasoning, y)
    if reasoning.cycles:
        told = f"Outlined: kept, that is scaled by at least {KEPT:g}."
        if watched is not None:
            told += " Frames are as faint as the cycle made them."
        canvas.text(8, y, told, size=11, fill=canvas.palette.soft)
        y += 20
    return y + 6


def _heading(canvas: Canvas, reasoning: Reasoning) -> float:
    palette, y = canvas.palette, 10.0
    for line in wrapped(reasoning.question, WIDTH - 20, 18, lines=3):
        canvas.text(8, y, line, size=18)
        y += 25
    right = reasoning.prediction == reasoning.answer
    answer = fitted(f"true: {reasoning.answer}", 560, 14)
    canvas.text(8, y, answer, size=14)
    given = fitted(f"answered: {reasoning.prediction} ({'right' if right else 'wrong'})", 600, 14)
    canvas.text(8 + text_width(answer, 14) + 24, y, given, size=14, fill=palette.right if right else palette.wrong)
    y += 23
    for place, candidate in enumerate(reasoning.candidates):
        mark = "chosen" if place == reasoning.chosen else ""
        truth = "true" if candidate == reasoning.answer else ""
        text = fitted(f"{place + 1}. {candidate}", 900, 12)
        canvas.text(20, y, text, size=12)
        told = ", ".join(filter(None, (mark, truth)))
        canvas.text(32 + text_width(text, 12), y, told, size=12, fill=palette.right if truth else palette.wrong)
        y += 17
    canvas.text(8, y, fitted(f"{reasoning.kind} · {reasoning.about}", WIDTH - 20), fill=palette.soft)
    return y + 26


def _film(canvas: Canvas, reasoning: Reasoning, watched: Watched | None, y: float) -> float:
    """Draws clips in columns, with rows of weights under them."""
    palette, n = canvas.palette, reasoning.n_clips
    width = evenly(range(n), WIDTH - _LABELS - 8, _GAP)
    for clip in range(n):
        canvas.text(_LABELS + clip * (width + _GAP) + width / 2, y, str(clip + 1), size=11, anchor="ma")
    canvas.text(8, y, "clip", size=11, fill=palette.soft)
    y += 18
    if watched is not None:
        y += _clips(canvas, watched.frames, None, y, width) + 10
    for cycle in reasoning.cycles:
        canvas.text(8, y, f"cycle {cycle}", size=13)
        if watched is not None:
            middle = watched.frames.shape[1] // 2
            y += _clips(canvas, watched.frames[:, middle : middle + 1], reasoning.kept(cycle), y, width / 2)
        else:
            y += 20
        y = _strips(canvas, [strip for strip in reasoning.clips if strip.cycle == cycle], n, y) + 10
    return _strips(canvas, [strip for strip in reasoning.clips if strip.cycle is None], n, y) + 8


def _clips(canvas: Canvas, frames: np.ndarray, kept: Sequence[float] | None, y: float, wide: float) -> float:
    """Draws (N, F, H, W, 3) frames, each clip in its column, and returns how tall that is."""
    n, count, high, across = frames.shape[:4]
    column = evenly(range(n), WIDTH - _LABELS - 8, _GAP)
    per_row = math.ceil(math.sqrt(count))
    side = min(wide / per_row, 150)
    tall = side * high / across
    for clip in range(n):
        left = _LABELS + clip * (column + _GAP) + (column - side * per_row) / 2
        for frame in range(count):
            place = (left + frame % per_row * side, y + frame // per_row * tall)
            pixels = frames[clip, frame]
            if kept is not None:
                pixels = _faded(pixels, kept[clip], canvas.palette.paper)
            canvas.pixels(*place, side - 1, tall - 1, pixels)
    return float(math.ceil(count / per_row) * tall + 4)


def _strips(canvas: Canvas, strips: Sequence[Strip], n: int, y: float) -> float:
    for strip in strips:
        y = _strip(canvas, strip, n, y)
    return y


def _strip(canvas: Canvas, strip: Strip, n: int, y: float) -> float:
    """Draws weights of clips, or of the frames of each."""
    palette, per = canvas.palette, len(strip.values) // n
    column = evenly(range(n), WIDTH - _LABELS - 8, _GAP)
    canvas.text(18 if strip.cycle else 8, y + 4, fitted(strip.label, _LABELS - 16, 11), size=11, fill=palette.soft)
    # A share among many is small: the largest sets the scale. What a cycle scales by is a number of its own.
    most = 1.0 if strip.cycle is not None else max((*strip.values, 1e-12))
    for place, value in enumerate(strip.values):
        clip, part = divmod(place, per)
        x, width = _LABELS + clip * (column + _GAP) + part * column / per, column / per
        colour = mix(palette.paper, palette.right, 0.08 + 0.92 * value / most)
        canvas.box(x, y, width - (per > 1), _ROW - 2, fill=colour, outline=palette.ink if place in strip.kept else None)
        if width >= 28:
            canvas.text(x + width / 2, y + 10, f"{value:.2f}", size=10.5, fill=letters_on(colour), anchor="mm")
    return y + _ROW


def _photos(canvas: Canvas, reasoning: Reasoning, watched: Watched, y: float) -> float:
    """Draws a still image again and again, its regions as faint as each row of weights makes them."""
    assert watched.grid is not None  # noqa: S101 - the caller looked
    rows, columns = watched.grid
    regions = watched.frames[:, 0]
    high, across = regions.shape[1:3]
    tall = _STILL * (rows * high) / (columns * across)
    told: list[tuple[str, Strip | None]] = [("the image", None)]
    of_regions = [strip for strip in reasoning.clips if len(strip.values) == rows * columns]
    told += [(f"cycle {one.cycle}: {one.label}" if one.cycle else one.label, one) for one in of_regions]
    across_sheet = max(1, int((WIDTH - 8) // (_STILL + 20)))
    for number, (name, strip) in enumerate(told):
        values, kept, cycle = (None, (), None) if strip is None else (strip.values, strip.kept, strip.cycle)
        left, top = 8 + number % across_sheet * (_STILL + 20), y + number // across_sheet * (tall + 34)
        canvas.text(left, top, name, size=12)
        most = max(values) if values is not None and not cycle else 1.0
        shares = [1.0 if values is None else values[place] / max(most, 1e-12) for place in range(len(regions))]
        faded = [_faded(pixels, share, canvas.palette.paper) for pixels, share in zip(regions, shares, strict=True)]
        whole = np.stack(faded).reshape(rows, columns, high, across, 3).transpose(0, 2, 1, 3, 4)
        canvas.pixels(left, top + 20, _STILL, tall, whole.reshape(rows * high, columns * across, 3))
        for place in kept:
            row, column = divmod(place, columns)
            box = (left + column * _STILL / columns, top + 20 + row * tall / rows, _STILL / columns, tall / rows)
            canvas.box(*box, outline=canvas.palette.right, line=1.5)
        for place, value in enumerate(values or ()):
            row, column = divmod(place, columns)
            x, z = left + (column + 0.5) * _STILL / columns, top + 20 + (row + 0.5) * tall / rows
            wide = text_width(f"{value:.2f}", 9.5) + 4
            canvas.box(x - wide / 2, z - 6, wide, 12, fill=canvas.palette.paper)
            canvas.text(x, z, f"{value:.2f}", size=9.5, anchor="mm")
    return float(y + math.ceil(len(told) / across_sheet) * (tall + 34) + 6)


def _words(canvas: Canvas, reasoning: Reasoning, y: float) -> float:
    """Draws weights of words; without the words, of their places."""
    if not reasoning.words:
        return y
    palette = canvas.palette
    for strip in reasoning.words:
        canvas.text(8, y + 6, fitted(strip.label, _LABELS - 16, 11), size=11, fill=palette.soft)
        x, most = float(_LABELS), max((*strip.values, 1e-12))
        for place, value in enumerate(strip.values):
            word = reasoning.read[place] if place < len(reasoning.read) else f"word {place + 1}"
            width = max(34.0, text_width(word, 12) + 12)
            if x + width > WIDTH - 8:
                x, y = float(_LABELS), y + 40
            colour = mix(palette.paper, palette.right, 0.06 + 0.94 * value / most)
            canvas.box(x, y, width, 36, fill=colour)
            canvas.text(x + width / 2, y + 11, word, size=12, fill=letters_on(colour), anchor="mm")
            canvas.text(x + width / 2, y + 27, f"{value:.2f}", size=9.5, fill=letters_on(colour), anchor="mm")
            x += width + 3
        y += 42
    return y + 4


def _faded(pixels: np.ndarray, share: float, paper: tuple[int, int, int]) -> np.ndarray:
    share = min(1.0, max(0.0, share))
    mixed: np.ndarray = pixels.astype(np.float32) * share + np.array(paper, dtype=np.float32) * (1 - share)
    faded: np.ndarray = mixed.round().astype(np.uint8)
    return faded
