"""`open_dataset`: from a name to checked data whose test split stays apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.data.card import ContentCard, InteractionCard
from bench.data.catalog import dataset_info, list_datasets
from bench.data.fetch import fetch_dataset
from bench.data.locate import Location, locate
from bench.data.protocols import PROTOCOLS, RankingProtocol, ScoringProtocol, resolve_protocol
from bench.data.registry import DatasetId, resolve_dataset
from bench.data.worlds import ensure_world, make_dataset
from bench.errors import DataError, DatasetUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.data.card import DatasetCard
    from bench.data.types import ModalityInfo

__all__ = ["Dataset", "dataset_info", "fetch_dataset", "list_datasets", "make_dataset", "open_dataset"]

_KEPT_OPEN = 8


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset under a protocol. Cheap to hold: `training` loads content, `test` what only a run's evaluation sees.

    Attributes:
        id: The dataset's id, e.g. `baby` or `baby-twin@0.05`; never a real name for generated data.
        card: Its card.
        protocol: How it is split and scored.
        digest: sha256 of the content and the split. Paths, file times and what the protocol masks are not part of it.
        folder: Where the files lie; None for data that is generated when it is asked for.
        modalities: What is known of the content, in the card's order.
        sizes: Realised counts, `train` among them.
        notes: What a result should carry along, as plain JSON values. Of interactions: layout, files,
            split_fingerprint, split_origin, derived, preprocessed, absent_modalities, items_without_train_row, reach,
            dropped_rows, differs_from_card, unverified_downloads. `stands_in_for`, where a twin was opened in place of
            data that is not here.
        load_training: Loads what training may see.
        load_test: Loads the test split.
    """

    id: str
    card: DatasetCard
    protocol: ScoringProtocol
    digest: str
    folder: Path | None
    modalities: Mapping[str, ModalityInfo]
    sizes: dict[str, int]
    notes: dict[str, Any]
    load_training: Callable[[], Any] = field(repr=False)
    load_test: Callable[[], Any] = field(repr=False)

    @property
    def generated(self) -> bool:
        """Whether a generator drew the data."""
        return self.card.generated

    def training(self) -> Any:
        """Returns all that training may see, of the type the task's methods take. Built once per process.

        Raises:
            DataError: A content file is damaged, or derived content cannot be written to the cache.
        """
        return self._training

    @cached_property
    def _training(self) -> Any:
        return self.load_training()

    def test(self) -> Any:
        """Returns the test split. Only `bench.tasks` calls this, once per run, after the search is over."""
        return self.load_test()


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
    place: Location | None = None
    try:
        if isinstance(card, InteractionCard) and card.generated:
            ensure_world(dataset, card, progress=progress)
        if isinstance(card, InteractionCard) or not card.generated:
            place = locate(dataset, card, chosen)
    except DatasetUnavailableError:
        if not allow_twin or card.twin is None:
            raise
        return _open_twin(card.twin, chosen, str(dataset), progress)
    stamps = _stamps(place.folder) if place is not None else ()
    key = (str(dataset), chosen.name, _card_digest(card), place, stamps)
    if key not in _open:
        while len(_open) >= _KEPT_OPEN:
            _open.pop(next(iter(_open)))
        _open[key] = _read(dataset, card, chosen, place, progress)
    return _open[key]


def _read(
    dataset: DatasetId,
    card: DatasetCard,
    protocol: ScoringProtocol,
    place: Location | None,
    progress: Callable[[str, int, int], None] | None,
) -> Dataset:
    # Polars, Pillow and h5py are loaded for the kind of data that needs them.
    if isinstance(card, InteractionCard) and isinstance(protocol, RankingProtocol) and place is not None:
        from bench.data.interactions import open_interactions

        return open_interactions(dataset, card, protocol, place)
    if isinstance(card, ContentCard):
        from bench.data.content import open_content

        return open_content(dataset, card, protocol, place, progress)
    raise TypeError(f"a {type(card).__name__} under a {type(protocol).__name__} is nothing that can be read")


def _open_twin(
    twin: str, wanted: ScoringProtocol, stands_in_for: str, progress: Callable[[str, int, int], None] | None
) -> Dataset:
    """Opens a generated twin under the wanted protocol, or the first of its own that masks alike."""
    _, card = resolve_dataset(twin)
    alike = [name for name in card.protocols if _mask(PROTOCOLS[name]) == _mask(wanted)]
    name = wanted.name if wanted.name in card.protocols else [*alike, card.default_protocol][0]
    opened = open_dataset(twin, protocol=name, progress=progress)
    return replace(opened, notes={**opened.notes, "stands_in_for": f"{stands_in_for} ({wanted.name})"})


def _mask(protocol: ScoringProtocol) -> str | None:
    return protocol.mask if isinstance(protocol, RankingProtocol) else None


def _card_digest(card: DatasetCard) -> str:
    """Returns a digest of a card's content."""
    return hashlib.sha256(card.model_dump_json().encode()).hexdigest()


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        stats = sorted((path.name, path.stat()) for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror or error}.") from error
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
