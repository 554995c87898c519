"""sprites-sequences: the eight frames of one action of one character in one direction, with a caption each.

The sheets, layers, names and the split by character are those of `sprites_stories`. Looks are told in the first caption
alone, so that they must be carried over; every caption tells the action, the direction and the step of eight, so that
the motion must be followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.readers import sprites_stories
from bench.data.readers.sprites_qa import FRAME_PLACES, frame_cells
from bench.data.readers.sprites_stories import (
    ACTS,
    SAYS,
    draw_characters,
    introduced,
    look_names,
    stream,
    strip_content,
)

if TYPE_CHECKING:
    from bench.data.content import Content, Request

READER_VERSION = 1
SEED = "sprites-sequences 1"
STEPS = 8
"""Frames of a sequence."""
ATTRIBUTES = (*sprites_stories.ATTRIBUTES, *(f"pose {step}" for step in range(1, STEPS + 1)))
"""Names of the frame labels. A pose is called by the first step that shows it, see `poses`."""


class Sequence(NamedTuple):
    """One sequence.

    Attributes:
        id: Its character.
        looks: Variant of each of `LAYERS`.
        action: What the character does.
        direction: Which way it faces.
    """

    id: str
    looks: tuple[int, ...]
    action: str
    direction: str


def read(request: Request) -> Content:
    """Puts sequences together and tells them.

    Raises:
        DataError: The zip or a sheet is damaged; names it.
    """
    return strip_content(
        request,
        draw_sequences(),
        name="sprites-sequences",
        cells=lambda one: tuple(frame_cells(one.action, one.direction)),
        tell=tell,
        labels=labels,
        attributes=ATTRIBUTES,
        identity={"split": sprites_stories.SEED, "seed": SEED, "reader": READER_VERSION},
    )


def draw_sequences() -> dict[str, list[Sequence]]:
    """Draws what each character does; each is in the part in which it is in `sprites_stories`."""
    return {
        part: [Sequence(*one, *ACTS[int(stream(SEED, one.id).integers(len(ACTS)))]) for one in found]
        for part, found in draw_characters().items()
    }


def tell(sequence: Sequence) -> list[str]:
    """Returns the eight captions."""
    deed = f"{SAYS[sequence.action]} facing {sequence.direction}"
    return [
        f"{'the character' if step > 1 else introduced(sequence.looks)} {deed}, step {step} of {STEPS}"
        for step in range(1, STEPS + 1)
    ]


def labels(sequence: Sequence) -> np.ndarray:
    """Returns (8, 38) bool: what `ATTRIBUTES` each frame shows."""
    always = {*look_names(sequence.looks), sequence.action, sequence.direction}
    return np.array(
        [[name in always or name == f"pose {pose}" for name in ATTRIBUTES] for pose in poses(sequence.action)]
    )


def poses(action: str) -> tuple[int, ...]:
    """Returns the pose of each of an action's steps: the first step, from 1, that is the same picture.

    Sheets have six pictures of a slash and seven of a spell, so some are shown twice; no picture tells those steps
    apart, and no label asks for it.
    """
    _, order = FRAME_PLACES[action]
    return tuple(order.index(cell) + 1 for cell in order)
