"""Any stored sample as a picture, and all samples of a run as files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import BenchError
from bench.pictures.canvas import LIGHT, Palette
from bench.pictures.confusion import draw_confusion, read_confusion
from bench.pictures.reasoning import draw_reasoning, read_reasoning
from bench.pictures.table import draw_table, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.data.features.frames import Watched
    from bench.pictures.reasoning import Reasoning
    from bench.store.records import RunRecord, SampleRecord

PNG = "image/png"
_SUFFIXES = {PNG: ".png", "image/jpeg": ".jpg", "application/json": ".json", "text/plain": ".txt"}
_DRAWN = ("confusion", "reasoning", "table")


class Written(NamedTuple):
    """What became of a run's samples."""

    files: tuple[Path, ...]
    """In the order of the samples."""
    problems: tuple[str, ...]
    """Samples that could not be drawn, and why."""


def is_picture(sample: SampleRecord) -> bool:
    """Returns whether `draw_sample` makes a picture of a sample."""
    return sample.media_type == PNG or sample.notes.get("kind") in _DRAWN


def draw_sample(sample: SampleRecord, run: RunRecord, palette: Palette = LIGHT) -> bytes:
    """Returns a sample as PNG: one that is a picture as it is, a drawing of any other.

    Args:
        sample: One that `is_picture`.
        run: The run that left it; says which data a question's frames are read from.
        palette: Colours of a drawing.

    Raises:
        StoreError: Its content is not what its kind says.
        ValueError: There is no picture of it.
    """
    if sample.media_type == PNG:
        return sample.data
    kind = sample.notes.get("kind")
    if kind == "confusion":
        return draw_confusion(read_confusion(sample), palette)
    if kind == "reasoning":
        reasoning = read_reasoning(sample)
        return draw_reasoning(reasoning, frames_of(reasoning, run), palette)
    if kind == "table":
        return draw_table(sample.unit, read_table(sample), palette)
    raise ValueError(f"there is no picture of a sample of kind {kind!r}")


def frames_of(reasoning: Reasoning, run: RunRecord) -> Watched | None:
    """Returns the frames a question is about; None where its data is not here, is another, or has features alone."""
    from bench.data.features.watch import watch

    try:
        return watch(run.dataset, reasoning.about, protocol=run.protocol, digest=run.dataset_digest)
    except BenchError:
        return None


def write_samples(run: RunRecord, samples: Sequence[SampleRecord], folder: Path) -> Written:
    """Writes each sample into a folder: as it was stored, and its drawing beside it where it is no picture itself.

    Args:
        run: The run.
        samples: Its samples.
        folder: Made where it is missing; files of the same name are replaced.

    Raises:
        DataError: The folder cannot be written.
    """
    from bench.data.files import write_atomic

    files: list[Path] = []
    problems: list[str] = []
    for sample in samples:
        stem = file_stem(sample)
        as_stored = folder / f"{stem}{_SUFFIXES.get(sample.media_type, '.bin')}"
        write_atomic(as_stored, sample.data)
        files.append(as_stored)
        if sample.media_type == PNG or not is_picture(sample):
            continue
        try:
            picture = draw_sample(sample, run)
        except BenchError as error:
            problems.append(str(error))
            continue
        write_atomic(folder / f"{stem}.png", picture)
        files.append(folder / f"{stem}.png")
    return Written(tuple(files), tuple(problems))


def file_stem(sample: SampleRecord) -> str:
    """Returns a file name without its ending: the sample's place and what it is about, in plain letters."""
    told = re.sub(r"[^A-Za-z0-9]+", "-", sample.unit).strip("-").lower()[:60].rstrip("-")
    return f"{sample.number:03d}-{told}" if told else f"{sample.number:03d}"
