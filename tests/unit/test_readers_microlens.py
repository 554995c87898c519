"""MicroLens from small files of the published layout, and what malformed ones are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bench.data.dataset import open_dataset
from bench.data.readers.microlens import read_pairs, read_titles
from bench.errors import DataError, DatasetUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

PAIRS, TITLES = "MicroLens-100k_pairs.csv", "MicroLens-100k_title_en.csv"
FEATURES = {
    "image": "MicroLens-100k_image_features_CLIPRN50.npy",
    "video": "MicroLens-100k_video_features_VideoMAE.npy",
    "text": "MicroLens-100k_title_en_text_features_BgeM3.npy",
}
FRAMES = "MicroLens-100k_frame_features.npy"
USERS, ITEMS = 12, 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 12 users with 15 interactions each over 30 videos; user ids have gaps, rows no order."""
    made = tmp_path / "data" / "microlens-100k"
    (made / "extracted_modality_features").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [
        (3 * user + 1, int(item) + 1, 1_600_000_000_000 + 1000 * step)
        for user in range(USERS)
        for step, item in enumerate(rng.permutation(ITEMS - 2)[:15])
    ]
    rng.shuffle(rows)
    lines = ["user,item,timestamp", *(",".join(map(str, row)) for row in rows), ",".join(map(str, rows[0]))]
    (made / PAIRS).write_text("\n".join(lines) + "\n", "utf-8")
    titles = [f"{item + 1},a title, with a comma {item + 1}" for item in range(ITEMS)]
    titles[4] = "5,"
    (made / TITLES).write_text("\n".join(titles), "utf-8-sig")
    for place, (name, file) in enumerate(FEATURES.items()):
        values = rng.normal(size=(ITEMS, 4 + place)).astype(np.float16 if name == "text" else np.float32)
        np.save(made / "extracted_modality_features" / file, values)
    np.save(made / FRAMES, rng.normal(size=(ITEMS, 3, 6)).astype(np.float32))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return made


def published(folder: Path) -> dict[int, list[int]]:
    """Published user id to published items by time, from the text itself; exact repeats once."""
    rows = {tuple(map(int, line.split(","))) for line in (folder / PAIRS).read_text().splitlines()[1:]}
    histories: dict[int, list[int]] = {}
    for user, _, item in sorted((user, time, item) for user, item, time in rows):
        histories.setdefault(user, []).append(item)
    return histories


def test_sequences_are_the_last_thirteen_by_time(folder: Path) -> None:
    dataset = open_dataset("microlens-100k")
    data, test = dataset.training(), dataset.test()
    assert (data.n_users, data.n_items) == (USERS, ITEMS)
    for user, history in enumerate(published(folder).values()):
        last = [item - 1 for item in history[-13:]]
        start, end = data.train.offsets[user : user + 2]
        assert data.train.items[start:end].tolist() == last[:-2]
        assert (data.valid.targets[user], test.targets[user]) == (last[-2], last[-1])
    assert dataset.notes["rows_before_the_last_ones"] == USERS * 2
    assert dataset.notes["repeated_rows_left_out"] == 1


def test_frames_are_read_where_they_are(folder: Path) -> None:
    frames = open_dataset("microlens-100k").training().modalities["frames"]
    assert frames.info.kind == "clips"
    np.testing.assert_array_equal(frames.features, np.load(folder / FRAMES))
    (folder / FRAMES).unlink()
    assert not open_dataset("microlens-100k").training().modalities


