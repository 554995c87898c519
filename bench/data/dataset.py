"""`open_dataset`: from a name to checked rows, a split with a fingerprint, and item content. Test rows stay apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data import splits
from bench.data.catalog import dataset_info, list_datasets
from bench.data.fetch import fetch_dataset, unverified_files
from bench.data.formats import InteractionTable, read_inter, read_interactions
from bench.data.locate import Location, locate
from bench.data.modalities import ModalitySource, find_modality
from bench.data.protocols import PROTOCOLS, RankingProtocol, resolve_protocol
from bench.data.registry import DatasetId, resolve_dataset
from bench.data.types import Interactions, ModalityInfo, RecommendationData
from bench.data.worlds import ensure_world, make_dataset
from bench.errors import DataError, DatasetUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.data.card import DatasetCard

__all__ = ["Dataset", "dataset_info", "fetch_dataset", "list_datasets", "make_dataset", "open_dataset"]

DIGEST_VERSION = 1
_KEPT_OPEN = 8


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset under a protocol. Cheap to hold: `training` loads item content, `test` copies the test rows out.

    Attributes:
        id: The dataset's id, e.g. `baby` or `baby-twin@0.05`; never a real name for generated data.
        card: Its card.
        protocol: How it is split and ranked.
        digest: sha256 of the labelled rows in order, and of the content and derivation of every modality. Paths, file
            times and what the protocol masks are not part of it.
        folder: Where the files lie.
        modalities: What is known of the item content, in the card's order.
        sizes: Realised counts: users, items, and train, valid, test rows.
        notes: What a result should carry along, as plain JSON values: layout, files, split_fingerprint, split_origin,
            derived, preprocessed, absent_modalities, items_without_train_row, dropped_rows, differs_from_card,
            unverified_downloads; and stands_in_for, where a twin was opened in place of data that is not here.
    """

    id: str
    card: DatasetCard
    protocol: RankingProtocol
    digest: str
    folder: Path
    modalities: Mapping[str, ModalityInfo]
    sizes: dict[str, int]
    notes: dict[str, Any]
    _rows: _LabelledRows = field(repr=False)
    _sources: dict[str, ModalitySource] = field(repr=False)

    @property
    def generated(self) -> bool:
        """Whether a generator drew the data."""
        return self.card.generated

    def training(self) -> RecommendationData:
        """Returns all that training may see: train and validation rows and item content. Built once per process.

        Raises:
            DataError: A content file is damaged, or derived vectors cannot be written to the cache.
        """
        return self._training

    @cached_property
    def _training(self) -> RecommendationData:
        return RecommendationData(
            name=self.id,
            n_users=self.sizes["users"],
            n_items=self.sizes["items"],
            train=self._rows.select(splits.TRAIN),
            valid=self._rows.select(splits.VALID),
            modalities={name: source.load() for name, source in self._sources.items()},
            digest=self.digest,
        )

    def test(self) -> Interactions:
        """Returns the test rows. Only `bench.tasks` calls this, once per run, after the search is over."""
        return self._rows.select(splits.TEST)


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


_open: dict[tuple[Any, ...], Dataset] = {}


