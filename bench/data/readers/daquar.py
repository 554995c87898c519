"""DAQUAR: `daquar_160x120.zip` with photos and `meta.jsonl`; a photo is cut into 4 x 4 regions in place of clips."""

from __future__ import annotations

import hashlib
import io
import json
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from bench.data.features.cells import CELL_DIM, CELLS_VERSION, pixel_maps, pool, standardised
from bench.data.features.frames import Frames, Watched
from bench.data.files import array_writer, derived_array, file_digest
from bench.data.readers.hcrn_features import stored_visuals
from bench.data.readers.images import zip_reader
from bench.data.readers.questions import QuestionRow, Visuals, grouped, vqa_content
from bench.data.readers.text import words
from bench.data.vqa import Clips
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.data.content import Content, Request

ZIP, META = "daquar_160x120.zip", "meta.jsonl"
TYPES = ("object", "count", "colour", "other")
WIDTH, HEIGHT = 160, 120
REGIONS = (4, 4)
"""Rows and columns of a photo's regions."""
FRAMES = (2, 2)
"""Rows and columns of a region's quarters, its frames."""
QUARTER_GRID = (2, 2)
"""Rows and columns of a quarter's cells."""
APPEARANCE_DIM = QUARTER_GRID[0] * QUARTER_GRID[1] * CELL_DIM
MOTION_DIM = 3 * CELL_DIM + 8
VALID_SHARE = 0.15
SPLIT_SEED = "daquar validation 1"
_FEATURES_VERSION = 1
_BATCH = 32
_MARGIN = 0.5
"""Share of a region's size that a backbone sees around it."""


def read(request: Request) -> Content:
    """Reads the zip.

    Raises:
        DataError: The zip, a line of `meta.jsonl` or an image is damaged; names it.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = Path(request.folder) / ZIP
    with zip_reader(path) as member:
        rows = read_rows(member(META), str(path))
    official: dict[str, list[QuestionRow]] = {"train": [], "test": []}
    for split, row in rows:
        official[split].append(row)
    shares = {"valid": VALID_SHARE, "train": 1.0}
    images = grouped({row.about for row in official["train"]}, seed=SPLIT_SEED, shares=shares)
    held = set(images["valid"])
    parts = {
        "train": [row for row in official["train"] if row.about not in held],
        "valid": [row for row in official["train"] if row.about in held],
        "test": official["test"],
    }
    visuals = stored_visuals(request) or region_visuals(path, request, [row.about for row in parts["train"]])
    return vqa_content(
        request,
        parts,
        visuals,
        types=TYPES,
        identity={"zip": file_digest(path), "split": [SPLIT_SEED, VALID_SHARE]},
        about="images",
    )


def read_rows(content: bytes, where: str) -> list[tuple[str, QuestionRow]]:
    """Reads the lines of `meta.jsonl` as (official split, question).

    Raises:
        DataError: A line is no JSON object with the five texts; names the line.
    """
    rows = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        place = f"{where}, {META} line {number}"
        try:
            entry: Any = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place} is no JSON: {error}.") from error
        names = ("image", "question", "answer", "split")
        if not isinstance(entry, dict) or any(not isinstance(entry.get(name), str) for name in names):
            raise DataError(f"{place} must have the texts {', '.join(names)}, but is {line[:80]!r}.")
        if entry["split"] not in ("train", "test"):
            raise DataError(f"{place}: the split must be 'train' or 'test', but is {entry['split']!r}.")
        kind = question_type(entry["question"])
        row = QuestionRow(place, f"q{number}", entry["image"], entry["question"], entry["answer"], kind)
        rows.append((entry["split"], row))
    return rows


def question_type(text: str) -> str:
    """Returns the type of a question by its first words.

    `count` starts with how; `colour` has colour, color or their plurals among its first three words; `object` starts
    with what, which or who (as misspelt in the data too); the rest is `other`.
    """
    first = words(text)[:3]
    if first[:1] == ["how"]:
        return "count"
    if {"colour", "color", "colours", "colors"} & set(first):
        return "colour"
    return "object" if set(first[:1]) & {"what", "which", "who", "whats", "waht", "hat"} else "other"


def region_visuals(path: Path, request: Request, train: Sequence[str]) -> Visuals:
    """Returns the built-in features, standardised with the mean and spread of each number over training photos."""
    digest = file_digest(path)
    version = [_FEATURES_VERSION, CELLS_VERSION, REGIONS, FRAMES, QUARTER_GRID]
    regions = REGIONS[0] * REGIONS[1]
    widths = (regions * FRAMES[0] * FRAMES[1] * APPEARANCE_DIM, regions * MOTION_DIM)
    fitted_on = list(dict.fromkeys(train))

    def raw(ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        def write(target: Path) -> None:
            with zip_reader(path) as member, array_writer(target, (len(ids), sum(widths))) as append:
                for at in range(0, len(ids), _BATCH):
                    photos = np.stack([_photo(member, id_, path) for id_ in ids[at : at + _BATCH]])
                    append(np.concatenate([part.reshape(len(photos), -1) for part in region_features(photos)], axis=1))
                    request.progress(f"describing {request.id}", at + len(photos), len(ids))

        both = derived_array(f"daquar {digest} {version} {_names(ids)}", (len(ids), sum(widths)), write)
        return (
            both[:, : widths[0]].reshape(len(ids), regions, -1, APPEARANCE_DIM),
            both[:, widths[0] :].reshape(len(ids), regions, MOTION_DIM),
        )

    def load(part: str, ids: Sequence[str]) -> Clips:
        appearance, motion = map(standardised, raw(ids), raw(fitted_on))
        return Clips(appearance, motion, np.array(ids))

    return Visuals(APPEARANCE_DIM, MOTION_DIM, "cells of regions, standardised", load, {"cells": version})


def region_features(photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Describes the regions of photos.

    A still has no motion. In its place stands what a region is within the photo: its own description, its difference
    from the whole photo's, the change from its upper to its lower half, and its row and column.

    Args:
        photos: (n, 120, 160, 3) uint8.

    Returns:
        (n, 16, 4, `APPEARANCE_DIM`) and (n, 16, `MOTION_DIM`) float32.
    """
    n = len(photos)
    regions = REGIONS[0] * REGIONS[1]
    maps = pixel_maps(photos)
    nested = tuple(zip(REGIONS, FRAMES, QUARTER_GRID, strict=True))
    fine = pool(maps, (prod(nested[0]), prod(nested[1]))).reshape(n, *nested[0], *nested[1], CELL_DIM)
    # (photo, region row, quarter row, cell row, region column, quarter column, cell column, number)
    frames = fine.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(n, regions, FRAMES[0] * FRAMES[1], APPEARANCE_DIM)
    own = pool(maps, REGIONS).reshape(n, regions, CELL_DIM)
    halves = pool(maps, (2 * REGIONS[0], REGIONS[1])).reshape(n, REGIONS[0], 2, REGIONS[1], CELL_DIM)
    downwards = (halves[:, :, 1] - halves[:, :, 0]).reshape(n, regions, CELL_DIM)
    whole = pool(maps, (1, 1)).reshape(n, 1, CELL_DIM)
    rows, columns = np.divmod(np.arange(regions), REGIONS[1])
    place = np.concatenate([np.eye(REGIONS[0])[rows], np.eye(REGIONS[1])[columns]], axis=1).astype(np.float32)
    motion = np.concatenate([own, own - whole, downwards, np.broadcast_to(place, (n, regions, 8))], axis=2)
    return frames, motion


