"""Reader of emoji: what one figure is, splits by figure, editing pairs, damage."""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from image_factories import encoded

from bench.data.dataset import open_dataset
from bench.data.readers import emoji
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEEDS = 40
"""Draws after which things that may be apart have been: two unlinked figures share a part in about 3 of 5."""


def emoji_row(code: str, name: str) -> dict[str, Any]:
    tones = [point for point in code.split("_") if point in emoji.TONES]
    base = "_".join(point for point in code.split("_") if point not in tones)
    return {
        "file": f"{code}.png",
        "codepoints": code,
        "name": name,
        "keywords": [name.split()[0], "drawing", name.split()[1].strip(":")],
        "skin": tones,
        "base": base,
    }


def emoji_rows(figures: int = 60) -> list[dict[str, Any]]:
    """Neutral, female and male forms of each figure, in three tones and, without a tone, in both directions."""
    rows = []
    for number in range(figures):
        for sign, who in (("", "person"), ("_200d_2640", "woman"), ("_200d_2642", "man")):
            for tone in ("", "_1f3fb", "_1f3ff"):
                rows.append(emoji_row(f"1fb{number:02d}{tone}{sign}", f"{who} number{number}{tone and f': {tone}'}"))
            rows.append(emoji_row(f"1fb{number:02d}{sign}_200d_27a1", f"{who} number{number}: right"))
    return rows