def test_general_recommendation_has_the_published_vectors(folder: Path) -> None:
    dataset = open_dataset("microlens-100k-general")
    data = dataset.training()
    assert {name: modality.features.shape for name, modality in data.modalities.items()} == {
        "image": (ITEMS, 4),
        "video": (ITEMS, 5),
        "text": (ITEMS, 6),
    }
    raw = np.load(folder / "extracted_modality_features" / FEATURES["text"])
    assert data.modalities["text"].features.dtype == np.float32
    np.testing.assert_array_equal(data.modalities["text"].features, raw.astype(np.float32))
    pairs = {(u, item - 1) for u, items in enumerate(published(folder).values()) for item in items}
    parts = (data.train, data.valid, dataset.test())
    found = [(int(u), int(i)) for part in parts for u, i in zip(part.users, part.items, strict=True)]
    assert set(found) == pairs and len(found) == len(pairs)
    # 15 rows: three are held out, one of them for validation.
    assert np.bincount(data.valid.users).tolist() == [1] * USERS
    assert np.bincount(dataset.test().users).tolist() == [2] * USERS
    assert data.train.times is not None and data.train.times.min() >= 1_600_000_000


def test_a_video_nobody_took_counts_as_an_item(folder: Path) -> None:
    assert open_dataset("microlens-100k-general").sizes["items"] == ITEMS
    (folder / TITLES).unlink()
    with pytest.raises(DataError, match="has 30 rows, but there must be one per item"):
        open_dataset("microlens-100k-general")


def test_the_digest_follows_the_files(folder: Path) -> None:
    digests = [open_dataset("microlens-100k").digest]
    np.save(folder / FRAMES, np.load(folder / FRAMES) + 1)
    digests.append(open_dataset("microlens-100k").digest)
    with (folder / PAIRS).open("a") as stream:
        stream.write("1,30,1700000000000\n")
    digests.append(open_dataset("microlens-100k").digest)
    assert len(set(digests)) == 3


def test_titles_keep_their_commas(folder: Path) -> None:
    titles = read_titles(folder / TITLES)
    assert titles[1] == "a title, with a comma 1" and titles[5] == "" and len(titles) == ITEMS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"cannot be read as CSV"),
        ("user,item,timestamp\n", r"holds no rows"),
        ("user,items,timestamp\n1,2,3\n", r"line 1: .*there are user, items, timestamp\. Did you mean 'items'\?"),
        ("user,item,timestamp\n1,2,3\n1,x,3\n", r"line 3: 'item' must be a whole number from 1, but it is 'x'\."),
        ("user,item,timestamp\n1,0,3\n", r"line 2: 'item' must be a whole number from 1, but it is '0'"),
        ("user,item,timestamp\n1,2,\n1,2,\n", r"line 2: 'timestamp' .* it is nothing\. 1 more lines"),
        ("user,item,timestamp\n-1,2,3\n", r"line 2: 'user' must be a whole number from 0"),
        ("user,item,timestamp\n1,2.5,3\n", r"line 2: 'item'"),
    ],
)
def test_malformed_pairs_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / PAIRS
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_pairs(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no titles"),
        (b"1,one\ntwo\n", "line 2: a line must be an item id from 1, a comma and a title: 'two'"),
        (b"1,one\n0,zero\n", "line 2"),
        (b"1,one\n1,again\n", "line 2: item 1 has a title already"),
        (b"1,\xff\n", "not UTF-8 text"),
    ],
)
def test_malformed_titles_name_the_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / TITLES
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_titles(path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((ITEMS, 6), np.float32), "must hold floats"),
        (np.zeros((ITEMS - 1, 3, 6), np.float32), r"must hold floats \(30 items"),
        (np.full((ITEMS, 3, 6), np.nan, np.float32), "not finite"),
        (np.zeros((ITEMS, 3, 6), np.int64), "of int64"),
    ],
)
def test_frames_of_another_form_are_refused(folder: Path, array: Any, words: str) -> None:
    np.save(folder / FRAMES, array)
    with pytest.raises(DataError, match=words):
        open_dataset("microlens-100k")


def test_a_truncated_array_is_refused(folder: Path) -> None:
    path = folder / "extracted_modality_features" / FEATURES["video"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as a plain"):
        open_dataset("microlens-100k-general")


def test_without_the_files_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(DatasetUnavailableError, match=r"no MicroLens-100k_pairs\.csv") as error:
        open_dataset("microlens-100k")
    assert "microlens-100k/" in str(error.value) and "microvideo-twin" in str(error.value)
