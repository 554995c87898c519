"""MicroLens as published: pairs and titles as CSV, item vectors as .npy arrays whose row i is item i + 1.

Layout as the authors' page and code show it (westlake-repl/MicroLens, `README.md` and `Data Processing/`):
`MicroLens-100k_pairs.csv` (a header, then user, item, timestamp in milliseconds), `MicroLens-100k_title_en.csv` (no
header: item, title, which may hold commas) and `extracted_modality_features/MicroLens-100k_*_features_*.npy`. Item ids
count from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from bench.data.files import derived_array, file_digest
from bench.data.formats import check_features, map_features
from bench.data.readers.rankings import Rows, ranking_content
from bench.data.readers.sequences import sequence_content
from bench.data.sequential import Histories
from bench.data.types import Modality, ModalityInfo
from bench.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.data.content import Content, Request

READER_VERSION = 1
COLUMNS = ("user", "item", "timestamp")
FEATURE_FOLDER = "extracted_modality_features"
_LARGEST_ID = 2**31 - 2


class Pairs(NamedTuple):
    """Interactions in the order of user, time and item.

    Attributes:
        users: (n,) int32, from 0 in the order of the published ids.
        items: (n,) int32, published ids less 1.
        times: (n,) int64 milliseconds.
        repeats: Rows left out because all three columns repeat an earlier row.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    repeats: int


class _Found(NamedTuple):
    """What lies in a folder."""

    pairs: Pairs
    n_items: int
    features: Mapping[str, Path]
    identity: dict[str, str | int]


def read_sequences(request: Request) -> Content:
    """Reads each user's interactions by time, the last `options.keep_last` of them, as the authors' code keeps them.

    Frames (`options.frames`: an .npy array (items, frames, values), of which the authors publish none) are read where
    they lie in the folder.

    Raises:
        DataError: A file is missing, malformed or damaged, or the files disagree about the number of items; names the
            file and the line.
    """
    found = _find(request)
    keep = int(request.card.options["keep_last"])
    users, items = found.pairs.users, found.pairs.items
    counts = np.bincount(users)
    from_end = np.cumsum(counts)[users] - 1 - np.arange(len(users))
    kept = from_end < keep
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, keep))]).astype(np.int64)
    modalities = {name: _frames(path, found.n_items) for name, path in found.features.items()}
    content = sequence_content(
        request, Histories(offsets, items[kept]), found.identity, modalities, n_items=found.n_items
    )
    content.notes["repeated_rows_left_out"] = found.pairs.repeats
    content.notes["rows_before_the_last_ones"] = int(np.count_nonzero(~kept))
    return content