def picture(number: int) -> bytes:
    return encoded((number % 250, number // 250, 9), form="PNG")


def write_zip(path: Path, rows: list[dict[str, Any]], *, broken: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.jsonl", "\n".join(map(json.dumps, rows)))
        for number, row in enumerate(rows):
            archive.writestr(row["file"], b"no image" if row["file"] == broken else picture(number))


def drawn_parts(
    codes: Sequence[str], monkeypatch: pytest.MonkeyPatch, *, same_image: tuple[str, ...] = ()
) -> list[dict[str, str]]:
    """Returns the part of each code in many draws, with other figures around them."""
    rows = [emoji.Emoji(code, code, code, (), code) for code in (*codes, *(f"1fb{n:02d}" for n in range(60)))]
    digests = {row.file: "same" if row.codepoints in same_image else row.file for row in rows}
    draws = []
    for seed in range(SEEDS):
        monkeypatch.setattr(emoji, "SEED", f"seed {seed}")
        parts = emoji.split(rows, digests)
        draws.append({row.codepoints: part for part, found in parts.items() for row in found})
    return draws


# --- figures ---------------------------------------------------------------------------------------------------------

ALIKE = {
    "tone": ("1f44b", "1f44b_1f3fb", "1f44b_1f3ff"),
    "swatches": ("1f3fb", "1f3fd"),
    "signs": ("2640", "2642"),
    "walking": ("1f6b6", "1f6b6_1f3fd_200d_2640", "1f6b6_200d_2642_fe0f", "1f6b6_200d_2642_200d_27a1"),
    "pilot": ("1f9d1_200d_2708", "1f468_1f3fb_200d_2708_fe0f", "1f469_200d_2708"),
    "hair": ("1f9d1", "1f468_1f3fb_200d_1f9b0", "1f471_200d_2640", "1f9d4_1f3ff", "1f469"),
    "crown": ("1fac5", "1f478_1f3fb", "1f934"),
    "claus": ("1f9d1_200d_1f384", "1f9d1_1f3fb_200d_1f384", "1f936_1f3fb", "1f385"),
    "feeding": ("1f931_1f3fb", "1f469_1f3fd_200d_1f37c"),
    "holding hands": (
        "1f46c_1f3fe",
        "1f468_1f3fe_200d_1f91d_200d_1f468_1f3fd",
        "1f46b",
        "1f469_1f3fb_200d_1f91d_200d_1f468_1f3fc",
        "1f46d",
        "1f9d1_200d_1f91d_200d_1f9d1",
    ),
    "kiss": (
        "1f48f_1f3fb",
        "1f9d1_1f3fb_200d_2764_fe0f_200d_1f48b_200d_1f9d1_1f3fc",
        "1f469_200d_2764_200d_1f48b_200d_1f468",
    ),
    "heart": ("1f491", "1f468_200d_2764_200d_1f468", "1f9d1_1f3fb_200d_2764_200d_1f9d1_1f3fc"),
    "family": ("1f46a", "1f468_200d_1f466", "1f469_200d_1f469_200d_1f467_200d_1f466", "1f9d1_200d_1f9d1_200d_1f9d2"),
    "handshake": ("1f91d_1f3fb", "1faf1_1f3fb_200d_1faf2_1f3fc"),
    "mirrored": ("1f448_1f3fb", "1f449"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_spellings_and_forms_of_one_figure_are_never_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in drawn_parts(ALIKE[name], monkeypatch):
        assert len({draw[code] for code in ALIKE[name]}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1f550", "1f551"),  # one and two o'clock
        ("0030_20e3", "0038_20e3"),  # keycaps 0 and 8
        ("1f499", "1f49a"),  # blue and green heart
        ("1f408", "1f408_200d_2b1b"),  # cat and black cat
        ("1f48f", "1f491"),  # kiss and couple with heart
        ("1f9d1_200d_2708", "1f9d1_200d_2695"),  # pilot and health worker
        ("1f9d1", "1f9d2"),  # person and child
        ("1f9b0", "1f9d1_200d_1f9b0"),  # red hair and person with red hair
        ("27a1", "2b05"),  # arrows
        ("1f3f3", "1f3f3_200d_1f308"),  # white flag and rainbow flag
    ],
)
def test_different_things_are_drawn_apart(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(draw[one] != draw[other] for draw in drawn_parts((one, other), monkeypatch))


def test_emoji_with_the_same_image_are_never_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ("1f600", "1f601", "1f602")
    draws = drawn_parts(codes, monkeypatch, same_image=codes[:2])
    assert all(draw["1f600"] == draw["1f601"] for draw in draws)
    assert any(draw["1f600"] != draw["1f602"] for draw in draws)


@pytest.mark.parametrize(("forms", "stays"), [(emoji.LARGEST, False), (emoji.LARGEST + 1, True)])
def test_a_figure_of_too_many_emoji_stays_in_training(forms: int, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ["1f46c" + "_1f3fb" * number for number in range(forms)]
    found = {draw[code] for draw in drawn_parts(codes, monkeypatch) for code in codes}
    assert (found == {"train"}) == stays


# --- data sets -------------------------------------------------------------------------------------------------------


def test_emoji_of_one_figure_stay_in_one_part(data_folder: Path) -> None:
    write_zip(data_folder / "emoji" / "emoji_72.zip", emoji_rows())
    data = open_dataset("emoji")
    training, test = data.training(), data.test()
    numbers = [
        {text.split()[1].strip(":,") for text in rows.captions.texts} for rows in (training.train, training.valid, test)
    ]
    assert all(numbers) and not numbers[0] & numbers[1] and not (numbers[0] | numbers[1]) & numbers[2]


@pytest.mark.parametrize(("name", "side"), [("emoji", 32), ("emoji-64", 64), ("emoji-72", 72)])
def test_emoji_are_served_at_the_side_of_the_card(data_folder: Path, name: str, side: int) -> None:
    write_zip(data_folder / "emoji" / "emoji_72.zip", emoji_rows(12))
    data = open_dataset(name)
    assert data.training().train.pixels.shape[1:] == data.test().pixels.shape[1:] == (side, side, 3)
    assert data.modalities["image"].dim == side


def test_emoji_pairs_differ_in_tone_or_gender_alone(data_folder: Path) -> None:
    write_zip(data_folder / "emoji" / "emoji_72.zip", emoji_rows())
    data = open_dataset("emoji-edits")
    assert data.sizes["skin_pairs"] == 60 * 6 and data.sizes["gender_pairs"] == 60 * 4
    train = data.training().train
    assert train.truth.shape == train.sources.pixels.shape
    for before, after in zip(train.sources.captions.texts, train.targets.texts, strict=True):
        first, second = (text.replace("woman", "man") for text in (before, after))
        assert before != after and (first == second or first.partition(",")[0] == second.partition(":")[0])


def test_the_number_of_tokens_is_that_of_training_captions(data_folder: Path) -> None:
    rows = emoji_rows(30)
    path = data_folder / "emoji" / "emoji_72.zip"
    write_zip(path, rows)
    tested = set(open_dataset("emoji").test().ids.tolist())
    for row in rows:
        if row["file"] in tested:
            row["keywords"] = [f"word{number}" for number in range(20)]
    write_zip(path, rows)
    data = open_dataset("emoji")
    train, test = data.training().train.captions, data.test().captions
    assert train.tokens.shape[1] == test.tokens.shape[1] == train.lengths.max() == test.lengths.max() < 10
    assert all(text.endswith("word19") for text in test.texts), "texts are whole"


def test_a_caption_is_the_name_and_the_keywords_that_add_a_word() -> None:
    assert emoji.caption("red heart", ["heart", "red", "love", "deep love"]) == "red heart, love, deep love"


@pytest.mark.parametrize("damage", ["broken", "line", "object", "field", "image"])
def test_a_damaged_emoji_archive_is_an_error_that_names_the_place(data_folder: Path, damage: str) -> None:
    rows = emoji_rows(12)
    path = data_folder / "emoji" / "emoji_72.zip"
    if damage == "field":
        del rows[3]["skin"]
    write_zip(path, rows, broken=rows[5]["file"] if damage == "broken" else "")
    if damage in ("line", "object", "image"):
        more = {"line": "{oops", "object": "5", "image": json.dumps(rows[1])}[damage]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("meta.jsonl", json.dumps(rows[0]) + "\n" + more)
            archive.writestr(rows[0]["file"], picture(0))
    said = {
        "broken": rows[5]["file"],
        "line": "line 2",
        "object": "line 2 lacks 'file'",
        "field": "'skin'",
        "image": rows[1]["file"],
    }
    with pytest.raises(DataError) as caught:
        open_dataset("emoji").training()
    assert said[damage] in caught.value.message


# --- real files ------------------------------------------------------------------------------------------------------

HAIR_ALONE = {"1f9b0", "1f9b1", "1f9b2", "1f9b3"}
"""Wigs: named like the persons that wear them."""
SEXES = frozenset("man men woman women person people boy girl child adult male female santa mrs. mx and with".split())
TOLD_ALIKE = {
    "princess": "prince", "person with crown": "prince", "mermaid": "mer", "merman": "mer", "merperson": "mer",
    "older": "old", "feeding baby": "breast-feeding",
}  # fmt: skip


def name_key(name: str) -> str:
    """What the published name says without tone, direction and sex."""
    plain = re.sub(r"(medium-light|medium-dark|light|medium|dark) skin tone|facing right", "", name.lower())
    for told, alike in TOLD_ALIKE.items():
        plain = plain.replace(told, alike)
    return " ".join(sorted(set(re.split(r"[\s,:]+", plain.replace("’s", ""))) - SEXES - {""}))


def drawing_key(code: str) -> str:
    """What Unicode's names of the code points say without tone, direction and sex."""
    names = [unicodedata.name(chr(int(point, 16)), point) for point in code.split("_")]
    if len(names) > 1:
        aside = "FITZPATRICK|JOINER|VARIATION|FEMALE SIGN|^MALE SIGN|RIGHTWARDS ARROW|COMPONENT"
        names = [name for name in names if not re.search(aside, name)]
    plain = re.sub(r"\b(MAN|WOMAN|ADULT)\b", "PERSON", " / ".join(names))
    return re.sub(r"\b(BOY|GIRL|CHILD)\b", "CHILD", plain)


@pytest.mark.realdata
def test_no_figure_name_or_picture_of_real_emoji_is_in_two_parts(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "emoji" / "emoji_72.zip") as archive:
        rows = [json.loads(line) for line in archive.read("meta.jsonl").decode().splitlines()]
    by_file = {row["file"]: row for row in rows}
    data = open_dataset("emoji-72")
    training = data.training()
    parts = {"train": training.train, "valid": training.valid, "test": data.test()}
    where: dict[str, set[str]] = {}
    for part, images in parts.items():
        for file, pixels in zip(images.ids.tolist(), images.pixels, strict=True):
            row = by_file[file]
            keys = [f"code {drawing_key(row['codepoints'])}", f"pixels {np.asarray(pixels).tobytes().hex()}"]
            told = name_key(row["name"])
            if told and row["codepoints"] not in HAIR_ALONE:
                keys.append(f"name {told}")
            for key in keys:
                where.setdefault(key, set()).add(part)
    assert sum(map(len, parts.values())) == len(rows)
    assert [key[:80] for key, found in where.items() if len(found) > 1] == []
    assert sum(key.startswith("name") for key in where) < 1500 < len(rows), "names are folded"


@pytest.mark.realdata
def test_no_real_edit_asks_for_a_figure_that_training_shows(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "emoji" / "emoji_72.zip") as archive:
        rows = [json.loads(line) for line in archive.read("meta.jsonl").decode().splitlines()]
    names = {row["codepoints"]: row["name"] for row in rows}
    data = open_dataset("emoji-edits")
    training = data.training()
    keys = [
        {(name_key(names[code]) or drawing_key(code)) for id_ in pairs.ids.tolist() for code in id_.split(">")}
        for pairs in (training.train, training.valid, data.test())
    ]
    assert all(keys) and not keys[0] & keys[1] and not (keys[0] | keys[1]) & keys[2]


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["emoji", "emoji-64", "emoji-72", "emoji-edits"])
def test_real_emoji_are_as_many_as_their_card_says(name: str) -> None:
    assert open_dataset(name).notes["differs_from_card"] == []
