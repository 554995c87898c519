"""Items shown in pictures: people like what stands in front, and most of a picture is something else.

An item is one vivid thing, a shape in a colour, before a cluttered ground of muted colours. Who takes which item is a
function of its shape, its colour and its popularity; the backdrop is drawn apart and decides nothing. A picture is a
grid of parts with a few numbers each, and the item's image vector is their mean, so that mostly it tells the backdrop.
Which pixels show the thing is known. Titles name the shape, among words that mean nothing, and never the colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.parts import Grid, ItemParts, standardised_parts
from bench.data.readers.rankings import Rows, ranking_content
from bench.data.types import Modality, ModalityInfo
from bench.data.worlds.scenes.description import Objects, Scenes, plain
from bench.data.worlds.scenes.draws import between, pick, shuffled, uniforms
from bench.data.worlds.scenes.forms import form_index
from bench.data.worlds.scenes.parts import PART_DIM, part_features
from bench.data.worlds.scenes.render import owners, render
from bench.data.worlds.scenes.store import GENERATOR_VERSION, stored
from bench.data.worlds.scenes.vocabulary import COLOUR_RGB, SHAPE_FORMS, SHAPE_SCALE, SHAPES

if TYPE_CHECKING:
    from bench.data.content import Content, Request
    from bench.data.dataset import Dataset

WORLD_VERSION = 1
SEED = 21_070
SIDE, GRID = 64, Grid(8, 8)
BACKDROPS, CLUTTER = 12, 16
DEGREES = (8, 22)
"""Fewest and most items of a user."""
WORDS, TITLE_WORDS, TEXT_DIM = 60, 2, 32
_SYLLABLES = ("ba", "do", "fi", "ga", "ke", "lu", "mo", "na", "po", "ri")
_MUTED = 0.35
"""Saturation of backdrops, where things have about 0.8."""
_CLUTTER_FORMS = form_index("square", "circle", "triangle", "half")
_USERS_PER_BLOCK = 512


class Looks(NamedTuple):
    """What the items of a world are.

    Attributes:
        shape: (n,) index into `SHAPES`.
        colour: (n,) index into the colours.
        popularity: (n,) standard normal.
        backdrop: (n,) kind of backdrop; nobody's taste depends on it.
        words: (n, TITLE_WORDS) words of the title that mean nothing.
        scenes: The pictures; the last object is the thing.
    """

    shape: np.ndarray
    colour: np.ndarray
    popularity: np.ndarray
    backdrop: np.ndarray
    words: np.ndarray
    scenes: Scenes


def draw_looks(index: np.ndarray) -> Looks:
    """Draws the items `index`."""
    draws = uniforms(SEED, "items", index, (9,)).T
    shape, colour = pick(len(SHAPES), draws[0]), pick(len(COLOUR_RGB), draws[1])
    backdrop = pick(BACKDROPS, draws[2])
    # A sum of twelve uniform numbers less 6 is near enough to a normal one, and rounds alike everywhere.
    popularity = uniforms(SEED, "items/popularity", index, (12,)).sum(axis=1) - 6.0
    words = shuffled(WORDS, uniforms(SEED, "items/words", index, (WORDS,)))[:, :TITLE_WORDS]
    ground, colours, forms = _backdrops()
    n = len(index)
    clutter = uniforms(SEED, "items/clutter", index, (CLUTTER, 6))
    which = pick(colours.shape[1], clutter[..., 0])
    x, y = between(0.25, 0.75, draws[3]), between(0.25, 0.75, draws[4])
    size = between(0.15, 0.22, draws[5]) * SHAPE_SCALE[shape]

    def joined(behind: np.ndarray, thing: np.ndarray) -> np.ndarray:
        return np.concatenate([behind, thing[:, None]], axis=1)

    objects = Objects(
        present=np.ones((n, CLUTTER + 1), dtype=bool),
        form=joined(forms[backdrop[:, None], which], SHAPE_FORMS[shape]),
        rgb=joined(colours[backdrop[:, None], which], COLOUR_RGB[colour]),
        x=joined(clutter[..., 1], x),
        y=joined(clutter[..., 2], y),
        size=joined(between(0.05, 0.14, clutter[..., 3]), size),
        rotation=joined(clutter[..., 4] * 2 * np.pi, between(-0.3, 0.3, draws[6])),
        aspect=joined(between(0.5, 1.0, clutter[..., 5]), np.ones(n)),
    )
    return Looks(shape, colour, popularity, backdrop, words, plain(objects, ground[backdrop]))


def _backdrops() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns ground colours (B, 3), clutter colours (B, 3, 3) and clutter forms (B, 3) of the kinds of backdrop."""
    draws = uniforms(SEED, "items/backdrops", np.arange(BACKDROPS), (4, 4))
    hue, value = draws[..., 0] * 6.0, between(0.25, 0.9, draws[..., 1])
    # Corners of the colour circle, as HSV has them, drawn towards grey.
    channel = np.stack([np.abs(hue - 3.0) - 1.0, 2.0 - np.abs(hue - 2.0), 2.0 - np.abs(hue - 4.0)], axis=-1)
    rgb = value[..., None] * (1.0 - _MUTED + _MUTED * np.clip(channel, 0.0, 1.0))
    return rgb[:, 0], rgb[:, 1:], _CLUTTER_FORMS[pick(len(_CLUTTER_FORMS), draws[:, 1:, 2])]


