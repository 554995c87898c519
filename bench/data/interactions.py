"""Datasets of interactions: from files to checked rows, a split with a fingerprint, and item content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data import splits
from bench.data.dataset import Dataset
from bench.data.fetch import unverified_files
from bench.data.formats import InteractionTable, read_inter, read_interactions
from bench.data.modalities import ModalitySource, find_modality
from bench.data.reach import reach_notes
from bench.data.types import Interactions, RecommendationData
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.card import InteractionCard
    from bench.data.locate import Location
    from bench.data.protocols import RankingProtocol
    from bench.data.registry import DatasetId

DIGEST_VERSION = 1


class _LabelledRows(NamedTuple):
    """Rows with the split they belong to."""

    table: InteractionTable
    labels: np.ndarray

    def select(self, label: int) -> Interactions:
        """Returns the rows of one split in file order, as read-only copies that hold no other row."""
        chosen = self.labels == label
        columns = [self.table.users, self.table.items, self.table.times]
        users, items, times = (None if column is None else column[chosen] for column in columns)
        assert users is not None and items is not None  # noqa: S101 - narrows the type
        for column in (users, items, times):
            if column is not None:
                column.setflags(write=False)
        return Interactions(users, items, times)


class _Split(NamedTuple):
    """Labels and where they come from."""

    labels: np.ndarray
    origin: str


def open_interactions(
    dataset: DatasetId, card: InteractionCard, protocol: RankingProtocol, place: Location
) -> Dataset:
    """Reads, checks and splits the rows at a place; the notes are those that `Dataset.notes` lists.

    Raises:
        DataError: A file is damaged or breaks a rule; names the file and the row.
    """
    table = _read(card, place)
    split = _split(table, card, protocol, place)
    published = card.sizes.rows == len(table) + table.repeats and not card.generated
    n_users = card.sizes.users if published else int(table.users.max()) + 1
    n_items = card.sizes.items if published else int(table.items.max()) + 1
    differences = [] if card.generated else _differences(card, protocol, table, split.labels, n_users, n_items)
    table, labels, dropped = _without_cold_users(table, split.labels, card, place)
    counts = np.bincount(labels, minlength=3)
    for name, count in zip(splits.SPLIT_NAMES, counts, strict=True):
        if not count:
            raise DataError(f"{place.file}: the split {name!r} of protocol {protocol.name!r} is empty.")
    why = (
        f"the item count of the card of {card.name!r}"
        if published
        else f"one past the largest item id in {place.file.name}"
    )
    found = {
        name: find_modality(place.folder, place.layout, card, name, n_items=n_items, why_items=why)
        for name in card.modalities
    }
    sources = {name: source for name, source in found.items() if source is not None}
    rows = _LabelledRows(table, labels)
    digest = _digest(rows, n_users, n_items, sources)

    def training() -> RecommendationData:
        return RecommendationData(
            name=str(dataset),
            n_users=n_users,
            n_items=n_items,
            train=rows.select(splits.TRAIN),
            valid=rows.select(splits.VALID),
            modalities={name: source.load() for name, source in sources.items()},
            digest=digest,
        )

    return Dataset(
        id=str(dataset),
        card=card,
        protocol=protocol,
        digest=digest,
        folder=place.folder,
        modalities={name: source.info for name, source in sources.items()},
        sizes={
            "users": n_users,
            "items": n_items,
            **{name: int(count) for name, count in zip(splits.SPLIT_NAMES, counts, strict=True)},
        },
        notes={
            "layout": place.layout,
            "files": {
                "interactions": place.file.name,
                **{name: source.path.name for name, source in sources.items()},
            },
            "split_fingerprint": splits.split_fingerprint(table.users, table.items, labels),
            "split_origin": split.origin,
            "derived": {name: source.info.derived for name, source in sources.items() if source.info.derived},
            "preprocessed": {
                name: source.preprocess for name, source in sources.items() if source.preprocess != "none"
            },
            "absent_modalities": [name for name, source in found.items() if source is None],
            "items_without_train_row": int(n_items - len(np.unique(table.items[labels == splits.TRAIN]))),
            "reach": reach_notes(
                rows.select(splits.TRAIN), rows.select(splits.VALID), rows.select(splits.TEST), protocol.mask
            ),
            "repeated_rows_left_out": table.repeats,
            "dropped_rows": dropped,
            "differs_from_card": differences,
            "unverified_downloads": unverified_files(place.folder),
        },
        load_training=training,
        load_test=lambda: rows.select(splits.TEST),
    )


def _read(card: InteractionCard, place: Location) -> InteractionTable:
    read = read_inter if place.layout == "mmrec" else read_interactions
    if card.generated:
        return read(place.file)
    return read(
        place.file,
        max_users=card.sizes.users,
        max_items=card.sizes.items,
        drop_repeats=card.duplicates == "first",
    )


def _split(table: InteractionTable, card: InteractionCard, protocol: RankingProtocol, place: Location) -> _Split:
    """Returns the labels a protocol asks for.

    Raises:
        DataError: The file carries no labels where the protocol needs the published ones, or labels that the card
            says were drawn by MMRec's rule break it.
    """
    file = place.file
    if protocol.split == "shipped":
        if table.labels is None:
            raise DataError(
                f"{file} has no column 'split', which protocol {protocol.name!r} reads.",
                hint="Take the file as published, or use a protocol that draws its own split.",
            )
        return _Split(table.labels, f"shipped with {file.name}")
    if table.labels is not None and place.layout in card.mmrec_labels:
        check = splits.check_mmrec_sizes(table.users, table.labels)
        if check.order == "mmrec":
            return _Split(table.labels, f"shipped with {file.name}, follows MMRec's rule for every user")
        if check.order == "mmrec-exchanged":
            return _Split(
                splits.exchange_valid_test(table.labels),
                f"shipped with {file.name}, follows MMRec's rule for every user with valid and test exchanged; read so",
            )
        user = int(check.offenders[0])
        sizes = np.bincount(table.labels[table.users == user], minlength=3)
        n_valid, n_test = (int(count[0]) for count in splits.mmrec_counts(np.array([sizes.sum()])))
        raise DataError(
            f"{file}: the split labels break MMRec's rule for {len(check.offenders):,} users; the first is user {user} "
            f"with {sizes[0]} train, {sizes[1]} valid, {sizes[2]} test rows, where the rule asks for {n_valid} valid "
            f"and {n_test} test.",
            hint="Labels by global time (the first of MMRec's notebooks) look like this. Run its second notebook, or "
            "remove the label column to have the rule drawn afresh.",
        )
    # The draw must not depend on the order of the rows in the file, so that every layout gives the same split.
    order = np.lexsort((table.items, table.users))
    labels = np.empty(len(table), dtype=np.int8)
    labels[order] = splits.mmrec_split(table.users[order], np.random.default_rng(protocol.split_seed))
    return _Split(labels, f"drawn by MMRec's rule from all rows of {file.name}, seed {protocol.split_seed}")


def _without_cold_users(
    table: InteractionTable, labels: np.ndarray, card: InteractionCard, place: Location
) -> tuple[InteractionTable, np.ndarray, dict[str, int]]:
    cold = splits.cold_rows(table.users, labels)
    if not cold.any():
        return table, labels, {}
    users = np.unique(table.users[cold])
    if card.cold_users == "error":
        shown = ", ".join(str(user) for user in users[:5]) + (", …" if len(users) > 5 else "")
        raise DataError(
            f"{place.file}: {len(users):,} users have no training row but rows to predict (user {shown}).",
            hint="Remove their rows, or give the data a card with `cold_users='drop'`.",
        )
    keep = ~cold
    dropped = {
        f"{name} (user without a training row)": int((labels[cold] == index).sum())
        for index, name in enumerate(splits.SPLIT_NAMES)
        if index != splits.TRAIN
    }
    times = None if table.times is None else table.times[keep]
    return InteractionTable(table.users[keep], table.items[keep], times, None, table.repeats), labels[keep], dropped


def _differences(
    card: InteractionCard,
    protocol: RankingProtocol,
    table: InteractionTable,
    labels: np.ndarray,
    n_users: int,
    n_items: int,
) -> list[str]:
    counts = np.bincount(labels, minlength=3)
    pairs = [
        ("users", n_users, card.sizes.users),
        ("items", n_items, card.sizes.items),
        ("rows", len(table) + table.repeats, card.sizes.rows),
    ]
    expected = card.sizes.splits.get(protocol.split)
    if expected is not None:
        pairs += [(f"{n} rows", int(c), e) for n, c, e in zip(splits.SPLIT_NAMES, counts, expected, strict=True)]
    return [f"{name}: {found:,} here, {known:,} published" for name, found, known in pairs if found != known]


def _digest(rows: _LabelledRows, n_users: int, n_items: int, sources: Mapping[str, ModalitySource]) -> str:
    digest = hashlib.sha256(f"bench dataset {DIGEST_VERSION} {n_users} {n_items}\n".encode())
    for name, column in (
        ("user", rows.table.users),
        ("item", rows.table.items),
        ("label", rows.labels),
        ("time", rows.table.times),
    ):
        digest.update(f"{name}\n".encode())
        if column is not None:
            digest.update(np.ascontiguousarray(column.astype("<i8")).tobytes())
    for name, source in sources.items():
        digest.update(f"{name} {source.identity}\n".encode())
    return digest.hexdigest()
