"""Cold-start data: what every reader of it shares, and the reader of folders laid out as interaction datasets are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bench.data.card import InteractionCard
from bench.data.cold_splits import SPLIT_VERSION, ColdSplit, split_cold_items
from bench.data.cold_start import COLD_TEST, COLD_VALID, WARM, Annotations, ColdStartData
from bench.data.content import Content, Request
from bench.data.files import file_digest
from bench.data.formats import read_inter, read_interactions
from bench.data.modalities import find_modality
from bench.data.protocols import ColdStartProtocol
from bench.data.registry import DATASETS
from bench.data.splits import SPLIT_NAMES, TEST, TRAIN, VALID, cold_rows, split_fingerprint
from bench.data.types import ANNOTATIONS, Interactions, ModalityInfo
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.data.card import Layout
    from bench.data.formats import InteractionTable
    from bench.data.types import Modality

READER_VERSION = 1


def read_interaction_folder(request: Request) -> Content:
    """Reads a folder that an interaction dataset's card describes (`options.card`), item content included.

    Shipped splits are not looked at: the items are drawn anew. Vectors made of neighbour lists rest on content alone,
    that of cold items included, and on nobody's behaviour.

    Raises:
        DataError: A file is damaged or breaks a rule; names the file and the row.
        DatasetUnavailableError: Content that the layout ships is missing.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    card = DATASETS.get(request.card.options["card"])
    assert isinstance(card, InteractionCard)  # noqa: S101 - the card's own options
    path = request.folder / f"{card.name}.inter"
    layout: Layout = "mmrec" if path.is_file() else "bench"
    path = path if layout == "mmrec" else request.folder / "interactions.parquet"
    read = read_inter if layout == "mmrec" else read_interactions
    sizes = card.sizes
    table = read(path, max_users=sizes.users, max_items=sizes.items, drop_repeats=card.duplicates == "first")
    why = f"the item count of the card of {card.name!r}"
    found = {
        name: find_modality(request.folder, layout, card, name, n_items=sizes.items, why_items=why)
        for name in card.modalities
    }
    sources = {name: source for name, source in found.items() if source is not None}
    split, origin = drawn(request, table, n_items=sizes.items)
    return cold_start_content(
        request,
        table.users,
        table.items,
        split,
        n_users=sizes.users,
        origin=origin,
        identity={"interactions": file_digest(path), **{name: source.identity for name, source in sources.items()}},
        content={name: source.info for name, source in sources.items()},
        load=lambda: {name: source.load() for name, source in sources.items()},
    )


def drawn(request: Request, table: InteractionTable, *, n_items: int) -> tuple[ColdSplit, str]:
    """Draws the split of a protocol that has none of its own; returns it and where it comes from."""
    protocol = protocol_of(request)
    split = split_cold_items(table.users, table.items, n_items, seed=protocol.split_seed)
    return split, f"drawn by item from all rows, seed {protocol.split_seed}"


def protocol_of(request: Request) -> ColdStartProtocol:
    """Returns the protocol asked for."""
    if not isinstance(request.protocol, ColdStartProtocol):
        raise TypeError(f"{request.id} is cold-start data, but was asked for under {request.protocol.name!r}")
    return request.protocol