def frames(request: Request) -> Frames:
    """Returns windows of 80 x 60 pixels around the 16 regions of each photo, as clips of one frame, for a backbone."""
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = Path(request.folder) / ZIP
    with zip_reader(path) as member:
        ids = list(dict.fromkeys(row.about for _, row in read_rows(member(META), str(path))))
    tall, wide = HEIGHT // REGIONS[0], WIDTH // REGIONS[1]
    above, left = int(tall * _MARGIN), int(wide * _MARGIN)

    def clips() -> Iterator[np.ndarray]:
        with zip_reader(path) as member:
            for id_ in ids:
                padded = np.pad(_photo(member, id_, path), ((above, above), (left, left), (0, 0)), mode="reflect")
                windows = np.lib.stride_tricks.sliding_window_view(padded, (tall + 2 * above, wide + 2 * left), (0, 1))
                regions = windows[::tall, ::wide].transpose(0, 1, 3, 4, 2)
                yield regions.reshape(-1, 1, *regions.shape[2:])

    return Frames(ids, clips())


def watch(request: Request, about: str) -> Watched:
    """Returns the 16 regions of one photo.

    Raises:
        DataError: There is no such photo, or it is damaged; names it.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = Path(request.folder) / ZIP
    with zip_reader(path) as member:
        photo = _photo(member, about, path)
    rows, columns = REGIONS
    regions = photo.reshape(rows, HEIGHT // rows, columns, WIDTH // columns, 3).transpose(0, 2, 1, 3, 4)
    return Watched(regions.reshape(rows * columns, 1, HEIGHT // rows, WIDTH // columns, 3), REGIONS)


def _photo(member: Callable[[str], bytes], id_: str, path: Path) -> np.ndarray:
    name = f"{id_}.jpg"
    data = member(name)
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = image.convert("RGB")
            found = found if found.size == (WIDTH, HEIGHT) else found.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            return np.asarray(found, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path}: image {name!r} cannot be decoded: {error}.",
            hint="The file is damaged: copy or download it again.",
        ) from error


def _names(ids: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()
