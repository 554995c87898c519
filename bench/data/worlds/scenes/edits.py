"""Editing pairs: a picture, what to change in words, and the same picture with exactly that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.scenes.description import take
from bench.data.worlds.scenes.draws import pick, uniforms
from bench.data.worlds.scenes.pictures import (
    CAPTION_VOCABULARY,
    PLACE_NAMES,
    Symbols,
    caption,
    compose,
    draw_symbols,
    name_object,
    other_than,
)
from bench.data.worlds.scenes.render import foreground, render
from bench.data.worlds.scenes.store import stored
from bench.data.worlds.scenes.vocabulary import COLOUR_NAMES, GROUND_NAMES, SHAPES, SIZE_NAMES
from bench.data.worlds.scenes.words import closed_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.data.worlds.scenes.description import Scenes

EDIT_KINDS = ("recolour", "reshape", "resize", "move", "reground")
"""Which attribute changes: colour, shape, size or place of one object, or the ground."""

EDIT_VOCABULARY = closed_vocabulary([*CAPTION_VOCABULARY[2:], "make", "turn", "into", "move", "to"])
"""Every word of captions and instructions, padding and unknown first."""


class EditPairs(NamedTuple):
    """Pairs of images that differ in one attribute.

    Attributes:
        source: (n, side, side, 3) uint8, memory-mapped.
        target: The same after the edit: the only right answer.
        source_captions: n sentences.
        target_captions: n sentences.
        instructions: n commands, e.g. `turn the red circle into a star`.
        kinds: (n,) index into `EDIT_KINDS`.
        slots: (n,) the object that changes; -1 for the ground.
        source_symbols: What the sources show.
        target_symbols: What the targets show.
        source_scenes: What the sources were drawn from.
        target_scenes: What the targets were drawn from.
    """

    source: np.ndarray
    target: np.ndarray
    source_captions: list[str]
    target_captions: list[str]
    instructions: list[str]
    kinds: np.ndarray
    slots: np.ndarray
    source_symbols: Symbols
    target_symbols: Symbols
    source_scenes: Scenes
    target_scenes: Scenes


def draw_edits(seed: int, part: str, index: np.ndarray) -> tuple[Symbols, Symbols, np.ndarray, np.ndarray]:
    """Draws sources, targets, (n,) kinds and (n,) slots.

    Recoloured and reshaped objects stay unlike their neighbour, and a moved one goes to a free place.
    """
    source = draw_symbols(seed, f"edits/{part}", index)
    draws = uniforms(seed, f"edits/{part}/change", index, (3,)).T
    kinds = pick(len(EDIT_KINDS), draws[0])
    slots = np.where(kinds == EDIT_KINDS.index("reground"), -1, pick(2, draws[1]) % source.number)
    target = Symbols(*(field.copy() for field in source))
    pair = source.number == 2
    for kind, field, count in (("recolour", "colour", len(COLOUR_NAMES)), ("reshape", "shape", len(SHAPES))):
        _change(getattr(target, field), np.flatnonzero(kinds == EDIT_KINDS.index(kind)), slots, pair, count, draws[2])
    rows = np.flatnonzero(kinds == EDIT_KINDS.index("resize"))
    target.size[rows, slots[rows]] ^= 1
    rows = np.flatnonzero((kinds == EDIT_KINDS.index("move")) & pair)
    _change(target.place, rows, slots, pair, 4, draws[2])
    rows = np.flatnonzero((kinds == EDIT_KINDS.index("move")) & ~pair)
    _change(target.place, rows, slots, pair, 5, draws[2])
    rows = np.flatnonzero(slots < 0)
    target.ground[rows] = other_than(source.ground[rows], len(GROUND_NAMES), draws[2][rows])
    return source, target, kinds, slots


def _change(
    field: np.ndarray, rows: np.ndarray, slots: np.ndarray, pair: np.ndarray, count: int, draws: np.ndarray
) -> None:
    """Gives one object of some rows another value of 0..count-1, which its neighbour does not have, in place."""
    slot = slots[rows]
    own, others = field[rows, slot], field[rows, 1 - slot]
    low, high = np.minimum(own, others), np.maximum(own, others)
    value = pick(count - 2, draws[rows])
    value += value >= low
    value += value >= high
    field[rows, slot] = np.where(pair[rows], value, other_than(own, count, draws[rows]))


def instruction(source: Symbols, target: Symbols, kind: int, slot: int, row: int) -> str:
    """Returns the command that turns a source into its target."""
    name = EDIT_KINDS[kind]
    if name == "reground":
        return f"make the ground {GROUND_NAMES[target.ground[row]]}"
    thing = name_object(source, row, slot)
    if name == "recolour":
        return f"make the {thing} {COLOUR_NAMES[target.colour[row, slot]]}"
    if name == "reshape":
        return f"turn the {thing} into a {SHAPES[target.shape[row, slot]]}"
    if name == "resize":
        return f"make the {thing} {SIZE_NAMES[target.size[row, slot]]}"
    place = PLACE_NAMES[target.place[row, slot]].partition(" ")[2]
    return f"move the {thing} to {place}"


def edit_pairs(
    part: str, n: int, *, side: int = 32, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> EditPairs:
    """Draws editing pairs.

    Args:
        part: Name of the split; parts are drawn apart from each other and from `captioned_images`.
        n: How many; more of them begin with the same ones.
        side: Pixels.
        seed: Seed of the world.
        progress: Called with (pairs done, pairs) while they are drawn.

    Raises:
        DataError: The cache cannot be written.
    """
    index = np.arange(n)
    layout = f"edits/{part}"

    def draw(rows: np.ndarray) -> np.ndarray:
        sources, targets, _, _ = draw_edits(seed, part, rows)
        both = [render(compose(symbols, seed, layout, rows), side) for symbols in (sources, targets)]
        return np.stack(both, axis=1)

    pixels = stored(f"edits/{seed}/{part}/{side}", n, (2, side, side, 3), draw, progress=progress)
    source, target, kinds, slots = draw_edits(seed, part, index)
    return EditPairs(
        source=pixels[:, 0],
        target=pixels[:, 1],
        source_captions=[caption(source, row) for row in range(n)],
        target_captions=[caption(target, row) for row in range(n)],
        instructions=[instruction(source, target, int(kinds[row]), int(slots[row]), row) for row in range(n)],
        kinds=kinds,
        slots=slots,
        source_symbols=source,
        target_symbols=target,
        source_scenes=compose(source, seed, layout, index),
        target_scenes=compose(target, seed, layout, index),
    )


def edited_region(pairs: EditPairs, side: int = 32) -> np.ndarray:
    """Returns (n, side, side) bool: where the source's and the target's pixels may differ.

    For an edit of an object all that it touches before or after; for the ground, all that no object fills.
    """
    changed = np.zeros((len(pairs.kinds), side, side), dtype=bool)
    for scenes in (pairs.source_scenes, pairs.target_scenes):
        alone = scenes.objects.present & (np.arange(2) == pairs.slots[:, None])
        changed |= foreground(scenes._replace(objects=scenes.objects._replace(present=alone)), side, share=0.0)
    ground = pairs.slots < 0
    changed[ground] = ~foreground(take(pairs.source_scenes, ground), side, share=0.999)
    return changed