def cold_start_content(
    request: Request,
    users: np.ndarray,
    items: np.ndarray,
    split: ColdSplit,
    *,
    n_users: int,
    origin: str,
    identity: Mapping[str, Any],
    content: Mapping[str, ModalityInfo],
    load: Callable[[], Mapping[str, Modality]],
    annotations: Annotations | None = None,
) -> Content:
    """Puts rows, split, content and annotations together; users without a training row are left out.

    Args:
        request: What was asked for.
        users: (n,) int32 user ids.
        items: (n,) int32 item ids.
        split: Of items and rows.
        n_users: U.
        origin: Where the split comes from, in words.
        identity: What rows, content and annotations are a function of.
        content: What is known of the item content.
        load: Returns the content of all items.
        annotations: Of warm items.

    Raises:
        DataError: A part has no row of warm or of cold items.
    """
    protocol = protocol_of(request)
    n_items = len(split.groups)
    unknown = cold_rows(users, split.labels)
    users, items, labels = users[~unknown], items[~unknown], split.labels[~unknown]
    is_cold = split.groups[items] != WARM
    for label, name in ((VALID, "validation"), (TEST, "test")):
        for what, inside in (("warm", ~is_cold), ("cold", is_cold)):
            if not (inside & (labels == label)).any():
                raise DataError(f"{request.id}: no {name} row is of a {what} item under protocol {protocol.name!r}.")

    def rows(label: int) -> Interactions:
        columns = [np.ascontiguousarray(column[labels == label], dtype=np.int32) for column in (users, items)]
        for column in columns:
            column.setflags(write=False)
        return Interactions(*columns)

    def training(digest: str) -> ColdStartData:
        return ColdStartData(
            name=request.id,
            n_users=n_users,
            n_items=n_items,
            train=rows(TRAIN),
            valid=rows(VALID),
            modalities=dict(load()),
            digest=digest,
            groups=split.groups,
            annotations=annotations,
            protocol=protocol,
        )

    words = {} if annotations is None else {ANNOTATIONS: ModalityInfo("annotations", len(annotations.vocabulary), None)}
    dropped = np.bincount(split.labels[unknown], minlength=3)
    counts = np.bincount(labels, minlength=3)
    return Content(
        identity={
            **identity,
            "split": protocol.split,
            "split_seed": protocol.split_seed,
            "versions": [READER_VERSION, SPLIT_VERSION],
        },
        modalities={**content, **words},
        sizes={
            "users": n_users,
            "items": n_items,
            "rows": len(unknown),
            **{name: int(count) for name, count in zip(SPLIT_NAMES, counts, strict=True)},
            "warm_items": int((split.groups == WARM).sum()),
            "cold_valid_items": int((split.groups == COLD_VALID).sum()),
            "cold_test_items": int((split.groups == COLD_TEST).sum()),
        },
        training=training,
        test=lambda: rows(TEST),
        notes={
            "split_origin": origin,
            "split_fingerprint": split_fingerprint(users, items, labels),
            "derived": {name: info.derived for name, info in content.items() if info.derived},
            "absent_modalities": sorted(set(request.card.modalities) - set(content) - set(words)),
            "items_without_train_row": int((split.groups != WARM).sum()),
            "annotated_items": 0 if annotations is None else int(annotations.known.sum()),
            "dropped_rows": {
                f"{name} (user without a training row)": int(count)
                for name, count in zip(SPLIT_NAMES, dropped, strict=True)
                if count
            },
        },
    )


def read_word_lists(path: Path, column: str, *, n_items: int | None = None) -> list[list[str]]:
    """Reads the words of every item from `items.parquet`: columns item and one with a list of words.

    Args:
        path: The file.
        column: Name of the column of words.
        n_items: Number of items there must be; as many as there are rows when None.

    Raises:
        DataError: The file is missing or damaged, a column is missing or of another type, or items do not count from 0.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read {str(path)!r}: {str(error).splitlines()[0]}") from error
    missing = [name for name in ("item", column) if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(frame.columns)}.")
    if frame[column].dtype != pl.List(pl.String) or not frame["item"].dtype.is_integer():
        raise DataError(f"{path}: column {column!r} must hold lists of words, and 'item' whole numbers.")
    frame = frame.sort("item")
    expected = len(frame) if n_items is None else n_items
    if frame["item"].to_list() != list(range(expected)):
        raise DataError(f"{path}: column 'item' must hold every item from 0 to {expected - 1:,} once.")
    return [list(filter(None, words or [])) for words in frame[column].to_list()]


def fill_unknown(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Gives items without content the mean vector of those with content, as MMRec does; in place, returned."""
    if known.any():
        vectors[~known] = vectors[known].mean(axis=0)
    return vectors


def standardised(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns float32 columns of mean 0 and deviation 1 over items with content; the others, and constants, are 0."""
    centred = vectors.astype(np.float64) - vectors[known].mean(axis=0, dtype=np.float64)
    deviation = centred[known].std(axis=0)
    scaled = centred / np.where(deviation > 1e-6, deviation, np.inf)
    scaled[~known] = 0.0
    return np.asarray(scaled, dtype=np.float32)


def words_of(lists: Sequence[Sequence[str]], split: ColdSplit, *, min_items: int = 1) -> Annotations:
    """Returns the annotations of the warm items of a split."""
    return Annotations.of(lists, split.groups == WARM, min_items=min_items)
