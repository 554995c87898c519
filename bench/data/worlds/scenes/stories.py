"""Stories of four frames: characters that keep their looks, and captions that tell each look once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.scenes.description import Objects, Scenes, plain
from bench.data.worlds.scenes.draws import between, pick, shuffled, uniforms
from bench.data.worlds.scenes.forms import form_index
from bench.data.worlds.scenes.pictures import other_than
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
)
from bench.data.worlds.scenes.words import closed_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = 4
CHARACTERS = {"ada": "star", "bo": "circle", "cy": "square", "dot": "triangle", "eve": "heart", "finn": "cross"}
"""Names and bodies. The body belongs to the name; the colour is drawn for each story."""
CHARACTER_NAMES = tuple(CHARACTERS)
PLACES = ("at the left", "in the middle", "at the right")
POSES = ("stands", "jumps")

_BODY = np.array([SHAPES.index(shape) for shape in CHARACTERS.values()])
_X = np.array([0.2, 0.5, 0.8])
_Y = np.array([0.62, 0.30])
_SIZE = 0.17
_BOTH = 0.5
"""Probability that both characters of a story are in a frame."""
_EYES = np.array([[-0.3, -0.12], [0.3, -0.12]])

STORY_VOCABULARY = closed_vocabulary(
    " ".join(
        ["the and on a ground", *CHARACTERS, *CHARACTERS.values(), *COLOUR_NAMES, *GROUND_NAMES, *PLACES, *POSES]
    ).split()
)
"""Every word of a story, padding and unknown first."""


class StoryLabels(NamedTuple):
    """What the frames show. The story's two characters are the columns of what is drawn; labels are by character.

    Attributes:
        characters: (n, 4, 6) bool: who is in each frame; at least one.
        colours: (n, 6) index into `COLOUR_NAMES`; -1 for who is in no frame.
        places: (n, 4, 6) index into `PLACES`; -1 for who is not in the frame.
        poses: (n, 4, 6) index into `POSES`; -1 for who is not in the frame.
        ground: (n,) index into `GROUND_NAMES`.
    """

    characters: np.ndarray
    colours: np.ndarray
    places: np.ndarray
    poses: np.ndarray
    ground: np.ndarray


class Stories(NamedTuple):
    """Stories of four frames.

    Attributes:
        pixels: (n, 4, side, side, 3) uint8, memory-mapped.
        captions: n lists of 4 sentences over `STORY_VOCABULARY`. A character's colour and body are told when it first
            appears, the ground in the first sentence; later sentences rely on that.
        labels: What each frame shows.
        scenes: What the n * 4 frames were drawn from, story by story.
    """

    pixels: np.ndarray
    captions: list[list[str]]
    labels: StoryLabels
    scenes: Scenes


def draw_labels(seed: int, part: str, index: np.ndarray) -> StoryLabels:
    """Draws what the stories `index` of a part show."""
    n = len(index)
    draws = uniforms(seed, f"stories/{part}", index, (4,)).T
    cast = np.stack([first := pick(6, draws[0]), other_than(first, 6, draws[1])], axis=1)
    colour = pick(len(COLOUR_NAMES), draws[2])
    second = other_than(colour, len(COLOUR_NAMES), draws[3])
    draws = uniforms(seed, f"stories/{part}/frames", index, (FRAMES, 7))
    both = draws[..., 0] < _BOTH
    who = pick(2, draws[..., 1])
    seen = np.stack([both | (who == 0), both | (who == 1)], axis=-1)
    place = shuffled(3, draws[..., 2:5])[..., :2]
    pose = pick(2, draws[..., 5:7])
    rows, frames = np.arange(n)[:, None], np.arange(FRAMES)
    characters = np.zeros((n, FRAMES, 6), dtype=bool)
    places = np.full((n, FRAMES, 6), -1)
    poses = np.full((n, FRAMES, 6), -1)
    colours = np.full((n, 6), -1)
    for member, shade in ((0, colour), (1, second)):
        column = cast[:, member, None]
        characters[rows, frames, column] = seen[..., member]
        places[rows, frames, column] = np.where(seen[..., member], place[..., member], -1)
        poses[rows, frames, column] = np.where(seen[..., member], pose[..., member], -1)
        colours[rows[:, 0], cast[:, member]] = np.where(seen[..., member].any(axis=1), shade, -1)
    ground = pick(len(GROUND_NAMES), uniforms(seed, f"stories/{part}/ground", index))
    return StoryLabels(characters, colours, places, poses, ground)


def compose(labels: StoryLabels, seed: int, part: str, index: np.ndarray) -> Scenes:
    """Places floor, bodies and eyes of the n * 4 frames. Slot 0 is the floor; six of body and eyes per character.

    A character has slots 1 + 5c .. 5 + 5c: the body, two eyes, two pupils.
    """
    n = len(index)
    jitter = between(-0.02, 0.02, uniforms(seed, f"stories/{part}/layout", index, (FRAMES, 6, 2)))
    x = _X[labels.places] + jitter[..., 0]
    y = _Y[labels.poses] + jitter[..., 1]
    size = np.broadcast_to(_SIZE * SHAPE_SCALE[_BODY], x.shape)
    ground = np.repeat(GROUND_RGB[labels.ground], FRAMES, axis=0)
    floor = ground * 0.7 + 0.08
    slots: dict[str, list[np.ndarray]] = {name: [] for name in ("present", "form", "rgb", "x", "y", "size")}

    def add(present: np.ndarray, form: np.ndarray, rgb: np.ndarray, *where: np.ndarray) -> None:
        for name, value in zip(slots, (present, form, rgb, *where), strict=True):
            slots[name].append(value)

    rows = n * FRAMES
    square, circle = form_index("square", "circle")
    add(np.ones(rows, bool), np.full(rows, square), floor, np.full(rows, 0.5), np.full(rows, 2.06), np.full(rows, 1.5))
    for who in range(len(CHARACTERS)):
        seen = labels.characters[..., who].reshape(-1)
        colour = np.repeat(COLOUR_RGB[labels.colours[:, who]], FRAMES, axis=0)
        cx, cy, half = (array[..., who].reshape(-1) for array in (x, y, size))
        add(seen, np.full(rows, SHAPE_FORMS[_BODY[who]]), colour, cx, cy, half)
        for shade, share in ((1.0, 0.24), (0.0, 0.11)):
            for dx, dy in _EYES:
                where = (cx + dx * half, cy + dy * half, share * half)
                add(seen, np.full(rows, circle), np.full((rows, 3), shade), *where)
    stacked = {name: np.stack(values, axis=1) for name, values in slots.items()}
    none = np.zeros(stacked["x"].shape)
    return plain(Objects(**stacked, rotation=none, aspect=none + 1.0), ground)


def tell(labels: StoryLabels, row: int) -> list[str]:
    """Returns a story's captions: `ada the red star jumps at the left ... on a white ground`, `ada stands ...`."""
    sentences = []
    known: set[int] = set()
    for frame in range(FRAMES):
        parts = []
        for who in np.flatnonzero(labels.characters[row, frame]).tolist():
            name = CHARACTER_NAMES[who]
            if who not in known:
                name += f" the {COLOUR_NAMES[labels.colours[row, who]]} {CHARACTERS[CHARACTER_NAMES[who]]}"
                known.add(who)
            pose, place = POSES[labels.poses[row, frame, who]], PLACES[labels.places[row, frame, who]]
            parts.append(f"{name} {pose} {place}")
        sentences.append(" and ".join(parts))
    sentences[0] += f" on a {GROUND_NAMES[labels.ground[row]]} ground"
    return sentences


def captioned_stories(
    part: str, n: int, *, side: int = 32, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Stories:
    """Draws stories.

    Args:
        part: Name of the split; parts are drawn apart from each other.
        n: How many; more of them begin with the same ones.
        side: Pixels of a frame.
        seed: Seed of the world.
        progress: Called with (stories done, stories) while they are drawn.

    Raises:
        DataError: The cache cannot be written.
    """
    index = np.arange(n)
    labels = draw_labels(seed, part, index)

    def draw(rows: np.ndarray) -> np.ndarray:
        frames = render(compose(draw_labels(seed, part, rows), seed, part, rows), side)
        return frames.reshape(len(rows), FRAMES, side, side, 3)

    pixels = stored(f"stories/{seed}/{part}/{side}", n, (FRAMES, side, side, 3), draw, progress=progress)
    return Stories(pixels, [tell(labels, row) for row in range(n)], labels, compose(labels, seed, part, index))
