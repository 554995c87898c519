"""Features of clips on disk, in the HDF5 layout of HCRN and DualVGR.

`resnet_features` (v, N, F, A), `resnext_features` (v, N, M), each with `ids` (v,), numbers or text; in two files, or in
one (`features.h5`, which `bench data features` writes).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.atomic import replacing
from bench.data.files import derived_array, file_digest
from bench.data.vqa import Clips
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import h5py

APPEARANCE, MOTION, IDS = "resnet_features", "resnext_features", "ids"
FEATURES_FILE = "features.h5"
"""Lying in a dataset's folder, it is used in place of what the card names."""

_DIMENSIONS = {APPEARANCE: ("videos", "clips", "frames", "width"), MOTION: ("videos", "clips", "width")}


class FeatureTable(NamedTuple):
    """One kind of features in a file.

    Attributes:
        path: The file.
        key: `APPEARANCE` or `MOTION`.
        shape: Of the table; videos first.
        rows: Row of each video by its id.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    rows: Mapping[str, int]


class StoredFeatures(NamedTuple):
    """Both kinds of features of the same clips."""

    appearance: FeatureTable
    motion: FeatureTable

    @property
    def identity(self) -> dict[str, str]:
        """What the features are a function of."""
        return {"appearance": file_digest(self.appearance.path), "motion": file_digest(self.motion.path)}

    def load(self, ids: Sequence[str], what: str) -> Clips:
        """Returns the clips of some videos, copied once in their order and memory-mapped from the cache.

        Args:
            ids: Which, in order.
            what: Name of the part, for messages.

        Raises:
            DataError: A video has no features, or a value is not finite; names file and video.
        """
        return Clips(gather(self.appearance, ids, what), gather(self.motion, ids, what), np.array(ids))


def open_features(appearance: Path, motion: Path) -> StoredFeatures:
    """Reads shapes and ids.

    Raises:
        DataError: A file is missing or damaged, a table is missing or has another shape than it must, or the two
            disagree about the number of clips.
    """
    found = StoredFeatures(open_table(appearance, APPEARANCE), open_table(motion, MOTION))
    if found.appearance.shape[1] != found.motion.shape[1]:
        raise DataError(
            f"{appearance} has {found.appearance.shape[1]} clips a video, but {motion} has {found.motion.shape[1]}.",
            hint="Extract both kinds of features with the same number of clips.",
        )
    return found


def open_table(path: Path, key: str) -> FeatureTable:
    """Reads the shape and the ids of one kind of features.

    Raises:
        DataError: See `open_features`.
    """
    with _opened(path) as file:
        for name in (key, IDS):
            if name not in file:
                raise DataError(f"{path} holds no {name!r}; it has {', '.join(file) or 'nothing'}.")
        shape = tuple(int(side) for side in file[key].shape)
        if len(shape) != len(_DIMENSIONS[key]) or 0 in shape:
            wanted = ", ".join(_DIMENSIONS[key])
            raise DataError(f"{path}: {key!r} must have the shape ({wanted}), but has {shape}.")
        ids = [id_.decode() if isinstance(id_, bytes) else str(id_) for id_ in np.asarray(file[IDS][()]).ravel()]
    if len(ids) != shape[0]:
        raise DataError(f"{path}: {len(ids)} ids, but {shape[0]} rows of {key!r}.")
    rows = {id_: row for row, id_ in enumerate(ids)}
    if len(rows) != len(ids):
        twice = next(id_ for row, id_ in enumerate(ids) if rows[id_] != row)
        raise DataError(f"{path}: the id {twice!r} is there twice.")
    return FeatureTable(path, key, shape, rows)


def gather(table: FeatureTable, ids: Sequence[str], what: str) -> np.ndarray:
    """Returns (len(ids), ...) float32 rows in the order of `ids`, memory-mapped.

    Raises:
        DataError: See `StoredFeatures.load`.
    """
    missing = [id_ for id_ in ids if id_ not in table.rows]
    if missing:
        raise DataError(
            f"{table.path} has no features of {missing[0]!r}, which {what} asks about "
            f"({len(missing)} of {len(ids)} are missing).{did_you_mean(missing[0], table.rows)}",
            hint="Extract the features of all videos, or take their questions out of the annotation files.",
        )
    shape = (len(ids), *table.shape[1:])

    def build(target: Path) -> None:
        with _opened(table.path) as file, target.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
            source = file[table.key]
            for id_ in ids:
                values = np.asarray(source[table.rows[id_]], dtype="<f4")
                if not np.isfinite(values).all():
                    where = tuple(int(at[0]) for at in np.nonzero(~np.isfinite(values)))
                    raise DataError(
                        f"{table.path}: {table.key!r} of {id_!r} (row {table.rows[id_]}) is {values[where]} "
                        f"at {where}.",
                        hint="Features must be finite; extract this video again.",
                    )
                stream.write(values.data)

    order = hashlib.sha256("\0".join(ids).encode()).hexdigest()
    return derived_array(f"features {file_digest(table.path)} {table.key} {order}", shape, build)


def write_features(path: Path, rows: Iterable[tuple[str, np.ndarray, np.ndarray]], count: int) -> None:
    """Writes one file with both kinds of features; it appears whole or not at all.

    Args:
        path: The file; replaced when it exists.
        rows: (id, (N, F, A) appearance, (N, M) motion) of each video.
        count: How many there will be.

    Raises:
        DataError: The file cannot be written, or a video has another shape than the first or a value that is not
            finite.
    """
    import h5py

    try:
        with replacing(path) as temporary, h5py.File(temporary, "w") as file:
            ids: list[str] = []
            for row, (id_, appearance, motion) in enumerate(rows):
                for key, values in ((APPEARANCE, appearance), (MOTION, motion)):
                    if key not in file:
                        file.create_dataset(key, shape=(count, *values.shape), dtype="f4")
                    if file[key].shape[1:] != values.shape or not np.isfinite(values).all():
                        raise DataError(
                            f"features of {id_!r} cannot be written: shape {values.shape} and "
                            f"{'finite' if np.isfinite(values).all() else 'not finite'}, wanted {file[key].shape[1:]}."
                        )
                    file[key][row] = values
                ids.append(id_)
            if len(ids) != count:
                raise DataError(f"{path}: {count} videos were announced, but {len(ids)} came.")
            file.create_dataset(IDS, data=np.array(ids, dtype=h5py.string_dtype()))
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error}.") from error


def _opened(path: Path) -> h5py.File:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path} needs h5py, which is not installed.", hint="Run `pip install h5py`.") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"cannot read the features {str(path)!r}: {error}.") from error
