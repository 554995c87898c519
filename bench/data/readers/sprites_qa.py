"""sprites-qa: characters put together from the sheets in `sprites_sheets.zip`, with generated questions.

Characters are those of the Sprites data set (Li and Mandt, ICML 2018, `random_character.py`): six bodies, trousers,
tops and hair styles each, the same shoes, on black; 8 frames of 64 px for each of three actions in three directions. A
video here is one character that does one thing and then another: 16 frames, 8 clips of 2. Questions are asked from what
was put together, so their answers are exact.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from bench.data.features.cells import CELL_DIM, CELLS_VERSION, change, describe, standardised
from bench.data.features.frames import Frames, Watched
from bench.data.files import array_writer, derived_array, file_digest
from bench.data.readers.hcrn_features import stored_visuals
from bench.data.readers.images import zip_reader
from bench.data.readers.questions import PARTS, QuestionRow, Visuals, grouped, vqa_content
from bench.data.vqa import Clips
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.data.content import Content, Request

ZIP = "sprites_sheets.zip"
SIDE, SHEET_COLUMNS = 64, 13
LAYERS = ("body", "bottomwear", "topwear", "hair")
"""In the order they are painted; shoes come last."""
SHOES = "shoes/1.png"
LOOKS = {
    "body": ("light", "tan", "grey", "lavender", "brown", "dark"),
    "bottomwear": ("white", "gold", "red", "silver", "teal", "green"),
    "topwear": ("maroon", "blue", "white", "silver", "brown", "suit"),
    "hair": ("green", "blue", "orange", "white", "red", "purple"),
}
"""What the variants 0 to 5 of each layer are called here."""
ACTIONS = ("walk", "cast", "slash")
DIRECTIONS = ("front", "left", "right")
FRAME_PLACES = {
    "walk": ((130, 117, 143), (8, 1, 2, 3, 4, 5, 6, 7)),
    "cast": ((26, 13, 39), (0, 1, 2, 3, 4, 5, 4, 6)),
    "slash": ((182, 169, 195), (0, 1, 2, 3, 4, 5, 4, 0)),
}
"""First cell of each direction on the sheet, and the cells of the 8 frames counted from there."""
DOING = {"walk": "walking", "cast": "casting a spell", "slash": "slashing"}
TYPES = ("action", "direction", "order", "hair", "top", "trousers", "skin", "exist")
VIDEOS = {"train": 600, "valid": 150, "test": 300}
CLIPS, CLIP_FRAMES, PER_VIDEO = 8, 2, 4
GRID = (4, 2)
APPEARANCE_DIM = GRID[0] * GRID[1] * CELL_DIM
MOTION_DIM = GRID[0] * GRID[1] * (CELL_DIM + 1)
SEED = "sprites-qa 1"
_FEATURES_VERSION = 1
_CHARACTERS = 6**4
_ANSWERED_BY = {"hair": "hair", "top": "topwear", "trousers": "bottomwear", "skin": "body"}
_ASKED = {
    "hair": "what colour is the hair of the character",
    "top": "what does the character wear above its trousers",
    "trousers": "what colour are the trousers of the character",
    "skin": "what colour is the skin of the character",
}


class Scene(NamedTuple):
    """One video.

    Attributes:
        id: Its name.
        looks: Variant of each of `LAYERS`.
        acts: The two (action, direction) it shows; the actions differ.
    """

    id: str
    looks: tuple[int, ...]
    acts: tuple[tuple[str, str], tuple[str, str]]


def read(request: Request) -> Content:
    """Puts videos together and asks about them.

    Raises:
        DataError: The zip or a sheet is damaged; names it.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = Path(request.folder) / ZIP
    scenes = draw_scenes()
    parts = {part: [row for scene in found for row in ask(scene)] for part, found in scenes.items()}
    by_id = {scene.id: scene for found in scenes.values() for scene in found}
    return vqa_content(
        request,
        parts,
        stored_visuals(request) or sprite_visuals(path, request, by_id, [scene.id for scene in scenes["train"]]),
        types=TYPES,
        identity={"zip": file_digest(path), "seed": SEED},
        notes={"questions": "generated from the attributes of the sprites"},
    )


