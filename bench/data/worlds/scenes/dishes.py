"""Pictures of dishes whose ingredient lists tell more than the picture, and four conditions to see them under."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.classification import CLEAN, ClassificationData, LabelledImages, TrainingText
from bench.data.content import Content
from bench.data.types import ModalityInfo
from bench.data.worlds.scenes.conditions import CONDITIONS, conditioned
from bench.data.worlds.scenes.description import Objects, Scenes, plain
from bench.data.worlds.scenes.draws import between, pick, uniforms
from bench.data.worlds.scenes.forms import form_index
from bench.data.worlds.scenes.recipes import DISH_NAMES, INGREDIENT_NAMES, INGREDIENTS, probabilities
from bench.data.worlds.scenes.render import render
from bench.data.worlds.scenes.store import GENERATOR_VERSION, stored
from bench.data.worlds.scenes.words import PAD_WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.data.content import Request

SEED = 18_030
SIDE = 32
PARTS = ("train", "valid", "test")

MOST = 8
"""Most ingredients of a dish; a longer draw loses its least fitting ones."""
_SHOWN = 0.85
"""Probability that an ingredient that could be seen is on top and not below the others."""
_PIECES = 5
_PLATES = np.array([[0.80, 0.84, 0.90], [0.50, 0.62, 0.82], [0.62, 0.66, 0.66], [0.30, 0.34, 0.42]])
_TABLES = np.array([[0.45, 0.32, 0.22], [0.62, 0.60, 0.58], [0.20, 0.24, 0.30], [0.80, 0.74, 0.66]])
_SHADE = 0.05
"""How far the colour of an ingredient varies between pictures, each channel by itself."""

_LOOKS = list(INGREDIENTS.values())
_VISIBLE = np.array([look.pieces > 0 for look in _LOOKS])
_FORM = np.array([form_index(look.form)[0] if look.form else 0 for look in _LOOKS])
_RGB = np.array([look.rgb for look in _LOOKS])
_SIZE = np.array([look.size for look in _LOOKS])
_ASPECT = np.array([look.aspect for look in _LOOKS])
_COUNT = np.array([look.pieces for look in _LOOKS])


class Dishes(NamedTuple):
    """Dishes as they were cooked.

    Attributes:
        labels: (n,) index into `DISH_NAMES`.
        contents: (n, 32) bool: the ingredients, as in the list.
        shown: (n, 32) bool: those of which pieces lie on top.
        scenes: The plates in the ordinary view and light. Slot 0 is the plate.
    """

    labels: np.ndarray
    contents: np.ndarray
    shown: np.ndarray
    scenes: Scenes


def cook(part: str, index: np.ndarray) -> Dishes:
    """Draws the dishes `index` of a part. Labels go round, so that every class is equally frequent."""
    labels = index % len(DISH_NAMES)
    chance = probabilities()[labels]
    # Ingredients in the order of how clearly they passed their draw: at least two, at most `MOST` get in.
    excess = uniforms(SEED, f"dishes/{part}", index, (len(_LOOKS),)) / chance
    rank = np.argsort(np.argsort(excess, axis=1, kind="stable"), axis=1, kind="stable")
    contents = ((excess < 1.0) & (rank < MOST)) | (rank < 2)
    hidden = uniforms(SEED, f"dishes/{part}/shown", index, (len(_LOOKS),))
    # The ingredient that lies highest is seen in any case, so that no plate with something to see on it is bare.
    top = np.argmin(np.where(contents & _VISIBLE, hidden, 2.0), axis=1)
    shown = contents & _VISIBLE & ((hidden < _SHOWN) | (np.arange(len(_LOOKS)) == top[:, None]))
    return Dishes(labels, contents, shown, _plate(part, index, shown))


def _plate(part: str, index: np.ndarray, shown: np.ndarray) -> Scenes:
    """Lays the shown ingredients on plates, in a random order from the bottom to the top."""
    n = len(index)
    draws = uniforms(SEED, f"dishes/{part}/plate", index, (7,)).T
    order = np.where(shown, uniforms(SEED, f"dishes/{part}/order", index, (len(_LOOKS),)), 2.0)
    what = np.argsort(order, axis=1, kind="stable")[:, :MOST]
    there = np.take_along_axis(shown, what, axis=1)
    pieces = uniforms(SEED, f"dishes/{part}/pieces", index, (MOST, _PIECES, 5))
    count = 1 + (uniforms(SEED, f"dishes/{part}/counts", index, (MOST,)) * _COUNT[what]).astype(np.int64)
    shade = between(-_SHADE, _SHADE, uniforms(SEED, f"dishes/{part}/shades", index, (MOST, 3)))
    centre = 0.5 + between(-0.03, 0.03, np.stack([draws[0], draws[1]], axis=1))
    radius = between(0.40, 0.46, draws[2])
    far = np.sqrt(pieces[..., 0]) * (radius * 0.78)[:, None, None]
    angle = pieces[..., 1] * (2 * np.pi)
    shape = (n, MOST, _PIECES)

    def flat(values: np.ndarray, first: np.ndarray) -> np.ndarray:
        spread = np.broadcast_to(values, shape + values.shape[3:]).reshape(n, MOST * _PIECES, *values.shape[3:])
        return np.concatenate([first[:, None], spread], axis=1)

    colour = np.clip(_RGB[what] + shade, 0, 1)
    ones, zeros = np.ones(n), np.zeros(n)
    circle = np.full(n, form_index("circle")[0])
    objects = Objects(
        present=flat(there[..., None] & (np.arange(_PIECES) < count[..., None]), ones.astype(bool)),
        form=flat(_FORM[what][..., None], circle),
        rgb=flat(np.broadcast_to(colour[:, :, None, :], (*shape, 3)), _PLATES[pick(len(_PLATES), draws[3])]),
        x=flat(centre[:, :1, None] + far * np.cos(angle), centre[:, 0]),
        y=flat(centre[:, 1:, None] + far * np.sin(angle), centre[:, 1]),
        size=flat(_SIZE[what][..., None] * between(0.85, 1.15, pieces[..., 3]), radius),
        rotation=flat(pieces[..., 4] * (2 * np.pi), zeros),
        aspect=flat(_ASPECT[what][..., None], ones),
    )
    return plain(objects, _TABLES[pick(len(_TABLES), draws[4])])


def images(part: str, condition: str, n: int, progress: Callable[[int, int], None] | None = None) -> LabelledImages:
    """Draws the first `n` dishes of a part under a condition; the same index is the same plate under every one.

    Raises:
        DataError: The cache cannot be written.
    """

    def draw(rows: np.ndarray) -> np.ndarray:
        return render(conditioned(cook(part, rows).scenes, condition, SEED, f"dishes/{part}", rows), SIDE)

    pixels = stored(f"dishes/{SEED}/{part}/{condition}/{SIDE}", n, (SIDE, SIDE, 3), draw, progress=progress)
    labels = np.arange(n) % len(DISH_NAMES)
    return LabelledImages(pixels, labels, np.array([f"{part}-{row:06d}" for row in range(n)]))


def ingredient_lists(part: str, n: int) -> TrainingText:
    """Returns what went into the first `n` dishes of a part, seen or not."""
    contents = cook(part, np.arange(n)).contents
    length = contents.sum(axis=1)
    tokens = np.zeros((n, int(length.max(initial=1))), dtype=np.int32)
    rows, columns = np.nonzero(contents)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length)
    tokens[rows, place] = columns + 1
    return TrainingText(tokens, (PAD_WORD, *INGREDIENT_NAMES), "set", "image")


def read(request: Request) -> Content:
    """Draws the data set at the scale asked for."""
    sizes = {part: max(len(DISH_NAMES), round(request.card.counts[part] * request.scale)) for part in PARTS}

    def load(part: str, condition: str = CLEAN) -> LabelledImages:
        def progress(done: int, total: int) -> None:
            request.progress(f"{request.id} {part} {condition}", done, total)

        return images(part, condition, sizes[part], progress)

    def training(digest: str) -> ClassificationData:
        return ClassificationData(
            name=request.id,
            classes=DISH_NAMES,
            train=load("train"),
            valid=load("valid"),
            text=ingredient_lists("train", sizes["train"]),
            conditions=CONDITIONS,
            digest=digest,
        )

    def test() -> Mapping[str, LabelledImages]:
        return {condition: load("test", condition) for condition in CONDITIONS}

    return Content(
        identity={"generator": GENERATOR_VERSION, "world": "dishes", "seed": SEED, "side": SIDE, "sizes": sizes},
        modalities={
            "image": ModalityInfo("images", SIDE, None),
            "text": ModalityInfo("text", len(INGREDIENT_NAMES), None),
        },
        sizes={**sizes, "classes": len(DISH_NAMES)},
        training=training,
        test=test,
    )
