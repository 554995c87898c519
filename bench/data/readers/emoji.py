"""Noto emoji from one zip: images with names and keywords, and pairs that differ in skin tone or gender.

Emoji of one figure are near copies of each other, so they stay in one part: all skin tones, the female, male and
neutral forms, hair, both directions a person can face, couples and families however they are spelled, and pictures
that are the same file. What is another thing by its name is another figure, however near the pictures are: clock faces,
keycaps, the colours of hearts, a cat and a black cat.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from bench.data.files import file_digest
from bench.data.readers.captions import CaptionPart, EditPart, captioned_content, edits_content
from bench.data.readers.groups import Groups
from bench.data.readers.images import Source, read_zipped_rows, zip_reader
from bench.data.readers.questions import grouped
from bench.data.readers.text import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

ARCHIVE, META = "emoji_72.zip", "meta.jsonl"
READER_VERSION = 2
SEED = "emoji 2"
SHARES = {"test": 0.15, "valid": 0.11, "train": 1.0}
"""Of the figures of at most `LARGEST` emoji; `train` takes what the others leave."""
LARGEST = 40
"""Emoji of a figure that may leave training: a hundred couples would be a fifth of the test."""
FEMALE, MALE, WOMAN, MAN = "2640", "2642", "1f469", "1f468"
"""Code points of the signs and of the persons."""
PERSON, CHILD, FAMILY = "1f9d1", "1f9d2", "1f46a"
TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
JOINER, SELECTOR, RIGHT = "200d", "fe0f", "27a1"
HAIR = ("1f9b0", "1f9b1", "1f9b2", "1f9b3")
"""Red, curly, bald, white."""
MODIFIERS = frozenset((*TONES, *HAIR, FEMALE, MALE, JOINER, SELECTOR, RIGHT))
"""What a code point sequence may have besides its figure."""
ONE_FIGURE = (
    TONES,
    (FEMALE, MALE),
    (PERSON, WOMAN, MAN, "1f471", "1f9d4"),  # blond hair and beard are no modifiers but code points of their own
    (CHILD, "1f467", "1f466"),
    ("1f9d3", "1f475", "1f474"),  # older person, woman, man
    ("1fac5", "1f478", "1f934"),  # person with crown, princess, prince
    ("1f9d1_1f384", "1f936", "1f385"),  # Mx, Mrs. and Santa Claus
    ("1fac4", "1f930", "1fac3"),  # pregnant
    ("1f9d1_1f37c", "1f931"),  # feeding a baby
    ("1f483", "1f57a"),  # dancing
    ("1f9d1_1f91d_1f9d1", "1f46b", "1f46c", "1f46d"),  # holding hands
    ("1f9d1_2764_1f48b_1f9d1", "1f48f"),  # kiss
    ("1f9d1_2764_1f9d1", "1f491"),  # couple with heart
    ("1f91d", "1faf1_1faf2"),  # handshake, also of two hands with tones of their own
    ("1f6ba", "1f6b9"),  # women's and men's room
    ("1f448", "1f449"),  # hands and their mirror images: pointing, fist, flat, pushing
    ("1f91b", "1f91c"),
    ("1faf1", "1faf2"),
    ("1faf7", "1faf8"),
)
"""Rows of code points, without modifiers, that draw one figure."""
_FIRST = {code: row[0] for row in ONE_FIGURE for code in row}


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
    source, found = _open(request)
    parts = {
        part: CaptionPart([one.file for one in rows], [one.caption for one in rows]) for part, rows in found.items()
    }
    return captioned_content(
        request, source, parts, identity={"reader": READER_VERSION, "seed": SEED}, notes={"grouped_by": "figure"}
    )


def read_edits(request: Request) -> Content:
    """Reads pairs: from no skin tone to each tone, and between the genders both ways.

    Raises:
        DataError: The zip or `meta.jsonl` is damaged.
    """
    source, found = _open(request)
    parts = {}
    counts = {"skin_pairs": 0, "gender_pairs": 0}
    for part, rows in found.items():
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
    rows = read_zipped_rows(path, META, ("file", "codepoints", "name", "keywords", "skin", "base"))
    return [
        Emoji(row["file"], row["codepoints"], caption(row["name"], row["keywords"]), tuple(row["skin"]), row["base"])
        for row in rows
    ]


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


def figure(codepoints: str) -> str:
    """Returns what an emoji draws whatever its skin tone, gender, hair and direction, as code points."""
    points = codepoints.split("_")
    kept = [point for point in points if point not in MODIFIERS] or points
    whole = "_".join(kept)
    if whole in _FIRST:
        return _FIRST[whole]
    neutral = [_FIRST.get(point, point) for point in kept]
    if len(neutral) > 1 and set(neutral) <= {PERSON, CHILD}:
        return FAMILY
    whole = "_".join(neutral)
    return _FIRST.get(whole, whole)


def split(emoji: Sequence[Emoji], digests: Mapping[str, str]) -> dict[str, list[Emoji]]:
    """Splits emoji by figure; the order inside a part is that of the file.

    Args:
        emoji: All of them.
        digests: Content of each image file.
    """
    figures = Groups()
    names = {one.codepoints: f"figure {figure(one.codepoints)}" for one in emoji}
    for one in emoji:
        figures.link(names[one.codepoints], f"base {one.base}")
        figures.link(names[one.codepoints], f"image {digests[one.file]}")
    members: dict[str, list[Emoji]] = {}
    for one in emoji:
        members.setdefault(figures.of(names[one.codepoints]), []).append(one)
    small = [name for name, rows in members.items() if len(rows) <= LARGEST]
    part_of = {name: part for part, found in grouped(small, seed=SEED, shares=SHARES).items() for name in found}
    parts: dict[str, list[Emoji]] = {"train": [], "valid": [], "test": []}
    for one in emoji:
        parts[part_of.get(figures.of(names[one.codepoints]), "train")].append(one)
    return parts


def _open(request: Request) -> tuple[Source, dict[str, list[Emoji]]]:
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ARCHIVE
    emoji = read_meta(path)
    with zip_reader(path) as fetch:
        digests = {one.file: hashlib.sha256(fetch(one.file)).hexdigest() for one in emoji}
    return Source(str(path), file_digest(path), lambda: zip_reader(path)), split(emoji, digests)