def draw_scenes() -> dict[str, list[Scene]]:
    """Draws the videos of each part: every character has at most one, so none is in two parts."""
    characters = grouped(
        (f"{index:04d}" for index in range(_CHARACTERS)),
        seed=SEED,
        shares={**{part: VIDEOS[part] / _CHARACTERS for part in PARTS}, "unused": 1.0},
    )
    scenes: dict[str, list[Scene]] = {}
    for part in PARTS:
        scenes[part] = []
        for name in characters[part]:
            rest = int(name)
            looks = (rest // 216, rest // 36 % 6, rest // 6 % 6, rest % 6)
            rng = _rng("acts", name)
            actions = rng.permutation(len(ACTIONS))[:2]
            towards = rng.integers(len(DIRECTIONS), size=2)
            first, second = (
                (ACTIONS[action], DIRECTIONS[direction])
                for action, direction in zip(actions.tolist(), towards.tolist(), strict=True)
            )
            scenes[part].append(Scene(f"sprite-{name}", looks, (first, second)))
    return scenes


def ask(scene: Scene) -> list[QuestionRow]:
    """Asks `PER_VIDEO` questions of distinct types about a video; answers follow from the scene alone."""
    rng = _rng("questions", scene.id)
    kinds = [TYPES[kind] for kind in rng.permutation(len(TYPES))[:PER_VIDEO].tolist()]
    rows = []
    for place, kind in enumerate(kinds):
        text, answer = _question(scene, kind, rng)
        rows.append(QuestionRow(f"{scene.id}, question {place}", f"{scene.id}-{place}", scene.id, text, answer, kind))
    return rows


def compose(path: Path, scenes: Sequence[Scene]) -> Iterator[np.ndarray]:
    """Yields the (8, 2, 64, 64, 3) uint8 clips of each scene.

    Raises:
        DataError: A sheet is missing or damaged; names it.
    """
    paint = painter(path)
    for scene in scenes:
        frames = [paint(scene.looks, cell) for act in scene.acts for cell in frame_cells(*act)]
        yield np.stack(frames).reshape(CLIPS, CLIP_FRAMES, SIDE, SIDE, 3)


def painter(path: Path) -> Callable[[Sequence[int], int], np.ndarray]:
    """Returns what paints a character, by the variant of each of `LAYERS`, at one cell as (64, 64, 3) uint8.

    Raises:
        DataError: A sheet is missing or damaged; names it.
    """
    with zip_reader(path) as member:
        sheets = {
            (layer, variant): _sheet(member, f"{layer}/{variant}.png", path)
            for layer in LAYERS
            for variant in range(len(LOOKS[layer]))
        }
        shoes = _sheet(member, SHOES, path)

    def paint(looks: Sequence[int], cell: int) -> np.ndarray:
        layers = [sheets[layer, look] for layer, look in zip(LAYERS, looks, strict=True)]
        return _frame([*layers, shoes], cell)

    return paint


def frame_cells(action: str, direction: str) -> list[int]:
    """Returns the cells of a sheet that an action's 8 frames are cut from, counted in reading order."""
    begin, order = FRAME_PLACES[action]
    return [begin[DIRECTIONS.index(direction)] + step for step in order]


def sprite_visuals(path: Path, request: Request, scenes: Mapping[str, Scene], train: Sequence[str]) -> Visuals:
    """Returns the built-in features, standardised with the mean and spread of each number over training videos."""
    version = [_FEATURES_VERSION, CELLS_VERSION, GRID]
    digest = file_digest(path)
    widths = (CLIPS * CLIP_FRAMES * APPEARANCE_DIM, CLIPS * MOTION_DIM)

    def raw(ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        def write(target: Path) -> None:
            with array_writer(target, (len(ids), sum(widths))) as append:
                for done, clips in enumerate(compose(path, [scenes[id_] for id_ in ids]), start=1):
                    seen = describe(clips.reshape(-1, SIDE, SIDE, 3), GRID)
                    moves = change(clips, seen.reshape(CLIPS, CLIP_FRAMES, *GRID, CELL_DIM))
                    append(np.concatenate([seen.reshape(1, -1), moves.reshape(1, -1)], axis=1))
                    request.progress(f"describing {request.id}", done, len(ids))

        names = hashlib.sha256(repr(list(ids)).encode()).hexdigest()
        both = derived_array(f"sprites {digest} {SEED} {version} {names}", (len(ids), sum(widths)), write)
        return (
            both[:, : widths[0]].reshape(len(ids), CLIPS, CLIP_FRAMES, APPEARANCE_DIM),
            both[:, widths[0] :].reshape(len(ids), CLIPS, MOTION_DIM),
        )

    def load(part: str, ids: Sequence[str]) -> Clips:
        appearance, motion = map(standardised, raw(ids), raw(train))
        return Clips(appearance, motion, np.array(ids))

    return Visuals(APPEARANCE_DIM, MOTION_DIM, "cells of frames, standardised", load, {"cells": version})


def frames(request: Request) -> Frames:
    """Returns the clips of every video, for a backbone."""
    assert request.folder is not None  # noqa: S101 - published data has a folder
    scenes = [scene for part in draw_scenes().values() for scene in part]
    return Frames([scene.id for scene in scenes], compose(Path(request.folder) / ZIP, scenes))


def watch(request: Request, about: str) -> Watched | None:
    """Returns the clips of one video; None where there is no such video."""
    assert request.folder is not None  # noqa: S101 - published data has a folder
    wanted = [scene for part in draw_scenes().values() for scene in part if scene.id == about]
    return Watched(next(compose(Path(request.folder) / ZIP, wanted))) if wanted else None


def _question(scene: Scene, kind: str, rng: np.random.Generator) -> tuple[str, str]:
    (first, towards_first), (second, towards_second) = scene.acts
    late = bool(rng.integers(2))
    if kind == "action":
        if rng.integers(2):
            return f"what does the character do {'after' if late else 'before'} {DOING[first if late else second]}", (
                second if late else first
            )
        return f"what does the character do {'last' if late else 'first'}", second if late else first
    if kind == "direction":
        doing, towards = (second, towards_second) if late else (first, towards_first)
        return f"which way does the character look while {DOING[doing]}", towards
    if kind == "order":
        pair = (first, second) if late else (second, first)
        return f"is the character {DOING[pair[0]]} before it is {DOING[pair[1]]}", "yes" if late else "no"
    if kind == "exist":
        layer = ("hair", "bottomwear")[int(rng.integers(2))]
        own = LOOKS[layer][scene.looks[LAYERS.index(layer)]]
        others = [name for name in LOOKS[layer] if name != own]
        told = own if late else others[int(rng.integers(len(others)))]
        thing = {"hair": "hair", "bottomwear": "trousers"}[layer]
        return f"is there a character with {told} {thing}", "yes" if late else "no"
    layer = _ANSWERED_BY[kind]
    return _ASKED[kind], LOOKS[layer][scene.looks[LAYERS.index(layer)]]


def _rng(*names: str) -> np.random.Generator:
    digest = hashlib.sha256(":".join((SEED, *names)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def _sheet(member: Callable[[str], bytes], name: str, path: Path) -> Image.Image:
    data = member(name)
    try:
        with Image.open(io.BytesIO(data)) as sheet:
            painted: Image.Image = sheet.convert("RGBA")
            return painted
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path}: image {name!r} cannot be decoded: {error}.",
            hint="The file is damaged: copy or download it again.",
        ) from error


def _frame(layers: Sequence[Image.Image], cell: int) -> np.ndarray:
    row, column = divmod(cell, SHEET_COLUMNS)
    box = (column * SIDE, row * SIDE, (column + 1) * SIDE, (row + 1) * SIDE)
    frame = Image.new("RGBA", (SIDE, SIDE), "black")
    for layer in layers:
        frame = Image.alpha_composite(frame, layer.crop(box))
    return np.asarray(frame.convert("RGB"), dtype=np.uint8)
