"""Item content: which files it lies in, what is done to it, and how it is handed over memory-mapped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data import spectral
from bench.data.files import array_writer, derived_array, file_digest, write_atomic
from bench.data.formats import check_features, map_features, read_neighbours
from bench.data.paths import cache_root
from bench.data.types import Modality, ModalityInfo
from bench.errors import DataError, DatasetUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.card import DatasetCard, Layout, ModalityCard

PREPROCESS_VERSION = 1
_ROWS_PER_BLOCK = 4096


@dataclass(frozen=True)
class ModalitySource:
    """A modality that was found and checked, and is not loaded yet.

    Attributes:
        info: Kind, width and derivation.
        path: The file it comes from.
        digest: sha256 of that file.
        preprocess: `none` or `standardise`.
        n_items: Number of items.
    """

    info: ModalityInfo
    path: Path
    digest: str
    preprocess: str
    n_items: int

    @property
    def identity(self) -> str:
        """What the vectors are a function of; part of the dataset's digest."""
        made = self.info.derived or f"raw float32 {self.preprocess}"
        return f"{self.info.kind} {self.digest} {made} v{PREPROCESS_VERSION}.{spectral.VERSION}"

    def load(self) -> Modality:
        """Returns the modality with memory-mapped float32 vectors.

        Raises:
            DataError: A file is damaged or the cache cannot be written.
        """
        if self.info.kind == "neighbours":
            neighbours = read_neighbours(self.path, self.n_items)
            shape = (self.n_items, self.info.dim)

            def embed(target: Path) -> None:
                np.save(target, spectral.spectral_embedding(neighbours, self.n_items))

            return Modality(self.info, derived_array(self.identity + str(shape), shape, embed), neighbours)
        raw = map_features(self.path)
        if raw.dtype == np.float32 and self.preprocess == "none":
            return Modality(self.info, raw)
        features = derived_array(self.identity, raw.shape, lambda target: _convert(raw, self.preprocess, target))
        return Modality(self.info, features)


def find_modality(
    folder: Path, layout: Layout, card: DatasetCard, name: str, *, n_items: int, why_items: str
) -> ModalitySource | None:
    """Looks for a modality's files in a dataset's folder and checks them; raw vectors win over neighbour rows.

    Args:
        folder: The dataset's folder.
        layout: Layout of the folder's interactions.
        card: The dataset's card.
        name: The modality.
        n_items: Number of items every file must cover.
        why_items: Where that number comes from, for messages.

    Returns:
        The source, or None when the folder has no file of it and the layout does not ship it.

    Raises:
        DatasetUnavailableError: The layout ships the modality and its files are missing.
        DataError: A file is damaged, has another number of rows, or holds NaN.
    """
    modality = card.modalities[name]
    for file_name in modality.features:
        path = folder / file_name
        if path.is_file():
            return _features(path, modality, n_items, why_items)
    if modality.neighbours is not None and (folder / modality.neighbours).is_file():
        path = folder / modality.neighbours
        read_neighbours(path, n_items)
        info = ModalityInfo("neighbours", spectral.spectral_dim(n_items), spectral.spectral_name(n_items))
        return ModalitySource(info, path, file_digest(path), "none", n_items)
    if layout in modality.required:
        wanted = [*modality.features, *([modality.neighbours] if modality.neighbours else [])]
        raise DatasetUnavailableError(
            f"dataset {card.name!r} in {folder} lacks its modality {name!r}: none of {', '.join(wanted)} is there.",
            hint=f"Put one of them beside the interactions, or see `bench data info {card.name}`.",
        )
    return None


def _features(path: Path, card: ModalityCard, n_items: int, why_items: str) -> ModalitySource:
    features = map_features(path)
    digest = file_digest(path)
    # Looking for NaN reads the whole file; a file found good once is good until its content changes.
    note = cache_root() / "checked" / f"{digest}.json"
    record = {"rows": n_items, "dim": int(features.shape[1])}
    try:
        known = json.loads(note.read_bytes()) == record
    except (OSError, ValueError):
        known = False
    if not known:
        check_features(path, features, n_items, why=why_items)
        write_atomic(note, json.dumps(record).encode())
    info = ModalityInfo("features", int(features.shape[1]), None)
    return ModalitySource(info, path, digest, card.preprocess, n_items)


def _convert(raw: np.ndarray, preprocess: str, target: Path) -> None:
    """Writes `raw` as float32, standardised per column on request, block by block."""
    rows, dim = raw.shape
    shift, scale = np.zeros(dim), np.ones(dim)
    starts = range(0, rows, _ROWS_PER_BLOCK)
    if preprocess == "standardise":
        total = sum((raw[s : s + _ROWS_PER_BLOCK].astype(np.float64).sum(axis=0) for s in starts), np.zeros(dim))
        shift = total / rows
        centred = (raw[s : s + _ROWS_PER_BLOCK].astype(np.float64) - shift for s in starts)
        squares = sum((np.square(block).sum(axis=0) for block in centred), np.zeros(dim))
        deviation = np.sqrt(squares / rows)
        # A constant column carries nothing: it becomes 0 instead of noise divided by noise.
        scale = np.where(deviation > 1e-6 * np.maximum(1.0, np.abs(shift)), deviation, np.inf)
    with array_writer(target, (rows, dim)) as append:
        for start in starts:
            block = (raw[start : start + _ROWS_PER_BLOCK].astype(np.float64) - shift) / scale
            if np.abs(block).max() > np.finfo(np.float32).max:
                raise DataError("a feature value does not fit float32.")
            append(block)
