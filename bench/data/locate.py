"""Which folder and which layout a dataset is read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.data.card import ContentCard, DatasetCard
from bench.data.paths import cached_data_folder, search_folders
from bench.data.protocols import RankingProtocol
from bench.errors import DatasetUnavailableError, UserError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.card import Layout
    from bench.data.protocols import ScoringProtocol
    from bench.data.registry import DatasetId

BENCH_FILE = "interactions.parquet"


class Location(NamedTuple):
    """Where a dataset was found."""

    folder: Path
    layout: Layout
    file: Path
    """Its interactions, or the file that gave it away."""


def locations(dataset: DatasetId, card: DatasetCard) -> list[Location]:
    """Returns every place the dataset lies in, in search order; MMRec's file before ours in one folder.

    `$BENCH_DATA` comes first, then the cache. Generated data is looked for in the cache only, so that nothing under
    `$BENCH_DATA` can pass for it.
    """
    if isinstance(card, ContentCard):
        return [
            Location(folder, "published", folder / marker)
            for folder in ([] if card.generated else search_folders(card.folder or dataset.name))
            for marker in [name for name in card.markers if (folder / name).exists()][:1]
        ]
    if card.generated:
        folder = cached_data_folder(dataset)
        path = folder / BENCH_FILE
        return [Location(folder, "generated", path)] if path.is_file() else []
    found = []
    for folder in search_folders(dataset.name):
        if (folder / f"{dataset.name}.inter").is_file():
            found.append(Location(folder, "mmrec", folder / f"{dataset.name}.inter"))
        if (folder / BENCH_FILE).is_file():
            found.append(Location(folder, "bench", folder / BENCH_FILE))
    return found


def locate(dataset: DatasetId, card: DatasetCard, protocol: ScoringProtocol) -> Location:
    """Returns the first place that can serve a protocol: published splits are in the bench layout only.

    Raises:
        DatasetUnavailableError: The files are nowhere; names them, the folders searched and the way to get them.
        UserError: Files are there, but none of them carries the split the protocol needs.
    """
    found = locations(dataset, card)
    shipped = isinstance(protocol, RankingProtocol) and protocol.split == "shipped"
    usable = [place for place in found if not shipped or place.layout != "mmrec"]
    if usable:
        return usable[0]
    if found:
        raise UserError(
            f"protocol {protocol.name!r} needs the split published in {BENCH_FILE}, "
            f"but {found[0].folder} holds {found[0].file.name} only.",
            hint=f"Put {BENCH_FILE} beside it, or use protocol {card.default_protocol!r}.",
        )
    raise unavailable(dataset, card)


def unavailable(dataset: DatasetId, card: DatasetCard) -> DatasetUnavailableError:
    """Returns the error for a dataset whose files are nowhere."""
    if card.generated:
        return DatasetUnavailableError(
            f"generated dataset {str(dataset)!r} has not been made: {cached_data_folder(dataset)} lacks {BENCH_FILE}.",
            hint=f"Run `bench data make {dataset.name} --scale {dataset.scale:g}`.",
        )
    own = card.folder if isinstance(card, ContentCard) and card.folder else dataset.name
    folders = ", ".join(str(folder) for folder in search_folders(own))
    ways = [f"Set BENCH_DATA to the folder that holds {own}/"]
    if any(file.url for file in card.files):
        ways.append(f"run `bench data get {dataset.name}`")
    if card.twin:
        ways.append(f"let the spec say `fallback: twin` to use the generated {card.twin!r} under its own name")
    wanted = list(card.markers) if isinstance(card, ContentCard) else [BENCH_FILE, f"{dataset.name}.inter"]
    missing = f"neither {' nor '.join(wanted)}" if len(wanted) > 1 else f"no {wanted[0]}"
    return DatasetUnavailableError(
        f"dataset {dataset.name!r} is not here: {missing} lies in {folders}.",
        hint="; or ".join(ways) + ".",
    )
