"""Items whose vector is the mean over the parts of a picture: what attribution needs besides a method.

A card whose items have such pictures names the function that makes an `ItemParts` of an open dataset in its `options`,
as `parts: module:function`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.card import ContentCard
from bench.data.registry import DATASETS
from bench.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.data.dataset import Dataset

_TOLERANCE = 1e-4
"""How far a stored item vector may be from the mean of its parts: both are float32."""


class Grid(NamedTuple):
    """How the parts of a picture lie, row by row from the top left."""

    rows: int
    columns: int


class ItemParts(NamedTuple):
    """Pictures of items in parts.

    Attributes:
        modality: The modality whose (items, dim) vectors are the means over parts.
        features: (items, parts, dim) float32.
        grid: How the parts lie.
        pictured: (items,) bool: items without a picture have parts without meaning.
        pictures: From (n,) item ids to (n, height, width, 3) uint8 pictures.
        titles: A title for each item.
        foreground: (items, parts) share of each part in [0, 1] that shows what the item is about; None where nobody
            knows.
    """

    modality: str
    features: np.ndarray
    grid: Grid
    pictured: np.ndarray
    pictures: Callable[[np.ndarray], np.ndarray]
    titles: Sequence[str]
    foreground: np.ndarray | None = None


def item_parts(dataset: Dataset) -> ItemParts:
    """Returns the pictures of a dataset's items in parts.

    Raises:
        UserError: Its items have no picture in parts; lists the datasets whose items have.
        DataError: The item vectors are not the means of the parts.
    """
    found = _source(dataset.card)
    if found is None:
        known = ", ".join(name for name, card in DATASETS.items() if _source(card) is not None)
        raise UserError(
            f"the items of dataset {dataset.id!r} have no picture in parts.", hint=f"Those of {known or 'none'} have."
        )
    module, _, function = found.partition(":")
    made: ItemParts = getattr(importlib.import_module(module), function)(dataset)
    vectors = dataset.training().modalities[made.modality].features
    if made.features.shape[1] != made.grid.rows * made.grid.columns:
        raise DataError(f"{dataset.id}: {made.features.shape[1]} parts do not fill a grid of {made.grid}.")
    if not np.allclose(made.features.mean(axis=1), vectors, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise DataError(f"{dataset.id}: the vectors of modality {made.modality!r} are not the means of the parts.")
    return made


def _source(card: object) -> str | None:
    return str(card.options["parts"]) if isinstance(card, ContentCard) and "parts" in card.options else None


def standardised_parts(parts: np.ndarray, pictured: np.ndarray) -> np.ndarray:
    """Returns parts such that item vectors, their means over parts, have mean 0 and standard deviation 1 per column.

    Shift and scale are those of the items with a picture; those without get zeros, which is the mean item. A column
    that is the same for every item becomes 0.

    Args:
        parts: (items, parts, dim).
        pictured: (items,) bool.

    Returns:
        (items, parts, dim) float32.
    """
    pooled = parts[pictured].astype(np.float64).mean(axis=1)
    shift, deviation = pooled.mean(axis=0), pooled.std(axis=0)
    scale = np.where(deviation > 1e-6 * np.maximum(1.0, np.abs(shift)), deviation, np.inf)
    made: np.ndarray = ((parts - shift) / scale).astype(np.float32)
    made[~pictured] = 0.0
    return made
