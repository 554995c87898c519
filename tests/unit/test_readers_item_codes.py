"""Codes of items as frames: one one-hot vector for each level, columns of its own, and damage is named."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch

from bench.data.card import ContentCard
from bench.data.content import Request
from bench.data.dataset import open_dataset
from bench.data.protocols import PROTOCOLS
from bench.data.readers import sequences
from bench.data.readers.item_codes import read
from bench.data.registry import DATASETS
from bench.errors import DataError
from bench.methods.registry import METHODS
from bench.testing.sequential import build

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.content import Content

OPTIONS = {"columns": ["image_codes", "text_codes"], "levels": 2, "size": 3}
ROWS = [[0, 1, 2, 1], [2, 1, 0]]
ITEMS: dict[str, Any] = {
    "item": [1, 0, 2, 3],
    "image_codes": [[2, 0], [1, 1], [0, 0], [2, 2]],
    "text_codes": [[0, 1], [2, 2], [0, 0], [1, 0]],
}
"""Item 0 has the codes 1, 1, 2, 2; item 3 is in nobody's history."""


@pytest.fixture
def folder(data_folder: Path) -> Path:
    rows = [(user, step, item) for user, row in enumerate(ROWS) for step, item in enumerate(row)]
    pl.DataFrame(rows, schema=["user", "step", "item"], orient="row").write_parquet(data_folder / "sequences.parquet")
    pl.DataFrame(ITEMS).write_parquet(data_folder / "items.parquet")
    return data_folder


def content(path: Path, reader: Any = read) -> Content:
    card = ContentCard.model_construct(name="s", generated=False, options=OPTIONS)
    found: Content = reader(Request("s", 1.0, path, card, PROTOCOLS["loo-v1"], lambda what, done, total: None))
    return found


def test_every_level_is_a_frame_with_columns_of_its_own_image_before_text(folder: Path) -> None:
    found = content(folder)
    info, frames = found.modalities["frames"], found.training("d").modalities["frames"].features
    assert (info.kind, info.dim) == ("clips", 12) and info.derived is not None
    assert frames.shape == (4, 4, 12)
    columns = [[1, 3 + 1, 6 + 2, 9 + 2], [2, 3 + 0, 6 + 0, 9 + 1], [0, 3, 6, 9], [2, 3 + 2, 6 + 1, 9 + 0]]
    expected = np.zeros((4, 4, 12))
    for item, row in enumerate(columns):
        for frame, column in enumerate(row):
            expected[item, frame, column] = 1
    np.testing.assert_array_equal(frames, expected)


def test_items_that_nobody_took_count_and_the_histories_are_the_plain_readers(folder: Path) -> None:
    plain, coded = content(folder, sequences.read), content(folder)
    assert (plain.training("d").n_items, coded.training("d").n_items) == (3, 4)
    for part in ("offsets", "items"):
        np.testing.assert_array_equal(
            getattr(coded.training("d").train, part), getattr(plain.training("d").train, part)
        )
    np.testing.assert_array_equal(coded.test().targets, plain.test().targets)


def test_without_a_file_of_items_there_are_no_frames_and_the_identity_is_the_plain_readers(folder: Path) -> None:
    coded = content(folder)
    (folder / "items.parquet").unlink()
    bare = content(folder)
    assert bare.modalities == {} and bare.training("d").modalities == {}
    assert bare.identity == content(folder, sequences.read).identity != coded.identity


