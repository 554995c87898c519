"""Rows of users and items that a card's own reader found, split by a ranking protocol's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data import splits
from bench.data.content import Content, Request
from bench.data.protocols import RankingProtocol
from bench.data.reach import reach_notes
from bench.data.types import Interactions, RecommendationData
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.data.types import Modality, ModalityInfo


class Rows(NamedTuple):
    """Interactions; no pair of user and item twice, unless the split is published.

    Attributes:
        users: (n,) int32 ids from 0.
        items: (n,) int32 ids from 0.
        times: (n,) int64 moments, or None where the data has no clock.
        labels: (n,) published labels 0 train, 1 valid, 2 test, or None where the split is drawn.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None = None
    labels: np.ndarray | None = None


def ranking_content(
    request: Request,
    rows: Rows,
    identity: Mapping[str, object],
    infos: Mapping[str, ModalityInfo],
    load: Callable[[], Mapping[str, Modality]],
    *,
    n_items: int,
) -> Content:
    """Splits rows by MMRec's rule, drawn with the protocol's seed as for datasets of `interactions.parquet`.

    Rows with published labels are split by those, where the protocol asks for the published split.
    Users without a training row lose their validation and test rows; items without one stay candidates and targets.

    Args:
        request: What was asked for.
        rows: All interactions.
        identity: What the rows and the content are a function of.
        infos: What is known of the item content.
        load: Loads it.
        n_items: Number of items.

    Raises:
        DataError: A split is empty.
        TypeError: The protocol does not draw MMRec's split, or needs published labels where there are none.
    """
    protocol = request.protocol
    if not isinstance(protocol, RankingProtocol) or (protocol.split == "mmrec") != (rows.labels is None):
        needed = "draws no split" if rows.labels is None else "draws its own split"
        raise TypeError(f"protocol {protocol.name!r} {needed}, which does not fit the reader of {request.card.name!r}")
    # The draw must not depend on the order of the rows in a file.
    order = np.lexsort((rows.items, rows.users))
    users, items = rows.users[order], rows.items[order]
    times = None if rows.times is None else rows.times[order]
    if rows.labels is None:
        labels = splits.mmrec_split(users, np.random.default_rng(protocol.split_seed))
    else:
        labels = rows.labels[order]
    kept = ~splits.cold_rows(users, labels)
    dropped = int(np.count_nonzero(~kept))
    users, items, labels = users[kept], items[kept], labels[kept]
    times = None if times is None else times[kept]
    counts = np.bincount(labels, minlength=3)
    for name, count in zip(splits.SPLIT_NAMES, counts, strict=True):
        if not count:
            raise DataError(f"{request.id}: the split {name!r} of protocol {protocol.name!r} is empty.")
    n_users = int(rows.users.max()) + 1

    def select(label: int) -> Interactions:
        chosen = labels == label
        return Interactions(users[chosen], items[chosen], None if times is None else times[chosen])

    def training(digest: str) -> RecommendationData:
        train, valid = select(splits.TRAIN), select(splits.VALID)
        return RecommendationData(request.id, n_users, n_items, train, valid, load(), digest)

    fingerprint = splits.split_fingerprint(users, items, labels)
    return Content(
        identity={**identity, "split": fingerprint, "users": n_users, "items": n_items},
        modalities=dict(infos),
        sizes={
            "users": n_users,
            "items": n_items,
            "rows": len(rows.users),
            **{name: int(count) for name, count in zip(splits.SPLIT_NAMES, counts, strict=True)},
        },
        training=training,
        test=lambda: select(splits.TEST),
        notes={
            "split_fingerprint": fingerprint,
            "split_origin": "published with the rows"
            if rows.labels is not None
            else f"drawn by MMRec's rule from all rows, seed {protocol.split_seed}",
            "items_without_train_row": int(n_items - len(np.unique(items[labels == splits.TRAIN]))),
            "dropped_rows": {"cold users": dropped} if dropped else {},
            "reach": reach_notes(select(splits.TRAIN), select(splits.VALID), select(splits.TEST), protocol.mask),
        },
    )
