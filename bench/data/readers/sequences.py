"""Sequences of items: `sequences.parquet` (user, step, item), one user's steps from 0 without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.data.content import Content, Request
from bench.data.files import file_digest
from bench.data.protocols import SequenceProtocol
from bench.data.reach import reach_notes
from bench.data.sequential import Histories, SequenceData, SequenceTargets
from bench.data.types import Interactions
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.data.protocols import ScoringProtocol
    from bench.data.types import Modality

READER_VERSION = 1
HELD_OUT = 2
"""Items of a user that training does not see: the last is for test, the one before for validation."""
COLUMNS = ("user", "step", "item")


def read(request: Request) -> Content:
    """Reads a folder with `sequences.parquet`; item content is left to other readers.

    Raises:
        DataError: The file is damaged, a column is missing, a step is missing or twice, an id is negative.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / "sequences.parquet"
    histories = read_histories(path)
    return sequence_content(request, histories, {"sequences": file_digest(path), "reader": READER_VERSION})


def sequence_content(
    request: Request,
    histories: Histories,
    identity: Mapping[str, object],
    modalities: Mapping[str, Modality] | None = None,
    *,
    n_items: int | None = None,
) -> Content:
    """Splits histories by leave-one-out.

    Users with fewer than three items have nothing to train on and are left out; the notes count them.

    Args:
        request: What was asked for.
        histories: Of all users, in the order of their ids.
        identity: What the histories and the content are a function of.
        modalities: Item content.
        n_items: Number of items; one past the largest id when None.

    Raises:
        DataError: No user has three items.
    """
    users = np.flatnonzero(histories.lengths > HELD_OUT)
    short = len(histories) - len(users)
    if not len(users):
        raise DataError(f"{request.id}: no user has the three items that leave-one-out needs.")
    kept = _rows(histories, users)
    items = int(histories.items.max()) + 1 if n_items is None else n_items
    content = dict(modalities or {})
    train = kept.without_last(HELD_OUT)

    def training(digest: str) -> SequenceData:
        valid = SequenceTargets(users.astype(np.int64), train, kept.last(2).astype(np.int64))
        return SequenceData(request.id, len(users), items, train, valid, content, digest)

    def test() -> SequenceTargets:
        return SequenceTargets(users.astype(np.int64), kept.without_last(1), kept.last(1).astype(np.int64))

    return Content(
        identity={**identity, "split": "leave-one-out"},
        modalities={name: modality.info for name, modality in content.items()},
        sizes={
            "users": len(users),
            "items": items,
            "rows": len(kept.items),
            "train": len(train.items),
            "valid": len(users),
            "test": len(users),
        },
        training=training,
        test=test,
        notes={
            "users_with_too_few_items": short,
            "items_without_train_row": int(items - len(np.unique(train.items))),
            **_reach(request.protocol, train, kept),
        },
    )


def _reach(protocol: ScoringProtocol, train: Histories, kept: Histories) -> dict[str, object]:
    """Returns how many of the targets a ranking can hit: an item taken before is masked when it is taken again."""
    if not isinstance(protocol, SequenceProtocol):
        return {}
    users = np.arange(len(kept))
    known = Interactions(np.repeat(users, train.lengths), train.items)
    valid, test = (Interactions(users, kept.last(back)) for back in (2, 1))
    return {"reach": reach_notes(known, valid, test, protocol.mask)}


def read_histories(path: Path) -> Histories:
    """Reads `sequences.parquet`.

    Raises:
        DataError: See `read`.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(f"{path} lacks the column {missing[0]!r}; it has {', '.join(frame.columns)}.")
    odd = [name for name in COLUMNS if not frame[name].dtype.is_integer() or frame[name].null_count()]
    if odd:
        raise DataError(f"{path}: column {odd[0]!r} must hold whole numbers, none missing.")
    frame = frame.select(COLUMNS).sort("user", "step")
    user, step, item = (frame[name].to_numpy().astype(np.int64) for name in COLUMNS)
    if not len(user) or user.min() < 0 or item.min() < 0:
        raise DataError(f"{path} must hold at least one row, and ids from 0.")
    counts = np.bincount(user)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    wrong = np.flatnonzero(step != np.arange(len(user)) - offsets[user])
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{path}: the steps of user {user[row]} must count from 0 without a gap, "
            f"but step {step[row]} is in place {row - offsets[user[row]]}."
        )
    return Histories(offsets, item.astype(np.int32))


def _rows(histories: Histories, users: np.ndarray) -> Histories:
    lengths = histories.lengths[users]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Histories(offsets, histories.items[np.repeat(histories.offsets[users], lengths) + within])
