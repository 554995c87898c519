"""sprites-stories: four pictures of one character put together from real sprite sheets, with a caption each.

The sheets, layers and names are those of `sprites_qa`. Looks are told in the first caption alone; later captions say
what the character does, so that its looks must be carried over.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from bench.data.files import derived_array, file_digest
from bench.data.readers.captions import PARTS, StoryPart, side_of, stories_content
from bench.data.readers.questions import grouped
from bench.data.readers.sprites_qa import ACTIONS, DIRECTIONS, LAYERS, LOOKS, SIDE, ZIP, Scene, compose

if TYPE_CHECKING:
    from collections.abc import Sequence
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
_VARIANTS = 6


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
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ZIP
    digest = file_digest(path)
    parts = draw_stories()
    return stories_content(
        request,
        {
            part: StoryPart(
                ids=[story.id for story in parts[part]],
                captions=[tell(story) for story in parts[part]],
                frames=_Frames(request, path, digest, parts[part], part),
                labels=np.stack([labels(story) for story in parts[part]]),
            )
            for part in PARTS
        },
        attributes=ATTRIBUTES,
        identity={"zip": digest, "seed": SEED, "reader": READER_VERSION},
        sizes={"characters": sum(CHARACTERS.values())},
        notes={"captions": "generated from the attributes of the sprites"},
    )


def draw_stories() -> dict[str, list[Story]]:
    """Draws the stories of each part; no character is in two parts."""
    total = _VARIANTS ** len(LAYERS)
    shares = {part: CHARACTERS[part] / total for part in ("test", "valid")} | {"train": 1.0}
    split = grouped((f"{index:04d}" for index in range(total)), seed=SEED, shares=shares)
    stories: dict[str, list[Story]] = {}
    for part in PARTS:
        stories[part] = []
        for name in split[part]:
            rest = int(name)
            looks = tuple(rest // _VARIANTS**power % _VARIANTS for power in reversed(range(len(LAYERS))))
            id_ = f"sprite-{name}"
            stories[part].append(Story(id_, looks, _acts(id_)))
    return stories


def tell(story: Story) -> list[str]:
    """Returns the four captions."""
    look = {layer: LOOKS[layer][variant] for layer, variant in zip(LAYERS, story.looks, strict=True)}
    who = (
        f"a character with {look['hair']} hair, {look['body']} skin, a {look['topwear']} top "
        f"and {look['bottomwear']} trousers"
    )
    return [
        f"{who if frame == 0 else 'the character'} {SAYS[action]} facing {direction}"
        for frame, (action, direction) in enumerate(story.acts)
    ]


def labels(story: Story) -> np.ndarray:
    """Returns (4, 30) bool: what `ATTRIBUTES` each frame shows."""
    look = {f"{LOOKS[layer][variant]} {THINGS[layer]}" for layer, variant in zip(LAYERS, story.looks, strict=True)}
    return np.array([[name in look or name in act for name in ATTRIBUTES] for act in story.acts])


class _Frames:
    """Loads the frames of a part, put together once and memory-mapped ever after."""

    def __init__(self, request: Request, path: Path, digest: str, stories: Sequence[Story], part: str) -> None:
        self.request, self.path, self.stories, self.part = request, path, stories, part
        told = hashlib.sha256(repr(list(stories)).encode()).hexdigest()
        self.side = side_of(request)
        self.key = f"sprites-stories {READER_VERSION} {digest} {told} side {self.side}"

    def __call__(self) -> np.ndarray:
        shape = (len(self.stories), FRAMES, self.side, self.side, 3)
        return derived_array(self.key, shape, self._build, dtype=np.uint8)

    def _build(self, target: Path) -> None:
        # Two acts make a scene of the compositor.
        scenes = [Scene(f"{story.id} {half}", story.looks, (story.acts[2 * half], story.acts[2 * half + 1]))
                  for story in self.stories for half in range(FRAMES // 2)]  # fmt: skip
        found = np.empty((len(scenes) * 2, self.side, self.side, 3), dtype=np.uint8)
        for place, clips in enumerate(compose(self.path, scenes)):
            acts = clips.reshape(2, -1, SIDE, SIDE, 3)[:, MOMENT]
            for act, picture in enumerate(acts):
                small = Image.fromarray(picture).resize((self.side, self.side), Image.Resampling.BOX)
                found[2 * place + act] = np.asarray(small)
            self.request.progress(f"putting together {self.request.id} {self.part}", place + 1, len(scenes))
        np.save(target, found.reshape(len(self.stories), FRAMES, self.side, self.side, 3), allow_pickle=False)


def _acts(name: str) -> tuple[tuple[str, str], ...]:
    digest = hashlib.sha256(f"{SEED}:{name}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
    every = [(action, direction) for action in ACTIONS for direction in DIRECTIONS]
    acts: list[tuple[str, str]] = []
    while len(acts) < FRAMES:
        drawn = every[int(rng.integers(len(every)))]
        if not acts or drawn != acts[-1]:
            acts.append(drawn)
    return tuple(acts)
