"""The datasets of BeFA as its code reads them: `inter.csv` with repeated rows, and item vectors beside it.

Layout as the authors' configuration and `utils/dataset.py` show it (fqldom/BeFA at a0661a1): `inter.csv`,
comma-separated with a header, of which userID, itemID and x_label (0 train, 1 valid, 2 test) are read;
`image_feat.npy` and `text_feat.npy`, whose row i is item i. The code makes as many users and items as there are
distinct ids, so ids count from 0 without a gap. The same rows are read from `interactions.parquet` (user, item, split).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import file_digest
from bench.data.formats import read_inter, read_interactions
from bench.data.locate import BENCH_FILE
from bench.data.modalities import find_modality
from bench.data.readers.rankings import Rows, ranking_content
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.data.content import Content, Request
    from bench.data.formats import InteractionTable
    from bench.data.types import Modality

READER_VERSION = 1
INTER_FILE = "inter.csv"
FEWEST_PAIRS = 3
"""Pairs that leave a user one for training: MMRec's rule holds out the last for test and the one before."""


def read(request: Request) -> Content:
    """Reads rows and split as published, repeated rows in each part included.

    Raises:
        DataError: A file is missing, damaged or has no split, an id leaves a gap, or there is no vector for each item;
            names the file and the line.
    """
    path, table = _table(request)
    if table.labels is None:
        column = "x_label" if path.name == INTER_FILE else "split"
        raise DataError(
            f"{path} has no column {column!r}, which holds the published split.",
            hint=f"Take the file as published, or dataset {request.card.options['unique']!r}, whose split is drawn.",
        )
    pairs = len(np.unique(_codes(table)))
    content = _content(request, path, Rows(table.users, table.items, None, table.labels))
    content.notes["distinct_pairs"] = pairs
    content.notes["repeated_rows"] = len(table) - pairs
    return content


def read_unique(request: Request) -> Content:
    """Reads each pair of user and item once, of users with at least three; the published split is not used.

    Users are numbered anew in their order, items keep their numbers. The split is MMRec's per-user rule, drawn with the
    protocol's seed from the pairs in the order of user and item, so that the order of the file does not matter.

    Raises:
        DataError: See `read`, and no user has three pairs.
    """
    path, table = _table(request)
    width = int(table.items.max()) + 1
    users, items = np.divmod(np.unique(_codes(table)), width)
    counts = np.bincount(users)
    kept = counts[users] >= FEWEST_PAIRS
    if not kept.any():
        raise DataError(
            f"{path}: no user has {FEWEST_PAIRS} different items, so that nothing could be trained on and held out."
        )
    numbers = np.cumsum(counts >= FEWEST_PAIRS) - 1
    rows = Rows(numbers[users[kept]].astype(np.int32), items[kept].astype(np.int32))
    content = _content(request, path, rows, n_items=width)
    content.notes["repeated_rows_left_out"] = len(table) - len(users)
    content.notes["users_left_out"] = {
        f"fewer than {FEWEST_PAIRS} different items": int(np.count_nonzero(counts < FEWEST_PAIRS))
    }
    return content


def _table(request: Request) -> tuple[Path, InteractionTable]:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / INTER_FILE
    if path.is_file():
        # The authors' code reads no clock, so whatever is written there does no harm.
        table = read_inter(path, separator=",", keep_repeats=True, clock=False)
    else:
        path = request.folder / BENCH_FILE
        table = read_interactions(path, keep_repeats=True)
    for name, ids in (("user", table.users), ("item", table.items)):
        distinct = np.unique(ids)
        gaps = np.flatnonzero(distinct != np.arange(len(distinct)))
        if len(gaps):
            raise DataError(
                f"{path}: {name} ids must count from 0 without a gap, but there are {len(distinct):,} of them up to "
                f"{int(distinct[-1]):,}; the first that is missing is {int(gaps[0]):,}.",
                hint="The vectors' rows go by item id. Number the ids anew, and the rows of the vectors with them.",
            )
    return path, table


def _codes(table: InteractionTable) -> np.ndarray:
    return np.asarray(table.users.astype(np.int64) * (int(table.items.max()) + 1) + table.items)


def _content(request: Request, path: Path, rows: Rows, *, n_items: int | None = None) -> Content:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    count = int(rows.items.max()) + 1 if n_items is None else n_items
    why = f"one past the largest item id in {path.name}"
    found = {
        name: find_modality(request.folder, "published", request.card, name, n_items=count, why_items=why)
        for name in request.card.modalities
    }
    sources = {name: source for name, source in found.items() if source is not None}

    def load() -> Mapping[str, Modality]:
        return {name: source.load() for name, source in sources.items()}

    identity = {
        "interactions": file_digest(path),
        **{name: source.identity for name, source in sources.items()},
        "reader": READER_VERSION,
    }
    infos = {name: source.info for name, source in sources.items()}
    content = ranking_content(request, rows, identity, infos, load, n_items=count)
    content.notes["files"] = {"interactions": path.name, **{name: s.path.name for name, s in sources.items()}}
    content.notes["absent_modalities"] = [name for name in found if name not in sources]
    return content
