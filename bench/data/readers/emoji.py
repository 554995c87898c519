"""Noto emoji from one zip: images with names and keywords, and pairs that differ in skin tone or gender.

Emoji of one figure (its skin tones, and its female, male and neutral forms) are near copies of each other, so they
stay in one part: the split is by `base`, and bases that a gender pair links go together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.data.files import file_digest
from bench.data.readers.captions import CaptionPart, EditPart, captioned_content, edits_content
from bench.data.readers.images import Source, zip_reader
from bench.data.readers.questions import grouped
from bench.data.readers.text import words
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

ARCHIVE, META = "emoji_72.zip", "meta.jsonl"
READER_VERSION = 1
SEED = "emoji 1"
SHARES = {"test": 0.12, "valid": 0.08, "train": 1.0}
"""Of the groups; `train` takes what the others leave."""
FEMALE, MALE, WOMAN, MAN = "2640", "2642", "1f469", "1f468"
"""Code points of the signs and of the persons."""


class Emoji(NamedTuple):
    """One emoji.

    Attributes:
        file: Its image in the zip.
        codepoints: Joined by underscores.
        caption: Name, then the keywords that add a word to it.
        skin: Skin tones, by code point.
        base: What it is without skin tones; empty for the tones themselves.
    """

    file: str
    codepoints: str
    caption: str
    skin: tuple[str, ...]
    base: str


def read(request: Request) -> Content:
    """Reads images and captions.

    Raises:
        DataError: The zip or `meta.jsonl` is damaged.
    """
    source, emoji = _open(request)
    parts = {part: CaptionPart([one.file for one in rows], [one.caption for one in rows])
             for part, rows in split(emoji).items()}  # fmt: skip
    return captioned_content(
        request, source, parts, identity={"reader": READER_VERSION, "seed": SEED}, notes={"grouped_by": "figure"}
    )


def read_edits(request: Request) -> Content:
    """Reads pairs: from no skin tone to each tone, and between the genders both ways.

    Raises:
        DataError: The zip or `meta.jsonl` is damaged.
    """
    source, emoji = _open(request)
    parts = {}
    counts = {"skin_pairs": 0, "gender_pairs": 0}
    for part, rows in split(emoji).items():
        skin, gender = skin_pairs(rows), gender_pairs(rows)
        counts["skin_pairs"] += len(skin)
        counts["gender_pairs"] += len(gender)
        pairs = [*skin, *gender, *((after, before) for before, after in gender)]
        parts[part] = EditPart(
            ids=[f"{before.codepoints}>{after.codepoints}" for before, after in pairs],
            sources=[before.file for before, _ in pairs],
            captions=[before.caption for before, _ in pairs],
            targets=[after.file for _, after in pairs],
            wanted=[after.caption for _, after in pairs],
        )
    return edits_content(request, source, parts, identity={"reader": READER_VERSION, "seed": SEED}, sizes=counts)


def read_meta(path: Path) -> list[Emoji]:
    """Reads `meta.jsonl`.

    Raises:
        DataError: It is missing, a line is no JSON object, or lacks a field.
    """
    with zip_reader(path) as fetch:
        text = fetch(META)
    found = []
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        place = f"{path}, {META} line {number}"
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place}: not a JSON object: {error}.") from error
        missing = [key for key in ("file", "codepoints", "name", "keywords", "skin", "base") if key not in row]
        if missing:
            raise DataError(f"{place} lacks {missing[0]!r}.")
        found.append(
            Emoji(
                row["file"], row["codepoints"], caption(row["name"], row["keywords"]), tuple(row["skin"]), row["base"]
            )
        )
    return found


def caption(name: str, keywords: Iterable[str]) -> str:
    """Returns the name, then a comma and each keyword that has a word not said before."""
    told = [name]
    said = set(words(name))
    for keyword in keywords:
        new = set(words(keyword)) - said
        if new:
            told.append(keyword)
            said |= new
    return ", ".join(told)


def skin_pairs(emoji: Iterable[Emoji]) -> list[tuple[Emoji, Emoji]]:
    """Returns (without tone, with tone) pairs of one base."""
    rows = [one for one in emoji if one.base]
    plain = {one.base: one for one in rows if not one.skin}
    return [(plain[one.base], one) for one in rows if one.skin and one.base in plain]


def gender_pairs(emoji: Iterable[Emoji]) -> list[tuple[Emoji, Emoji]]:
    """Returns (female, male) pairs: those that differ in the sign, and those that differ in one person."""
    by_code = {one.codepoints: one for one in emoji}
    pairs = []
    for code, one in by_code.items():
        points = code.split("_")
        for female, male in ((FEMALE, MALE), (WOMAN, MAN)):
            if points.count(female) == 1:
                other = "_".join(male if point == female else point for point in points)
                if other in by_code:
                    pairs.append((one, by_code[other]))
    return pairs


def split(emoji: Sequence[Emoji]) -> dict[str, list[Emoji]]:
    """Splits emoji by figure; the order inside a part is that of the file."""
    leader: dict[str, str] = {}

    def find(base: str) -> str:
        while leader.setdefault(base, base) != base:
            base = leader[base]
        return base

    for one in emoji:
        find(one.base)
    for female, male in gender_pairs(emoji):
        first, second = sorted((find(female.base), find(male.base)))
        leader[second] = first
    groups = {find(one.base) for one in emoji}
    found: Mapping[str, list[str]] = grouped(groups, seed=SEED, shares=SHARES)
    part_of = {group: part for part, names in found.items() for group in names}
    parts: dict[str, list[Emoji]] = {"train": [], "valid": [], "test": []}
    for one in emoji:
        parts[part_of[find(one.base)]].append(one)
    return parts


def _open(request: Request) -> tuple[Source, list[Emoji]]:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ARCHIVE
    return Source(str(path), file_digest(path), lambda: zip_reader(path)), read_meta(path)
