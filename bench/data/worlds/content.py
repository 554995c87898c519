"""What items look and read like in a generated world: feature files written block by block, and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.data.files import array_writer
from bench.data.worlds.latents import CONTENT, NUISANCE, Latents, WorldSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ROWS_PER_BLOCK = 512
_VISIBLE = {"image": slice(0, 3 * CONTENT // 4), "text": slice(CONTENT // 4, CONTENT)}
"""Which content factors a modality shows: half of them show in both, a quarter in each alone."""
_SYLLABLES = ("ba", "do", "fi", "ga", "ke", "lu", "mo", "na", "po", "ri", "su", "ta", "ve", "wi", "zo")


def write_features(
    world: WorldSpec, latents: Latents, modality: str, path: Path, progress: Callable[[int, int], None]
) -> None:
    """Writes one vector per item, a few hundred at a time.

    A vector is a fixed random projection of [visible content factors, nuisance factors] plus noise of its own. Image
    vectors are rectified like a CNN's, text vectors have length 1 like a sentence encoder's. Values are rounded to 11
    significant bits, so that another machine's last-bit differences in matrix products leave the files as they are.

    Args:
        world: Sizes, noise, seed.
        latents: The hidden truth.
        modality: `image` or `text`.
        path: Where the float32 .npy file goes.
        progress: Called with (items done, items).
    """
    dim, noise = (world.image_dim, world.image_noise) if modality == "image" else (world.text_dim, world.text_noise)
    visible = latents.content[:, _VISIBLE[modality]]
    rng = world.rng("projection", modality)
    width = visible.shape[1]
    show = rng.standard_normal((width, dim)) / np.sqrt(width)
    hide = rng.standard_normal((NUISANCE, dim)) / np.sqrt(NUISANCE)
    with array_writer(path, (world.items, dim)) as append:
        for start in range(0, world.items, _ROWS_PER_BLOCK):
            rng = world.rng("features", modality, start)
            block = visible[start : start + _ROWS_PER_BLOCK]
            nuisance = rng.standard_normal((len(block), NUISANCE))
            vectors = block @ show + noise * (nuisance @ hide)
            vectors += 0.5 * rng.standard_normal(vectors.shape, dtype=np.float32)
            if modality == "image":
                vectors = np.maximum(vectors, 0.0)
            else:
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            append(vectors.astype(np.float16))
            progress(start + len(block), world.items)


def describe_items(world: WorldSpec, latents: Latents) -> pl.DataFrame:
    """Returns item, branch, leaf, title and words for every item; words tell the leaf and branch, among common ones.

    Two items of one leaf share at least two words.
    """
    rng = world.rng("words")
    n_leaves = len(latents.leaves.start) - 1
    words = _vocabulary(n_leaves * 6 + n_leaves // latents.leaves_per_branch * 6 + 60)
    own, shared, common = words[: n_leaves * 6], words[n_leaves * 6 : -60], words[-60:]
    leaf = latents.leaves.of_item
    branch = leaf // latents.leaves_per_branch
    n = world.items
    chosen = np.concatenate(
        [
            own[(leaf * 6)[:, None] + np.argsort(rng.random((n, 6)), axis=1)[:, :4]],
            shared[(branch * 6)[:, None] + np.argsort(rng.random((n, 6)), axis=1)[:, :1]],
            common[rng.integers(0, 60, (n, 2))],
        ],
        axis=1,
    )
    lists = pl.Series("words", chosen.tolist(), dtype=pl.List(pl.String))
    return pl.DataFrame(
        {
            "item": np.arange(n, dtype=np.int32),
            "branch": branch.astype(np.int32),
            "leaf": leaf.astype(np.int32),
            "title": lists.list.join(" "),
            "words": lists,
        }
    )


def _vocabulary(count: int) -> np.ndarray:
    """Returns `count` distinct made-up words."""
    base = len(_SYLLABLES)
    words = []
    for index in range(base**2, base**2 + count):
        word, rest = "", index
        while rest:
            word, rest = word + _SYLLABLES[rest % base], rest // base
        words.append(word)
    return np.array(words)
