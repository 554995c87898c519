"""What `bench data list` and `bench data info` say: which datasets there are, where they lie, which files are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.data.files import file_digest
from bench.data.locate import Location, locations
from bench.data.paths import cached_data_folder
from bench.data.registry import DATASETS, DatasetId, resolve_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.card import DatasetCard

FileStatus = Literal["verified", "differs", "unknown", "absent"]
"""`verified`: the card's checksum; `differs`: another file of that name; `unknown`: the card knows no checksum."""


class DatasetRow(NamedTuple):
    """One line of `bench data list`."""

    name: str
    title: str
    present: bool
    where: Path | None
    layout: str | None
    sizes: dict[str, int]
    """Published counts, by what is counted."""
    modalities: tuple[str, ...]
    protocols: tuple[str, ...]
    generated: bool
    twin: str | None


class FileRow(NamedTuple):
    """One file of `bench data info`."""

    path: str
    status: FileStatus
    size: int | None
    """Bytes, or None when absent."""
    url: str | None


class DatasetInfo(NamedTuple):
    """What `bench data info` shows."""

    id: str
    card: DatasetCard
    places: tuple[Location, ...]
    files: tuple[FileRow, ...]


def list_datasets() -> list[DatasetRow]:
    """Returns one row per registered dataset, and one per scale at which a generated one lies in the cache."""
    rows = []
    for name, card in DATASETS.items():
        rows.append(_row(DatasetId(name, 1.0), card))
        if card.generated:
            rows.extend(_row(dataset, card) for dataset in _made_scales(name))
    return rows


def dataset_info(id: str) -> DatasetInfo:
    """Returns a dataset's card, where its files lie, and whether they are the files the card knows.

    A file that differs from the card's checksum is reported, never refused.

    Raises:
        UnknownNameError: No card has the name.
        DataError: A file cannot be read.
    """
    dataset, card = resolve_dataset(id)
    places = tuple(locations(dataset, card))
    folder = places[0].folder if places else None
    return DatasetInfo(str(dataset), card, places, tuple(_files(card, folder)))


def _row(dataset: DatasetId, card: DatasetCard) -> DatasetRow:
    places = locations(dataset, card)
    place = places[0] if places else None
    return DatasetRow(
        name=str(dataset),
        title=card.title,
        present=place is not None,
        where=place.folder if place else None,
        layout=place.layout if place else None,
        sizes={name: round(count * dataset.scale) for name, count in card.counts.items()},
        modalities=tuple(card.modalities),
        protocols=card.protocols,
        generated=card.generated,
        twin=card.twin,
    )


def _made_scales(name: str) -> list[DatasetId]:
    parent = cached_data_folder(name).parent
    scales = []
    for folder in parent.glob(f"{name}@*"):
        try:
            scales.append(DatasetId(name, float(folder.name.partition("@")[2])))
        except ValueError:
            continue
    return sorted(scales, key=lambda dataset: dataset.scale)


def _files(card: DatasetCard, folder: Path | None) -> list[FileRow]:
    known = {file.path: file for file in card.files}
    names = list(known)
    if folder is not None:
        content = [name for modality in card.modalities.values() for name in (*modality.features, modality.neighbours)]
        wanted = [*getattr(card, "markers", ("interactions.parquet", f"{card.name}.inter")), *content]
        names += [name for name in wanted if name and name not in known and (folder / name).is_file()]
    rows = []
    for name in names:
        file = known.get(name)
        url = file.url if file else None
        path = folder / name if folder is not None else None
        if path is None or not path.is_file():
            rows.append(FileRow(name, "absent", None, url))
            continue
        status: FileStatus = "unknown"
        if file is not None and file.sha256 is not None:
            status = "verified" if file_digest(path) == file.sha256 else "differs"
        rows.append(FileRow(name, status, path.stat().st_size, url))
    return rows