def read_pairs_of_content(request: Request) -> Content:
    """Reads interactions as rows of users and items, each pair once (the earliest), with the published item vectors.

    Raises:
        DataError: See `read_sequences`.
    """
    found = _find(request)
    codes = found.pairs.users.astype(np.int64) << 32 | found.pairs.items
    first = np.sort(np.unique(codes, return_index=True)[1])
    rows = Rows(found.pairs.users[first], found.pairs.items[first], found.pairs.times[first] // 1000)
    mapped = {name: map_features(path) for name, path in found.features.items()}
    for name, path in found.features.items():
        check_features(path, mapped[name], found.n_items, why="one past the largest item of pairs and titles")
    infos = {name: ModalityInfo("features", int(array.shape[1]), None) for name, array in mapped.items()}

    def load() -> dict[str, Modality]:
        return {name: Modality(infos[name], _as_float32(found.features[name], raw)) for name, raw in mapped.items()}

    content = ranking_content(request, rows, found.identity, infos, load, n_items=found.n_items)
    content.notes["repeated_rows_left_out"] = found.pairs.repeats + len(codes) - len(first)
    return content


def _find(request: Request) -> _Found:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    folder, options = request.folder, request.card.options
    path, titles = folder / options["pairs"], folder / options["titles"]
    pairs = read_pairs(path)
    identity: dict[str, str | int] = {"pairs": file_digest(path), "reader": READER_VERSION}
    n_items = int(pairs.items.max()) + 1
    if titles.is_file():
        # The text is not read by any method, but a video nobody took is listed here alone.
        n_items = max(n_items, max(read_titles(titles)))
        identity["titles"] = file_digest(titles)
    features: dict[str, Path] = {}
    for name, file in options["features"].items():
        lies = [place for place in (folder / FEATURE_FOLDER / file, folder / file) if place.is_file()]
        if lies:
            features[name] = lies[0]
            identity[name] = file_digest(lies[0])
    return _Found(pairs, n_items, features, identity)


def read_pairs(path: Path) -> Pairs:
    """Reads the file of interactions.

    Raises:
        DataError: It is missing, has no such columns or no rows, or a line holds no whole numbers; names the line.
    """
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {str(error).splitlines()[0].rstrip('.')}.") from error
    frame = frame.rename({name: name.strip().removeprefix("\ufeff") for name in frame.columns})
    for name in COLUMNS:
        if name not in frame.columns:
            near = did_you_mean(name, frame.columns)
            raise DataError(
                f"{path}, line 1: there must be the columns {', '.join(COLUMNS)}, but there are "
                f"{', '.join(frame.columns)}.{near}"
            )
    if not len(frame):
        raise DataError(f"{path} holds no rows.")
    least = {"user": 0, "item": 1, "timestamp": 0}
    columns = {name: _whole(path, frame[name], least[name]) for name in COLUMNS}
    table = pl.DataFrame(columns).unique(maintain_order=True).sort(*("user", "timestamp", "item"))
    users = np.unique(table["user"].to_numpy(), return_inverse=True)[1]
    items = table["item"].to_numpy() - 1
    times = table["timestamp"].to_numpy()
    return Pairs(users.astype(np.int32), items.astype(np.int32), times, len(frame) - len(table))


def _whole(path: Path, column: pl.Series, least: int) -> np.ndarray:
    numbers = column.str.strip_chars().cast(pl.Int64, strict=False)
    bad = numbers.is_null() | (numbers < least)
    if column.name != "timestamp":
        bad = bad | (numbers > _LARGEST_ID)
    if bad.any():
        row = int(bad.arg_true()[0])
        value = column[row]
        shown = "nothing" if value is None else repr(value)
        others = int(bad.sum()) - 1
        more = f" {others:,} more lines have the same fault." if others else ""
        raise DataError(
            f"{path}, line {row + 2}: {column.name!r} must be a whole number from {least}, but it is {shown}.{more}"
        )
    return np.asarray(numbers.to_numpy())


def read_titles(path: Path) -> dict[int, str]:
    """Reads the titles: lines of item, title without a header; a title may hold commas and may be empty.

    Raises:
        DataError: The file is empty or no UTF-8, a line has no item id from 1, or an item occurs twice; names the line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.") from error
    titles: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item, comma, title = line.partition(",")
        if not comma or not item.strip().isdigit() or not 1 <= int(item) <= _LARGEST_ID:
            raise DataError(f"{path}, line {number}: a line must be an item id from 1, a comma and a title: {line!r}.")
        if int(item) in titles:
            raise DataError(f"{path}, line {number}: item {int(item)} has a title already.")
        titles[int(item)] = title.strip().strip('"')
    if not titles:
        raise DataError(f"{path} holds no titles.")
    return titles


def _frames(path: Path, n_items: int) -> Modality:
    try:
        raw: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a plain .npy array: {error}") from error
    if raw.ndim != 3 or raw.dtype.kind != "f" or len(raw) != n_items:
        raise DataError(
            f"{path} must hold floats ({n_items:,} items, frames, values), but holds {raw.shape} of {raw.dtype}."
        )
    check_features(path, raw.reshape(n_items, -1), n_items, why="one past the largest item of pairs and titles")
    return Modality(ModalityInfo("clips", int(raw.shape[2]), None), _as_float32(path, raw))


def _as_float32(path: Path, raw: np.ndarray) -> np.ndarray:
    if raw.dtype == np.float32:
        return raw
    key = f"microlens {file_digest(path)} float32 v{READER_VERSION}"
    return derived_array(key, raw.shape, lambda target: np.save(target, raw.astype(np.float32)))
