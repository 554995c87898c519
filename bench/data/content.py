"""Datasets read by the reader of their own card: what a reader is asked for, and what it hands back."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.data.dataset import Dataset
from bench.data.fetch import unverified_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.data.card import ContentCard
    from bench.data.locate import Location
    from bench.data.protocols import ScoringProtocol
    from bench.data.registry import DatasetId
    from bench.data.types import ModalityInfo


class Request(NamedTuple):
    """What a reader is asked for.

    Attributes:
        id: The dataset's id, scale included.
        scale: Size of generated data, 1 otherwise.
        folder: Where the files lie; None for generated data.
        card: The card.
        protocol: The rules of the split.
        progress: Called with (what, done, total) in long work.
    """

    id: str
    scale: float
    folder: Path | None
    card: ContentCard
    protocol: ScoringProtocol
    progress: Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Content:
    """What a reader found: enough to plan with, and two functions that load the rest.

    Attributes:
        identity: Everything the data is a function of, as plain JSON values: checksums of files, versions of rules,
            seeds. Its hash is the dataset's digest.
        modalities: What is known of the content.
        sizes: Realised counts; `train`, `valid` and `test` among them.
        training: Called with the digest; returns what training may see.
        test: Returns the test split.
        notes: What a result should carry along.
    """

    identity: Mapping[str, Any]
    modalities: Mapping[str, ModalityInfo]
    sizes: dict[str, int]
    training: Callable[[str], Any]
    test: Callable[[], Any]
    notes: dict[str, Any] = field(default_factory=dict)


def open_content(
    dataset: DatasetId,
    card: ContentCard,
    protocol: ScoringProtocol,
    place: Location | None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Dataset:
    """Has the card's reader read a dataset.

    Raises:
        DataError: A file is damaged or breaks a rule; names it.
    """
    module, _, function = card.reader.partition(":")
    read: Callable[[Request], Content] = getattr(importlib.import_module(module), function)
    folder = place.folder if place is not None else None
    content = read(
        Request(str(dataset), dataset.scale, folder, card, protocol, progress or (lambda what, done, total: None))
    )
    identity = {"dataset": str(dataset), **content.identity}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, allow_nan=False).encode()).hexdigest()
    differences = [
        f"{name}: {content.sizes[name]:,} here, {known:,} published"
        for name, known in card.sizes.items()
        if not card.generated and name in content.sizes and content.sizes[name] != known
    ]
    return Dataset(
        id=str(dataset),
        card=card,
        protocol=protocol,
        digest=digest,
        folder=folder,
        modalities=dict(content.modalities),
        sizes=dict(content.sizes),
        notes={
            "layout": place.layout if place is not None else "generated",
            "differs_from_card": differences,
            "unverified_downloads": unverified_files(folder) if folder is not None else [],
            **content.notes,
        },
        load_training=lambda: content.training(digest),
        load_test=content.test,
    )
