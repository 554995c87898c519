"""Stills with captions: one or two objects on a ground, and sentences that say all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.scenes.description import Objects, Scenes, plain
from bench.data.worlds.scenes.draws import between, pick, uniforms
from bench.data.worlds.scenes.render import render
from bench.data.worlds.scenes.store import stored
from bench.data.worlds.scenes.vocabulary import (
    COLOUR_NAMES,
    COLOUR_RGB,
    GROUND_NAMES,
    GROUND_RGB,
    SHAPE_FORMS,
    SHAPE_SCALE,
    SHAPES,
    SIZE_NAMES,
    SIZE_VALUES,
)
from bench.data.worlds.scenes.words import closed_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = {
    "at the top left": (0.25, 0.25),
    "at the top right": (0.75, 0.25),
    "at the bottom left": (0.25, 0.75),
    "at the bottom right": (0.75, 0.75),
    "in the middle": (0.5, 0.5),
}
"""Where an object can be, and its centre. The middle is taken by an object that is alone."""
PLACE_NAMES = tuple(PLACES)
_CENTRES = np.array(list(PLACES.values()))
_JITTER = 0.03

CAPTION_VOCABULARY = closed_vocabulary(
    " ".join(["a and on ground", *SHAPES, *COLOUR_NAMES, *GROUND_NAMES, *SIZE_NAMES, *PLACES]).split()
)
"""Every word of a caption, padding and unknown first."""


class Symbols(NamedTuple):
    """What a picture shows, in numbers. Two objects of one picture differ in shape, in colour and in place.

    Attributes:
        number: (n,) of objects, 1 or 2; what stands in an absent object's columns means nothing.
        shape: (n, 2) index into `SHAPES`.
        colour: (n, 2) index into `COLOUR_NAMES`.
        size: (n, 2) index into `SIZE_NAMES`.
        place: (n, 2) index into `PLACE_NAMES`.
        ground: (n,) index into `GROUND_NAMES`.
    """

    number: np.ndarray
    shape: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    place: np.ndarray
    ground: np.ndarray


class CaptionedImages(NamedTuple):
    """Images with one caption each.

    Attributes:
        pixels: (n, side, side, 3) uint8, memory-mapped.
        captions: n sentences over `CAPTION_VOCABULARY`.
        symbols: What each shows.
        scenes: What each was drawn from, for masks and for other sizes.
    """

    pixels: np.ndarray
    captions: list[str]
    symbols: Symbols
    scenes: Scenes


def other_than(taken: np.ndarray, count: int, draws: np.ndarray) -> np.ndarray:
    """Returns values 0..count-1 that differ from `taken`, all others equally likely."""
    return np.asarray((taken + 1 + pick(count - 1, draws)) % count)


def draw_symbols(seed: int, part: str, index: np.ndarray) -> Symbols:
    """Draws what the pictures `index` of a part show; every value of every attribute is equally likely."""
    draws = uniforms(seed, f"pictures/{part}", index, (10,)).T
    first = np.stack([pick(len(SHAPES), draws[0]), pick(len(COLOUR_NAMES), draws[1])])
    number = 1 + pick(2, draws[2])
    place = np.where(number == 1, pick(5, draws[3]), pick(4, draws[3]))
    return Symbols(
        number=number,
        shape=np.stack([first[0], other_than(first[0], len(SHAPES), draws[4])], axis=1),
        colour=np.stack([first[1], other_than(first[1], len(COLOUR_NAMES), draws[5])], axis=1),
        size=np.stack([pick(2, draws[6]), pick(2, draws[7])], axis=1),
        place=np.stack([place, other_than(np.minimum(place, 3), 4, draws[8])], axis=1),
        ground=pick(len(GROUND_NAMES), draws[9]),
    )


def compose(symbols: Symbols, seed: int, part: str, index: np.ndarray) -> Scenes:
    """Places objects as the symbols say. What the symbols leave open depends on seed, part and index alone."""
    n = len(index)
    draws = uniforms(seed, f"pictures/{part}/layout", index, (2, 3))
    jitter = between(-_JITTER, _JITTER, draws[..., :2])
    centre = _CENTRES[symbols.place] + jitter
    objects = Objects(
        present=np.arange(2) < symbols.number[:, None],
        form=SHAPE_FORMS[symbols.shape],
        rgb=COLOUR_RGB[symbols.colour],
        x=centre[..., 0],
        y=centre[..., 1],
        size=SIZE_VALUES[symbols.size] * SHAPE_SCALE[symbols.shape],
        rotation=between(-0.2, 0.2, draws[..., 2]),
        aspect=np.ones((n, 2)),
    )
    return plain(objects, GROUND_RGB[symbols.ground])


def name_object(symbols: Symbols, row: int, slot: int, *, size: bool = False) -> str:
    """Returns e.g. `red circle`, or `small red circle`."""
    name = f"{COLOUR_NAMES[symbols.colour[row, slot]]} {SHAPES[symbols.shape[row, slot]]}"
    return f"{SIZE_NAMES[symbols.size[row, slot]]} {name}" if size else name


def caption(symbols: Symbols, row: int) -> str:
    """Says all of a picture: `a small red circle at the top left and a large blue star ... on a white ground`."""
    things = [
        f"a {name_object(symbols, row, slot, size=True)} {PLACE_NAMES[symbols.place[row, slot]]}"
        for slot in range(int(symbols.number[row]))
    ]
    return f"{' and '.join(things)} on a {GROUND_NAMES[symbols.ground[row]]} ground"


def captioned_images(
    part: str, n: int, *, side: int = 32, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> CaptionedImages:
    """Draws images with captions.

    Args:
        part: Name of the split; parts are drawn apart from each other.
        n: How many; more of them begin with the same ones.
        side: Pixels.
        seed: Seed of the world.
        progress: Called with (images done, images) while they are drawn.

    Raises:
        DataError: The cache cannot be written.
    """
    index = np.arange(n)
    symbols = draw_symbols(seed, part, index)

    def draw(rows: np.ndarray) -> np.ndarray:
        return render(compose(draw_symbols(seed, part, rows), seed, part, rows), side)

    pixels = stored(f"pictures/{seed}/{part}/{side}", n, (side, side, 3), draw, progress=progress)
    return CaptionedImages(
        pixels, [caption(symbols, row) for row in range(n)], symbols, compose(symbols, seed, part, index)
    )
