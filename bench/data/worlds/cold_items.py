"""The generated world of `baby-twin` as cold-start data: images tell what an item is, its words are privileged.

Words name the leaf category of an item and its branch, among common ones; tastes follow leaf categories. An image
vector shows most of the content factors, mixed with as much that nobody's taste depends on. So words seen in training
tell which directions of the images matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.cold_splits import split_cold_items
from bench.data.files import derived_array
from bench.data.readers.cold_start import cold_start_content, protocol_of, words_of
from bench.data.types import Modality, ModalityInfo
from bench.data.worlds.behaviour import draw_rows
from bench.data.worlds.content import describe_items, write_features
from bench.data.worlds.latents import GENERATOR_VERSION, WorldSpec, draw_latents

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content, Request

IMAGE_DIM = 512
MIN_ITEMS = 5
"""Fewest warm items of a word of the vocabulary."""


def read(request: Request) -> Content:
    """Draws the world of a size: the card's users, items and rows times the scale."""
    users, items, rows = (round(request.card.sizes[name] * request.scale) for name in ("users", "items", "rows"))
    world = WorldSpec(request.card.name, users, items, rows, image_dim=IMAGE_DIM, text_dim=1)
    latents = draw_latents(world)
    made = f"cold items v{GENERATOR_VERSION} seed {world.seed} {users} {items} {rows}"

    def draw(target: Path) -> None:
        drawn_rows = draw_rows(world, latents, lambda done, total: request.progress(request.id, done, total))
        np.save(target, np.stack([drawn_rows.users, drawn_rows.items]).astype(np.int32))

    def load() -> dict[str, Modality]:
        def write(target: Path) -> None:
            write_features(world, latents, "image", target, lambda done, total: None)

        return {"image": Modality(info, derived_array(f"{made} image {IMAGE_DIM}", (items, IMAGE_DIM), write))}

    info = ModalityInfo("features", IMAGE_DIM, None)
    pairs = np.array(derived_array(f"{made} rows", (2, rows), draw, dtype=np.int32))
    protocol = protocol_of(request)
    split = split_cold_items(pairs[0], pairs[1], items, seed=protocol.split_seed)
    return cold_start_content(
        request,
        pairs[0],
        pairs[1],
        split,
        n_users=users,
        origin=f"drawn by item from all rows, seed {protocol.split_seed}",
        identity={"world": made, "image": IMAGE_DIM, "words": MIN_ITEMS},
        content={"image": info},
        load=load,
        annotations=words_of(describe_items(world, latents)["words"].to_list(), split, min_items=MIN_ITEMS),
    )
