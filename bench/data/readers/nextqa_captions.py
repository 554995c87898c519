"""NExT-QA with captions in place of pixels: `nextqa_val_captions.zip` with `val.csv` and one caption a second."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.features.captions import CAPTIONS_VERSION, WordSpace, fit_space, stems_of
from bench.data.files import derived_array, file_digest
from bench.data.readers.hcrn_features import stored_visuals
from bench.data.readers.images import open_zip
from bench.data.readers.questions import PARTS, QuestionRow, Visuals, grouped, vqa_content
from bench.data.readers.text import TOKENIZER_VERSION, words
from bench.data.vqa import Clips
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.data.content import Content, Request

ZIP, TABLE = "nextqa_val_captions.zip", "val.csv"
TYPES = ("CH", "CW", "DC", "DL", "DO", "TC", "TN", "TP")
"""Causal how and why; descriptive count, location and other; temporal current, next and previous."""
CHOICES = 5
CLIPS, FRAMES = 8, 4
"""Segments of a video, and parts of a segment whose captions are read as one text."""
DIM = 512
SHARES = {"test": 0.25, "valid": 0.15, "train": 0.6}
SPLIT_SEED = "nextqa-captions 1"
_LEAST_CAPTIONS = 2
"""A word of training captions is known from this many of them on."""
_COLUMNS = ("video", "question", "answer", "qid", "type", *(f"a{k}" for k in range(CHOICES)))


def read(request: Request) -> Content:
    """Reads the zip.

    Raises:
        DataError: The zip or a member is damaged, a question has no captions, its answer is no candidate; names it.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = Path(request.folder) / ZIP
    rows, captions = read_zip(path)
    videos = grouped({row.about for row in rows}, seed=SPLIT_SEED, shares=SHARES)
    part_of = {video: part for part, ids in videos.items() for video in ids}
    parts = {part: [row for row in rows if part_of[row.about] == part] for part in PARTS}
    spoken = [words(text) for video in sorted(videos["train"]) for text in captions[video]]
    asked = [words(text) for row in parts["train"] for text in (row.text, *row.candidates)]
    split = [SPLIT_SEED, SHARES]
    key = f"nextqa {file_digest(path)} {CAPTIONS_VERSION} {TOKENIZER_VERSION} {split} {DIM}"

    @cache
    def space() -> WordSpace:
        texts = [*spoken, *asked]
        index = stems_of(texts)

        def build(target: Path) -> None:
            request.progress(f"fitting words of {request.id}", 0, 1)
            np.save(target, fit_space(texts, DIM).vectors, allow_pickle=False)

        return WordSpace(index, np.asarray(derived_array(f"{key} words", (len(index), DIM), build)))

    heard = Counter(word for text in spoken for word in set(text))
    content = vqa_content(
        request,
        parts,
        stored_visuals(request) or caption_visuals(captions, space),
        types=TYPES,
        identity={"zip": file_digest(path), "split": split, "words": [CAPTIONS_VERSION, DIM, _LEAST_CAPTIONS]},
        word_vectors=lambda vocabulary: space().of_words(vocabulary),
        more_words=tuple(word for word, count in heard.items() if count >= _LEAST_CAPTIONS),
        by_stem=True,
    )
    return content


def caption_visuals(captions: Mapping[str, Sequence[str]], space: Callable[[], WordSpace]) -> Visuals:
    """Returns vectors of captions: frames are parts of a segment; motion is their mean, and the last less the first."""

    def load(part: str, ids: Sequence[str]) -> Clips:
        appearance = np.stack([space().of_texts(segments(captions[id_])) for id_ in ids])
        appearance = appearance.reshape(len(ids), CLIPS, FRAMES, -1)
        motion = np.concatenate([appearance.mean(axis=2), appearance[:, :, -1] - appearance[:, :, 0]], axis=2)
        return Clips(appearance, motion.astype(np.float32), np.array(ids))

    return Visuals(DIM, 2 * DIM, "latent word vectors of captions", load, {"captions": [CLIPS, FRAMES, DIM]})


def segments(captions: Sequence[str]) -> list[list[str]]:
    """Returns the words of `CLIPS` x `FRAMES` equal spans of time; a short video's captions stand in several."""
    edges = np.linspace(0, len(captions), CLIPS * FRAMES + 1)
    spans = [(int(low), max(int(low) + 1, int(high))) for low, high in pairwise(edges)]
    return [[word for text in captions[low:high] for word in words(text)] for low, high in spans]


def read_zip(path: Path) -> tuple[list[QuestionRow], dict[str, list[str]]]:
    """Reads the questions, and the captions of each video in order of time.

    Raises:
        DataError: See `read`.
    """
    with open_zip(path) as archive:
        members = set(archive.namelist())
        if TABLE not in members:
            raise DataError(f"{path} holds no {TABLE!r}.")
        table = csv.DictReader(io.StringIO(archive.read(TABLE).decode("utf-8", errors="replace")))
        lacking = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        if lacking:
            raise DataError(f"{path}, {TABLE} lacks the column {lacking[0]!r}.")
        rows = [_row(entry, f"{path}, {TABLE} line {line}") for line, entry in enumerate(table, start=2)]
        captions: dict[str, list[str]] = {}
        for row in rows:
            if row.about in captions:
                continue
            name = f"caps/{row.about}_cap.json"
            if name not in members:
                raise DataError(f"{row.place} asks about video {row.about!r}, but {path} holds no {name!r}.")
            captions[row.about] = _captions(archive.read(name), f"{path}, {name}")
    return rows, captions


def _row(entry: Mapping[str, str | None], place: str) -> QuestionRow:
    values = {name: entry[name] or "" for name in _COLUMNS}
    if values["type"] not in TYPES:
        raise DataError(f"{place}: the type must be one of {', '.join(TYPES)}, but is {values['type']!r}.")
    if values["answer"] not in map(str, range(CHOICES)):
        raise DataError(f"{place}: the answer must be 0 to {CHOICES - 1}, but is {values['answer']!r}.")
    candidates = tuple(values[f"a{k}"] for k in range(CHOICES))
    right = int(values["answer"])
    id_ = f"{values['video']}-{values['qid']}"
    return QuestionRow(
        place, id_, values["video"], values["question"], candidates[right], values["type"], candidates, right
    )


def _captions(content: bytes, place: str) -> list[str]:
    try:
        found = json.loads(content)
        captions = [found[str(second)] for second in range(len(found))]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place} must map the seconds 0, 1, 2, … to captions: {error!r}.") from error
    if not captions or not all(isinstance(text, str) for text in captions):
        raise DataError(f"{place} must hold at least one caption, and texts alone.")
    return captions
