"""Makes a generated dataset on disk: whole or not at all, once, under the cache."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from bench.data.card import InteractionCard
from bench.data.files import atomic_folder, locked
from bench.data.paths import cached_data_folder
from bench.data.registry import DatasetId, resolve_dataset
from bench.data.worlds.behaviour import draw_rows
from bench.data.worlds.content import describe_items, write_features
from bench.data.worlds.latents import GENERATOR_VERSION, WorldSpec, draw_latents
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[str, int, int], None]

_FULL_WIDTH_FROM = 0.5
_NARROW = {"image": 512, "text": 128}
"""Widths below scale 0.5, so that a quick start does not spend its minute on vectors."""


def world_spec(dataset: DatasetId, card: InteractionCard) -> WorldSpec:
    """Returns what a generated dataset of a scale is made of: the card's sizes times the scale."""
    dims = {name: modality.dim for name, modality in card.modalities.items()}
    if dataset.scale < _FULL_WIDTH_FROM:
        dims = {name: min(dim, _NARROW[name]) for name, dim in dims.items()}
    return WorldSpec(
        name=card.name,
        users=round(card.sizes.users * dataset.scale),
        items=round(card.sizes.items * dataset.scale),
        rows=round(card.sizes.rows * dataset.scale),
        image_dim=dims["image"],
        text_dim=dims["text"],
    )


def make_dataset(id: str, *, force: bool = False, progress: Progress | None = None) -> Path:
    """Generates a dataset into the cache and returns its folder; one that is already there is kept.

    Args:
        id: `baby-twin` or `baby-twin@0.05`.
        force: Make it again even when it is there.
        progress: Called with (what, done, total).

    Raises:
        UserError: The dataset is not a generated one, or the scale is out of range.
        DataError: The disk is full or the cache cannot be written; nothing half-written stays.
    """
    dataset, card = resolve_dataset(id)
    if not card.generated:
        way_out = (
            f"Its twin can: `bench data make {card.twin}`." if card.twin else f"See `bench data info {card.name}`."
        )
        raise UserError(f"dataset {card.name!r} is real data and cannot be made.", hint=way_out)
    if not isinstance(card, InteractionCard):
        raise UserError(
            f"dataset {card.name!r} is generated when it is used and need not be made.",
            hint=f"See `bench data info {card.name}`.",
        )
    return ensure_world(dataset, card, force=force, progress=progress)


def ensure_world(
    dataset: DatasetId, card: InteractionCard, *, force: bool = False, progress: Progress | None = None
) -> Path:
    """Returns the folder of a generated dataset, making it first where it is missing or from an older generator."""
    folder = cached_data_folder(dataset)
    if not force and is_current(folder):
        return folder
    with locked(f"world {dataset}"):
        if force or not is_current(folder):
            with atomic_folder(folder) as temporary:
                _write(world_spec(dataset, card), dataset, temporary, progress or (lambda what, done, total: None))
    return folder


def is_current(folder: Path) -> bool:
    """Returns whether a folder holds a whole world of this version of the generator."""
    try:
        made = json.loads((folder / "world.json").read_bytes())
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "world.json"}
    except (OSError, ValueError):
        return False
    return isinstance(made, dict) and made.get("generator") == GENERATOR_VERSION and made.get("bytes") == sizes


def _write(world: WorldSpec, dataset: DatasetId, folder: Path, progress: Progress) -> None:
    latents = draw_latents(world)
    for modality in ("image", "text"):
        write_features(
            world,
            latents,
            modality,
            folder / f"{modality}_feat.npy",
            partial(progress, f"{dataset}: {modality} vectors"),
        )
    rows = draw_rows(world, latents, partial(progress, f"{dataset}: interactions"))
    frame = pl.DataFrame({"user": rows.users, "item": rows.items, "time": rows.times})
    frame.write_parquet(folder / "interactions.parquet", compression="zstd")
    describe_items(world, latents).write_parquet(folder / "items.parquet", compression="zstd")
    made = {
        "generator": GENERATOR_VERSION,
        "dataset": str(dataset),
        "seed": world.seed,
        "users": world.users,
        "items": world.items,
        "rows": world.rows,
        "bytes": {path.name: path.stat().st_size for path in folder.iterdir()},
    }
    (folder / "world.json").write_text(json.dumps(made, indent=1, sort_keys=True), encoding="utf-8")
