"""MSVD-QA, MSRVTT-QA and SVQA: published question files beside features in HCRN's HDF5 layout.

Only JSON and text are read; the pickled `.pt` files of the authors' preprocessing are not, vocabularies are made anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.features.stored import FEATURES_FILE, StoredFeatures, open_features
from bench.data.files import file_digest
from bench.data.readers.questions import PARTS, QuestionRow, Visuals, vqa_content
from bench.data.readers.text import words
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.data.content import Content, Request
    from bench.data.vqa import Clips

FIRST_WORDS = ("what", "who", "how", "when", "where")
"""Types of MSVD-QA and MSRVTT-QA; any other first word is `other` and has a part in the overall accuracy alone."""
_FILES = {"train": "train", "valid": "val", "test": "test"}
"""How HCRN's and DualVGR's files call the parts."""


def read_open_ended(request: Request) -> Content:
    """Reads `train_qa.json`, `val_qa.json` and `test_qa.json` with `video_id`, `question` and `answer`.

    Raises:
        DataError: A file is missing or damaged, a question is malformed or about a video without features.
    """
    folder = _folder(request)
    parts: dict[str, list[QuestionRow]] = {}
    for part, stem in _FILES.items():
        path = folder / f"{stem}_qa.json"
        parts[part] = []
        for row, entry in enumerate(read_entries(path)):
            place = f"{path}, question {row}"
            text = _text(entry, "question", place)
            first = (words(text) or [""])[0]
            parts[part].append(
                QuestionRow(
                    place=place,
                    id=f"{stem}-{entry.get('id', row)}",
                    about=_text(entry, "video_id", place),
                    text=text,
                    answer=_text(entry, "answer", place),
                    type=first if first in FIRST_WORDS else "other",
                )
            )
    return vqa_content(
        request,
        parts,
        feature_visuals(features_of(request), request.id),
        types=(*FIRST_WORDS, "other"),
        identity={stem: file_digest(folder / f"{stem}_qa.json") for stem in _FILES.values()},
    )


def read_svqa(request: Request) -> Content:
    """Reads SVQA: `questions.json` with DualVGR's id lists, or one `*_qa.json` for each part.

    Every question has `id` (of the video), `question`, `ans` and `program`; its type is the program's last function.

    Raises:
        DataError: See `read_open_ended`; a question's video is in no list or in two.
    """
    folder = _folder(request)
    whole = folder / "questions.json"
    entries: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {part: [] for part in PARTS}
    if whole.is_file():
        files = [whole, *(folder / f"{stem}_svqa_ids.txt" for stem in _FILES.values())]
        part_of = _svqa_parts(folder)
        for row, entry in enumerate(read_entries(whole)):
            place = f"{whole}, question {row}"
            video = _text(entry, "id", place)
            if video not in part_of:
                raise DataError(f"{place}: video {video!r} is in none of the id lists beside it.")
            entries[part_of[video]].append((place, f"svqa-{row}", entry))
    else:
        files = [folder / f"{stem}_qa.json" for stem in _FILES.values()]
        for part, path in zip(PARTS, files, strict=True):
            for row, entry in enumerate(read_entries(path)):
                entries[part].append((f"{path}, question {row}", f"{_FILES[part]}-{row}", entry))
    parts = {part: [_svqa_row(*one) for one in found] for part, found in entries.items()}
    return vqa_content(
        request,
        parts,
        feature_visuals(features_of(request), request.id),
        types=tuple(sorted({row.type for rows in parts.values() for row in rows})),
        identity={path.name: file_digest(path) for path in files},
    )


def read_entries(path: Path) -> list[Mapping[str, Any]]:
    """Reads a JSON list of objects.

    Raises:
        DataError: The file is missing or holds anything else; names the entry.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the questions {str(path)!r}: {error}.") from error
    if not isinstance(entries, list):
        raise DataError(f"{path} must hold a list of questions, but holds a {type(entries).__name__}.")
    odd = next((row for row, entry in enumerate(entries) if not isinstance(entry, dict)), None)
    if odd is not None:
        raise DataError(f"{path}, question {odd}: must be an object, but is {entries[odd]!r}.")
    return entries


def features_of(request: Request) -> StoredFeatures:
    """Returns the features in the dataset's folder: `features.h5`, or HCRN's two files.

    Raises:
        DataError: There are none.
    """
    folder = _folder(request)
    own = folder / FEATURES_FILE
    if own.is_file():
        return open_features(own, own)
    pair = [folder / f"{request.card.name}_{kind}_feat.h5" for kind in ("appearance", "motion")]
    missing = [path for path in pair if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]} is not there.",
            hint="Extract features with HCRN's or DualVGR's preprocess_features.py, or with "
            f"`bench data features {request.card.name} --frames FOLDER --backbone NAME --out {own}`.",
        )
    return open_features(*pair)


def stored_visuals(request: Request) -> Visuals | None:
    """Returns the features of a `features.h5` in the dataset's folder, which wins over built-in ones; None without."""
    own = _folder(request) / FEATURES_FILE
    return feature_visuals(open_features(own, own), request.id, derived=FEATURES_FILE) if own.is_file() else None


def feature_visuals(features: StoredFeatures, name: str, *, derived: str | None = None) -> Visuals:
    """Returns what `vqa_content` wants of features on disk."""

    def load(part: str, ids: Sequence[str]) -> Clips:
        return features.load(ids, f"{name} ({part})")

    return Visuals(features.appearance.shape[-1], features.motion.shape[-1], derived, load, features.identity)


def _folder(request: Request) -> Path:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    return Path(request.folder)


def _text(entry: Mapping[str, Any], name: str, place: str) -> str:
    value = entry.get(name)
    if value is None or isinstance(value, (list, dict, bool)):
        raise DataError(f"{place}: {name!r} must be text or a number, but is {value!r}.")
    return str(value)


def _svqa_parts(folder: Path) -> dict[str, str]:
    part_of: dict[str, str] = {}
    for part, stem in _FILES.items():
        path = folder / f"{stem}_svqa_ids.txt"
        try:
            ids = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read the id list {str(path)!r}: {error}.",
                hint="The lists are in SVQA_splits/ of DualVGR's repository; the published numbers need exactly those.",
            ) from error
        for id_ in ids:
            if part_of.setdefault(id_, part) != part:
                raise DataError(f"{path}: video {id_!r} is in the list of {part_of[id_]!r} too.")
    return part_of


def _svqa_row(place: str, id_: str, entry: Mapping[str, Any]) -> QuestionRow:
    program = entry.get("program")
    last = program[-1] if isinstance(program, list) and program else None
    if not isinstance(last, dict) or not isinstance(last.get("function"), str):
        raise DataError(f"{place}: 'program' must be a list of steps with a 'function', but is {program!r}.")
    video, text, answer = (_text(entry, name, place) for name in ("id", "question", "ans"))
    return QuestionRow(place, id_, video, text, answer, last["function"])
