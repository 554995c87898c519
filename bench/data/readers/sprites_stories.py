"""sprites-stories: four pictures of one character put together from real sprite sheets, with a caption each.

The sheets, layers and names are those of `sprites_qa`. Looks are told in the first caption alone; later captions say
what the character does, so that its looks must be carried over.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image

from bench.data.files import derived_array, file_digest
from bench.data.readers.captions import PARTS, StoryPart, side_of, stories_content
from bench.data.readers.questions import grouped
from bench.data.readers.sprites_qa import ACTIONS, DIRECTIONS, LAYERS, LOOKS, ZIP, frame_cells, painter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1
SEED = "sprites-stories 1"
CHARACTERS = {"train": 1_040, "valid": 96, "test": 160}
"""Each has one story."""
FRAMES = 4
MOMENT = 4
"""The frame of an action's eight in which it is most its own."""
SAYS = {"walk": "walks", "cast": "casts a spell", "slash": "slashes"}
THINGS = {"hair": "hair", "body": "skin", "topwear": "top", "bottomwear": "trousers"}
ATTRIBUTES = (
    *ACTIONS,
    *DIRECTIONS,
    *(f"{look} {thing}" for layer, thing in THINGS.items() for look in LOOKS[layer]),
)
"""Names of the frame labels."""
ACTS = tuple((action, direction) for action in ACTIONS for direction in DIRECTIONS)
"""What a character can do, and which way."""
_VARIANTS = 6


class Character(NamedTuple):
    """One character.

    Attributes:
        id: Its name.
        looks: Variant of each of `LAYERS`.
    """

    id: str
    looks: tuple[int, ...]


class Told(Protocol):
    """A story of one character."""

    @property
    def id(self) -> str:
        """Its character."""

    @property
    def looks(self) -> tuple[int, ...]:
        """Variant of each of `LAYERS`."""


S = TypeVar("S", bound=Told)


class Strip(NamedTuple):
    """The pictures of one story.

    Attributes:
        looks: Variant of each of `LAYERS`.
        cells: Of the sheets, one for each frame.
    """

    looks: tuple[int, ...]
    cells: tuple[int, ...]


class Story(NamedTuple):
    """One story.

    Attributes:
        id: Its character.
        looks: Variant of each of `LAYERS`.
        acts: (action, direction) of each of the four frames; successive ones differ.
    """

    id: str
    looks: tuple[int, ...]
    acts: tuple[tuple[str, str], ...]


def read(request: Request) -> Content:
    """Puts stories together and tells them.

    Raises:
        DataError: The zip or a sheet is damaged; names it.
    """
    return strip_content(
        request,
        draw_stories(),
        name="sprites-stories",
        cells=_moments,
        tell=tell,
        labels=labels,
        attributes=ATTRIBUTES,
        identity={"seed": SEED, "reader": READER_VERSION},
    )


