"""Who buys what in a generated world: rows drawn block by block from the hidden truth, then made 5-core."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.latents import CONTENT, Latents, WorldSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS_PER_BLOCK = 1 << 15
_CANDIDATES = 8
_CORE = 5
_WINDOW = (1_041_379_200, 1_406_073_600)
"""First and last moment of a timestamp: 2003-01-01 and 2014-07-23, the span of the 2014 Amazon reviews."""


class Rows(NamedTuple):
    """Interactions sorted by user, then time.

    Attributes:
        users: (rows,) int32.
        items: (rows,) int32.
        times: (rows,) int64 unix seconds at midnight.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray


def draw_rows(world: WorldSpec, latents: Latents, progress: Callable[[int, int], None]) -> Rows:
    """Draws all interactions: distinct items within a user, at least five users for every item.

    Every row is one of three kinds: drawn from one of the user's leaf categories (by popularity and taste), from one
    of the user's crowds (by popularity), or by popularity alone.

    Args:
        world: Sizes, shares, seed.
        latents: The hidden truth.
        progress: Called with (rows done, rows).
    """
    users = np.repeat(np.arange(world.users, dtype=np.int32), latents.degrees)
    items = np.empty(world.rows, dtype=np.int32)
    bounds = np.concatenate([[0], np.cumsum(latents.degrees)])
    first = 0
    while first < world.users:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + _ROWS_PER_BLOCK, side="right")) - 1)
        part = slice(int(bounds[first]), int(bounds[last]))
        items[part] = _draw_block(world, latents, users[part], world.rng("rows", first))
        first = last
        progress(int(bounds[first]), world.rows)
    _make_core(world, users, items)
    times = _times(world, users)
    return Rows(users, items, times)


def _draw_block(world: WorldSpec, latents: Latents, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    items = np.empty(len(users), dtype=np.int64)
    todo = np.arange(len(users))
    # Repeats within a user are drawn again; after some rounds by popularity alone, which no small leaf can exhaust.
    for attempt in range(40):
        kind = rng.random(len(todo)) if attempt < 8 else np.ones(len(todo))
        items[todo] = _propose(world, latents, users[todo], kind, rng)
        codes = users.astype(np.int64) * world.items + items
        order = np.argsort(codes, kind="stable")
        todo = np.sort(order[1:][codes[order][1:] == codes[order][:-1]])
        if not len(todo):
            return items
    for row in todo:
        free = np.setdiff1d(np.arange(world.items), items[users == users[row]])
        items[row] = free[rng.integers(0, len(free))]
    return items


def _propose(
    world: WorldSpec, latents: Latents, users: np.ndarray, kind: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    items = np.empty(len(users), dtype=np.int64)
    content = kind < world.by_content
    crowd = ~content & (kind < world.by_content + world.by_crowd)
    rest = ~content & ~crowd
    which = np.searchsorted([0.55, 0.8], rng.random(int(content.sum())), side="right")
    buyers = users[content]
    leaf = latents.user_leaves[buyers, which]
    candidates = latents.leaves.draw(leaf[:, None], rng.random((len(buyers), _CANDIDATES)))
    liking = np.einsum("rd,rcd->rc", latents.taste[buyers], latents.content[candidates]) / np.sqrt(CONTENT)
    gumbel = -np.log(-np.log(rng.random(liking.shape)))
    best = np.argmax(world.sharpness * liking + gumbel, axis=1)
    items[content] = candidates[np.arange(len(buyers)), best]
    buyers = users[crowd]
    chosen = latents.user_crowds[buyers, (rng.random(len(buyers)) < 0.3).astype(np.int64)]
    items[crowd] = latents.crowds.draw(chosen, rng.random(len(buyers)))
    cumulative = latents.leaves.cumulative
    found = np.searchsorted(cumulative, rng.random(int(rest.sum())) * cumulative[-1], side="right") - 1
    items[rest] = latents.leaves.order[np.clip(found, 0, world.items - 1)]
    return items


def _make_core(world: WorldSpec, users: np.ndarray, items: np.ndarray) -> None:
    """Moves rows of popular items to items with fewer than five users, in place; no user's degree changes."""
    rng = world.rng("core")
    degree = np.bincount(items, minlength=world.items)
    wanting = np.repeat(np.arange(world.items), np.maximum(_CORE - degree, 0))
    held = np.sort(users.astype(np.int64) * world.items + items)
    while len(wanting):
        row = rng.integers(0, len(users), len(wanting))
        row, unique = np.unique(row, return_index=True)
        item = wanting[unique]
        code = users[row].astype(np.int64) * world.items + item
        position = np.minimum(np.searchsorted(held, code), len(held) - 1)
        fits = (degree[items[row]] > 2 * _CORE) & (held[position] != code)
        row, item, code = row[fits], item[fits], code[fits]
        code, keep = np.unique(code, return_index=True)
        row, item = row[keep], item[keep]
        items[row] = item
        degree = np.bincount(items, minlength=world.items)
        held = np.sort(users.astype(np.int64) * world.items + items)
        wanting = np.repeat(np.arange(world.items), np.maximum(_CORE - degree, 0))


def _times(world: WorldSpec, users: np.ndarray) -> np.ndarray:
    """Draws days: a user arrives at some point of the window and buys at times spread over the rest of it."""
    rng = world.rng("times")
    low, high = (moment // 86_400 for moment in _WINDOW)
    arrival = low + (1.0 - rng.random(world.users) ** 2) * (high - low)
    day = arrival[users] + rng.random(len(users)) ** 2 * (high - arrival[users])
    order = np.lexsort((day, users))
    return np.asarray(day[order].astype(np.int64) * 86_400)