def open_dataset(
    id: str,
    *,
    protocol: str | None = None,
    allow_twin: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Dataset:
    """Finds, reads, checks and splits a dataset.

    `$BENCH_DATA` is searched first, then the cache; generated data is made on first use.

    Args:
        id: `baby`, or `baby-twin@0.05` for generated data at a scale.
        protocol: Name of the protocol; the card's default when None.
        allow_twin: Open the card's generated twin when the data is not here. The result's `id` tells.
        progress: Called with (what, done, total) while generated data is being made.

    Raises:
        UnknownNameError: No card has the name.
        UserError: The protocol is unknown, not offered by the card, or needs a split that the files do not carry.
        DatasetUnavailableError: The files are nowhere, and no twin is allowed.
        DataError: A file is damaged or breaks a rule; names the file and the row.
    """
    dataset, card = resolve_dataset(id)
    chosen = resolve_protocol(card, protocol)
    try:
        if card.generated:
            ensure_world(dataset, card, progress=progress)
        place = locate(dataset, card, chosen)
    except DatasetUnavailableError:
        if not allow_twin or card.twin is None:
            raise
        return _open_twin(card.twin, PROTOCOLS[chosen.name], str(dataset), progress)
    key = (str(dataset), chosen.name, _card_digest(card), place, _stamps(place.folder))
    if key not in _open:
        while len(_open) >= _KEPT_OPEN:
            _open.pop(next(iter(_open)))
        _open[key] = _assemble(dataset, card, chosen, place)
    return _open[key]


def _open_twin(
    twin: str, wanted: RankingProtocol, stands_in_for: str, progress: Callable[[str, int, int], None] | None
) -> Dataset:
    """Opens a generated twin under the wanted protocol, or the first of its own that masks alike."""
    _, card = resolve_dataset(twin)
    alike = [name for name in card.protocols if PROTOCOLS[name].mask == wanted.mask]
    name = wanted.name if wanted.name in card.protocols else [*alike, card.default_protocol][0]
    opened = open_dataset(twin, protocol=name, progress=progress)
    return replace(opened, notes={**opened.notes, "stands_in_for": f"{stands_in_for} ({wanted.name})"})


def _card_digest(card: DatasetCard) -> str:
    """Returns a digest of a card's content."""
    return hashlib.sha256(card.model_dump_json().encode()).hexdigest()


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        stats = sorted((path.name, path.stat()) for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror or error}.") from error
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _assemble(dataset: DatasetId, card: DatasetCard, protocol: RankingProtocol, place: Location) -> Dataset:
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
            raise DataError(f"{place.interactions}: the split {name!r} of protocol {protocol.name!r} is empty.")
    why = (
        f"the item count of the card of {card.name!r}"
        if published
        else f"one past the largest item id in {place.interactions.name}"
    )
    found = {
        name: find_modality(place.folder, place.layout, card, name, n_items=n_items, why_items=why)
        for name in card.modalities
    }
    sources = {name: source for name, source in found.items() if source is not None}
    rows = _LabelledRows(table, labels)
    return Dataset(
        id=str(dataset),
        card=card,
        protocol=protocol,
        digest=_digest(rows, n_users, n_items, sources),
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
                "interactions": place.interactions.name,
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
            "repeated_rows_left_out": table.repeats,
            "dropped_rows": dropped,
            "differs_from_card": differences,
            "unverified_downloads": unverified_files(place.folder),
        },
        _rows=rows,
        _sources=sources,
    )


def _read(card: DatasetCard, place: Location) -> InteractionTable:
    read = read_inter if place.layout == "mmrec" else read_interactions
    if card.generated:
        return read(place.interactions)
    return read(
        place.interactions,
        max_users=card.sizes.users,
        max_items=card.sizes.items,
        drop_repeats=card.duplicates == "first",
    )


def _split(table: InteractionTable, card: DatasetCard, protocol: RankingProtocol, place: Location) -> _Split:
    """Returns the labels a protocol asks for.

    Raises:
        DataError: The file carries no labels where the protocol needs the published ones, or labels that the card
            says were drawn by MMRec's rule break it.
    """
    file = place.interactions
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
    table: InteractionTable, labels: np.ndarray, card: DatasetCard, place: Location
) -> tuple[InteractionTable, np.ndarray, dict[str, int]]:
    cold = splits.cold_rows(table.users, labels)
    if not cold.any():
        return table, labels, {}
    users = np.unique(table.users[cold])
    if card.cold_users == "error":
        shown = ", ".join(str(user) for user in users[:5]) + (", …" if len(users) > 5 else "")
        raise DataError(
            f"{place.interactions}: {len(users):,} users have no training row but rows to predict (user {shown}).",
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
    card: DatasetCard,
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