def strip_content(
    request: Request,
    parts: Mapping[str, Sequence[S]],
    *,
    name: str,
    cells: Callable[[S], tuple[int, ...]],
    tell: Callable[[S], list[str]],
    labels: Callable[[S], np.ndarray],
    attributes: Sequence[str],
    identity: Mapping[str, str | int],
) -> Content:
    """Returns stories of sprite characters, one for each.

    Args:
        request: What was asked for.
        parts: The stories of each part.
        name: The dataset's.
        cells: Story to the F cells of the sheets that it shows.
        tell: Story to its F captions.
        labels: Story to (F, attributes) bool.
        attributes: Names of the frame labels.
        identity: What the stories were drawn by; `reader` is the reader's version.

    Raises:
        DataError: The zip or a sheet is damaged; names it.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ZIP
    digest = file_digest(path)
    return stories_content(
        request,
        {
            part: StoryPart(
                ids=[story.id for story in stories],
                captions=[tell(story) for story in stories],
                frames=Strips(
                    request,
                    path,
                    [Strip(story.looks, cells(story)) for story in stories],
                    part=part,
                    key=f"{name} {identity['reader']} {digest} {told(stories)}",
                ),
                labels=np.stack([labels(story) for story in stories]),
            )
            for part, stories in parts.items()
        },
        attributes=attributes,
        identity={"zip": digest, **identity},
        sizes={"characters": sum(CHARACTERS.values())},
        notes={"captions": "generated from the attributes of the sprites"},
    )


def draw_characters() -> dict[str, list[Character]]:
    """Puts each of all characters into one part."""
    total = _VARIANTS ** len(LAYERS)
    shares = {part: CHARACTERS[part] / total for part in ("test", "valid")} | {"train": 1.0}
    split = grouped((f"{index:04d}" for index in range(total)), seed=SEED, shares=shares)
    return {part: [Character(f"sprite-{name}", _looks(int(name))) for name in split[part]] for part in PARTS}


def draw_stories() -> dict[str, list[Story]]:
    """Draws the stories of each part; no character is in two parts."""
    return {
        part: [Story(*character, _acts(character.id)) for character in found]
        for part, found in draw_characters().items()
    }


def tell(story: Story) -> list[str]:
    """Returns the four captions."""
    who = introduced(story.looks)
    return [
        f"{who if frame == 0 else 'the character'} {SAYS[action]} facing {direction}"
        for frame, (action, direction) in enumerate(story.acts)
    ]


def labels(story: Story) -> np.ndarray:
    """Returns (4, 30) bool: what `ATTRIBUTES` each frame shows."""
    look = look_names(story.looks)
    return np.array([[name in look or name in act for name in ATTRIBUTES] for act in story.acts])


def introduced(looks: Sequence[int]) -> str:
    """Returns what a first caption calls a character: all of its looks."""
    look = {layer: LOOKS[layer][variant] for layer, variant in zip(LAYERS, looks, strict=True)}
    return (
        f"a character with {look['hair']} hair, {look['body']} skin, a {look['topwear']} top "
        f"and {look['bottomwear']} trousers"
    )


def look_names(looks: Sequence[int]) -> set[str]:
    """Returns the four of `ATTRIBUTES` that a character's looks are."""
    return {f"{LOOKS[layer][variant]} {THINGS[layer]}" for layer, variant in zip(LAYERS, looks, strict=True)}


def stream(seed: str, name: str) -> np.random.Generator:
    """Returns the random stream of one character, which depends on no other character."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def told(stories: Sequence[Told]) -> str:
    """Returns the sha256 of stories as they are written."""
    return hashlib.sha256(repr(list(stories)).encode()).hexdigest()


class Strips:
    """Loads the frames of a part, painted once and memory-mapped ever after.

    Args:
        request: What was asked for.
        path: The zip of the sheets.
        strips: What to paint; all have the same number of frames.
        part: Its name, for progress.
        key: What the frames are a function of, besides their side.
    """

    def __init__(self, request: Request, path: Path, strips: Sequence[Strip], *, part: str, key: str) -> None:
        self.request, self.path, self.strips, self.part = request, path, strips, part
        self.side = side_of(request)
        self.key = f"{key} side {self.side}"
        self.shape = (len(strips), len(strips[0].cells), self.side, self.side, 3)

    def __call__(self) -> np.ndarray:
        """Returns (n, F, side, side, 3) uint8 frames."""
        return derived_array(self.key, self.shape, self._build, dtype=np.uint8)

    def _build(self, target: Path) -> None:
        paint = painter(self.path)
        found = np.empty(self.shape, dtype=np.uint8)
        for row, strip in enumerate(self.strips):
            for frame, cell in enumerate(strip.cells):
                picture = Image.fromarray(paint(strip.looks, cell))
                found[row, frame] = np.asarray(picture.resize((self.side, self.side), Image.Resampling.BOX))
            self.request.progress(f"painting {self.request.id} {self.part}", row + 1, len(self.strips))
        np.save(target, found, allow_pickle=False)


def _looks(number: int) -> tuple[int, ...]:
    return tuple(number // _VARIANTS**power % _VARIANTS for power in reversed(range(len(LAYERS))))


def _moments(story: Story) -> tuple[int, ...]:
    return tuple(frame_cells(*act)[MOMENT] for act in story.acts)


def _acts(name: str) -> tuple[tuple[str, str], ...]:
    rng = stream(SEED, name)
    acts: list[tuple[str, str]] = []
    while len(acts) < FRAMES:
        drawn = ACTS[int(rng.integers(len(ACTS)))]
        if not acts or drawn != acts[-1]:
            acts.append(drawn)
    return tuple(acts)