def draw_rows(users: int, looks: Looks) -> Rows:
    """Draws who took what: the items of highest utility for each user, under Gumbel noise.

    Utility is taste for the colour (standard deviation 2) and for the shape (1.2) and half the popularity.
    """
    found: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    most = min(DEGREES[1], len(looks.shape) // 3)
    for start in range(0, users, _USERS_PER_BLOCK):
        index = np.arange(start, min(users, start + _USERS_PER_BLOCK))
        colour = _normal(uniforms(SEED, "items/taste/colour", index, (len(COLOUR_RGB), 12)))
        shape = _normal(uniforms(SEED, "items/taste/shape", index, (len(SHAPES), 12)))
        noise = uniforms(SEED, "items/choice", index, (len(looks.shape),))
        utility = 2.0 * colour[:, looks.colour] + 1.2 * shape[:, looks.shape] + 0.5 * looks.popularity
        utility = utility - np.log(-np.log(np.clip(noise, 1e-12, 1 - 1e-12)))
        degree = DEGREES[0] + pick(DEGREES[1] - DEGREES[0] + 1, uniforms(SEED, "items/degrees", index))
        degree = np.minimum(degree, most)
        order = np.argsort(-utility, axis=1, kind="stable")[:, :most]
        found.append(order[np.arange(most) < degree[:, None]])
        counts.append(degree)
    rows = np.repeat(np.arange(users), np.concatenate(counts))
    return Rows(rows.astype(np.int32), np.concatenate(found).astype(np.int32))


def _normal(uniform: np.ndarray) -> np.ndarray:
    return np.asarray(uniform.sum(axis=-1) - 6.0)


def word(number: int) -> str:
    """Returns a word that means nothing."""
    return _SYLLABLES[number // len(_SYLLABLES)] + _SYLLABLES[number % len(_SYLLABLES)]


def titles(looks: Looks) -> list[str]:
    """Returns e.g. `fiba star luke`: the shape between words that mean nothing."""
    return [
        f"{word(int(first))} {SHAPES[shape]} {word(int(second))}"
        for shape, (first, second) in zip(looks.shape.tolist(), looks.words, strict=True)
    ]


def text_vectors(looks: Looks) -> np.ndarray:
    """Returns (n, TEXT_DIM) float32 vectors of length 1: a fixed random projection of the words of the titles."""
    vocabulary = len(SHAPES) + WORDS
    codes = uniforms(SEED, "items/codes", np.arange(vocabulary), (TEXT_DIM, 12)).sum(axis=-1) - 6.0
    summed = codes[looks.shape] + codes[len(SHAPES) + looks.words].sum(axis=1)
    return np.asarray((summed / np.linalg.norm(summed, axis=1, keepdims=True)).astype(np.float32))


def raw_parts(items: int, request: Request | None = None) -> np.ndarray:
    """Returns the (items, parts, PART_DIM) float32 numbers of the pictures' parts, drawn once."""

    def draw(rows: np.ndarray) -> np.ndarray:
        return part_features(render(draw_looks(rows).scenes, SIDE), GRID)

    def progress(done: int, total: int) -> None:
        if request is not None:
            request.progress(f"{request.id}: pictures", done, total)

    shape = (GRID.rows * GRID.columns, PART_DIM)
    key = f"items/{WORLD_VERSION}/{SEED}/{SIDE}/{GRID.rows}x{GRID.columns}"
    return stored(key, items, shape, draw, dtype=np.float32, per_block=128, progress=progress)


def foreground(items: int) -> np.ndarray:
    """Returns (items, parts): the share of each part's pixels in which the thing is seen."""
    seen = owners(draw_looks(np.arange(items)).scenes, SIDE) == CLUTTER
    rows, columns = SIDE // GRID.rows, SIDE // GRID.columns
    cells = seen.reshape(items, GRID.rows, rows, GRID.columns, columns).mean(axis=(2, 4))
    return np.asarray(cells.reshape(items, -1))


def read(request: Request) -> Content:
    """Draws the world of a size: the card's users and items times the scale."""
    sizes = request.card.sizes
    users, items = max(60, round(sizes["users"] * request.scale)), max(60, round(sizes["items"] * request.scale))
    looks = draw_looks(np.arange(items))
    infos = {"image": ModalityInfo("features", PART_DIM, None), "text": ModalityInfo("features", TEXT_DIM, None)}

    def load() -> dict[str, Modality]:
        made = standardised_parts(raw_parts(items, request), np.ones(items, dtype=bool))
        return {
            "image": Modality(infos["image"], made.mean(axis=1)),
            "text": Modality(infos["text"], text_vectors(looks)),
        }

    identity = {"generator": GENERATOR_VERSION, "world": "items", "version": WORLD_VERSION, "seed": SEED, "side": SIDE}
    return ranking_content(request, draw_rows(users, looks), identity, infos, load, n_items=items)


def parts(dataset: Dataset) -> ItemParts:
    """Returns the items' pictures in parts, with the share of each that shows the thing."""
    items = dataset.sizes["items"]
    looks = draw_looks(np.arange(items))
    pictured = np.ones(items, dtype=bool)
    return ItemParts(
        modality="image",
        features=standardised_parts(raw_parts(items), pictured),
        grid=GRID,
        pictured=pictured,
        pictures=lambda chosen: render(draw_looks(chosen).scenes, SIDE),
        titles=titles(looks),
        foreground=foreground(items),
    )


def sheet(count: int, scale: float) -> list[tuple[np.ndarray, str]]:
    """Returns the pictures of the first items with their titles, for `bench data sheet`; the scale changes none."""
    looks = draw_looks(np.arange(count))
    return list(zip(render(looks.scenes, SIDE), titles(looks), strict=True))