def test_other_codes_are_another_identity(folder: Path) -> None:
    before = content(folder)
    pl.DataFrame(ITEMS | {"text_codes": [[0, 1], [2, 2], [0, 0], [1, 1]]}).write_parquet(folder / "items.parquet")
    after = content(folder)
    assert before.identity != after.identity
    frames = [found.training("d").modalities["frames"].features for found in (before, after)]
    assert np.argwhere((frames[0] != frames[1]).any(axis=2)).tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"text_codes": [[0, 1], [2, 3], [0, 0], [1, 0]]},
            r"'text_codes' .* 2 codes from 0 to 2, .* item 0 has \[2, 3\]",
        ),
        ({"image_codes": [[2, 0], [1, 1], [0, -1], [2, 2]]}, r"'image_codes' .* item 2 has \[0, -1\]"),
        ({"image_codes": [[2, 0], [1, 1], [0], [2, 2]]}, r"item 2 has \[0\]"),
        ({"image_codes": [[2, 0], None, [0, 0], [2, 2]]}, r"item 0 has None"),
        ({"image_codes": [[2, 0], [1, None], [0, 0], [2, 2]]}, r"item 0 has \[1, None\]"),
        ({"image_codes": [2, 1, 0, 2]}, r"'image_codes' must hold lists of whole numbers, but holds Int64"),
        ({"image_codes": [["a"]] * 4}, r"lists of whole numbers, but holds List\(String\)"),
        ({"item": [1, 0, 2, 4]}, r"'item' must hold every item from 0 to at least 2 once"),
        ({"item": ["a", "b", "c", "d"]}, r"'item' must hold whole numbers"),
    ],
)
def test_damaged_codes_are_refused_with_column_and_item(folder: Path, changes: dict[str, Any], message: str) -> None:
    pl.DataFrame(ITEMS | changes, strict=False).write_parquet(folder / "items.parquet")
    with pytest.raises(DataError, match=rf"items\.parquet.*{message}"):
        content(folder)


def test_fewer_items_than_the_histories_name_a_missing_column_and_no_table_are_refused(folder: Path) -> None:
    path = folder / "items.parquet"
    pl.DataFrame({name: values[:2] for name, values in ITEMS.items()}).write_parquet(path)
    with pytest.raises(DataError, match="every item from 0 to at least 2 once"):
        content(folder)
    pl.DataFrame(ITEMS).rename({"text_codes": "text_code"}).write_parquet(path)
    with pytest.raises(DataError, match=r"no column 'text_codes'; it has .* Did you mean 'text_code'"):
        content(folder)
    path.write_text("no")
    with pytest.raises(DataError, match=r"cannot read .*items\.parquet"):
        content(folder)


def test_mealrec_reads_the_codes_and_tells_items_apart_by_them(folder: Path) -> None:
    data = content(folder).training("d")
    assert METHODS.get("mealrec").needs.missing("s", content(folder).modalities) is None
    method = build("mealrec", data, config={"dim": 8, "steps": 5}).eval()
    with torch.no_grad():
        clean = method.content().content
    assert clean.shape == (4, 8) and bool(torch.isfinite(clean).all())
    distances = torch.cdist(clean, clean)[~torch.eye(4, dtype=torch.bool)]
    assert distances.min() > 1e-3, "no two items have the same codes"


def test_the_codes_of_real_instruments_come_back_from_their_frames(real_data: Path) -> None:
    path = real_data / "instruments" / "items.parquet"
    if not path.is_file():
        pytest.skip(f"real data: there is no {path}")
    (known,) = [file for file in DATASETS.get("instruments").files if file.path == "items.parquet"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == known.sha256
    dataset = open_dataset("instruments")
    frames = dataset.training().modalities["frames"].features
    assert frames.shape == (6_250, 8, 2_048) and dataset.modalities["frames"].dim == 2_048
    table = pl.read_parquet(path).sort("item")
    codes = np.array([image + text for image, text in table.select("image_codes", "text_codes").iter_rows()])
    for start in range(0, len(frames), 1_000):
        block = np.asarray(frames[start : start + 1_000], dtype=np.float32)
        assert (block.sum(axis=2) == 1).all()
        np.testing.assert_array_equal(block.argmax(axis=2), codes[start : start + 1_000] + 256 * np.arange(8))
    distinct = [len(np.unique(part, axis=0)) for part in (codes[:, :4], codes[:, 4:])]
    assert distinct == [6_250, 5_988]
    assert any(
        f"all {distinct[0]:,} items" in note and f"{distinct[1]:,} values" in note for note in dataset.card.known_issues
    )
