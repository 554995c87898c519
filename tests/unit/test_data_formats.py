"""Readers: what they accept, and one clear error with file and row for everything else."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.data.formats import check_features, map_features, read_inter, read_interactions, read_neighbours
from bench.errors import DataError

RAW = Path(__file__).parents[1] / "assets" / "raw"
BAD_INTER = {
    "negative": r"negative\.inter, line 4: 'userID' must be an integer from 0 to 9, but it is '-1'\.$",
    "out_of_range": r"out_of_range\.inter, line 3: 'itemID' must be an integer from 0 to 9, but it is '10'\. 1 more",
    "not_a_number": r"not_a_number\.inter, line 5: 'itemID' must be an integer .*, but it is 'B00005'",
    "fraction": r"fraction\.inter, line 2: 'userID' must be an integer .*, but it is '0\.5'",
    "missing_id": r"missing_id\.inter, line 3: 'itemID' must be an integer .*, but it is nothing",
    "too_large": r"too_large\.inter, line 2: 'userID' must be an integer .*, but it is '99999999999999999999'",
    "duplicate": r"duplicate\.inter, line 5: user 1 and item 2 repeat line 3",
    "bad_label": r"bad_label\.inter, line 4: 'x_label' must be 0 .*, but it is '3'",
    "bad_time": r"bad_time\.inter, line 2: 'timestamp' must be unix seconds, but it is 'yesterday'",
    "no_item_column": r"no_item_column\.inter has no column 'itemID'; it has .*\. Did you mean 'itemId'",
    "no_rows": r"no_rows\.inter holds no rows",
    "empty": r"empty\.inter cannot be read as tab-separated text",
    "ragged": r"ragged\.inter cannot be read as tab-separated text",
    "binary": r"binary\.inter",
}


@pytest.mark.parametrize("name", BAD_INTER)
def test_bad_inter_file_is_one_error_with_file_and_line(name: str) -> None:
    with pytest.raises(DataError, match=BAD_INTER[name]):
        read_inter(RAW / f"{name}.inter", max_users=10, max_items=10)


def test_every_bad_asset_has_its_expected_message() -> None:
    assert {path.stem for path in RAW.glob("*.inter")} == {*BAD_INTER, "good"}


def test_inter_reads_ids_times_and_labels_in_file_order() -> None:
    table = read_inter(RAW / "good.inter")
    assert table.users.tolist() == [1, 0, 0] and table.items.tolist() == [2, 4, 0]
    assert table.times is not None and table.times.tolist() == [1390694400, 1368230400, 1328140800]
    assert table.labels is not None and table.labels.tolist() == [0, 1, 2]
    assert table.users.dtype == np.int32 and table.labels.dtype == np.int8


def frame(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"user": [0, 1, 1, 2], "item": [0, 1, 2, 3], **columns})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (frame(user=[0, -4, 1, 2]), r"row 1 \(counted from 0\): 'user' must be an integer from 0 to 9, but it is -4"),
        (frame(item=[0, 1, 2, 10]), r"row 3 \(counted from 0\): 'item' must be an integer from 0 to 9, but it is 10"),
        (frame(user=[0, None, 1, 2]), r"row 1 .*'user' must be an integer .* but it is nothing"),
        (frame(user=["0", "1", "A1X", "2"]), r"row 2 .*'user' must be an integer .* but it is 'A1X'"),
        (frame(item=[0.0, 1.0, 2.0, 3.0]), r"column 'item' must be an integer .* but the file stores it as Float64"),
        (frame(user=[0, 1, 1, 1], item=[0, 1, 2, 1]), r"row 3 .*: user 1 and item 1 repeat row 1"),
        (
            frame(split=["train", "valid", "dev", "test"]),
            r"row 2 .*'split' must be train, valid or test, but it is 'dev'",
        ),
        (frame(split=["train", None, "dev", "test"]), r"row 1 .*'split' .* but it is nothing\. 1 more rows have"),
        (frame(time=["a", "b", "c", "d"]), r"row 0 .*'time' must be unix seconds, but it is 'a'"),
        (frame(time=[True, True, True, False]), r"column 'time' must be unix seconds, but the file stores Boolean"),
        (frame().drop("item"), r"has no column 'item'; it has user"),
        (frame().clear(), r"holds no rows"),
    ],
)
def test_bad_interactions_are_one_error_with_file_and_row(broken: pl.DataFrame, message: str, tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    broken.write_parquet(path)
    with pytest.raises(DataError, match=message) as caught:
        read_interactions(path, max_users=10, max_items=10)
    assert str(path) in caught.value.message


def test_missing_and_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    with pytest.raises(DataError, match=r"interactions\.parquet does not exist"):
        read_interactions(path)
    frame().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"interactions\.parquet cannot be read as Parquet"):
        read_interactions(path)
    with pytest.raises(DataError, match=r"gone\.inter does not exist"):
        read_inter(tmp_path / "gone.inter")


def test_documented_repeats_keep_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "interactions.parquet"
    frame(user=[0, 1, 1, 1], item=[0, 1, 2, 1], split=["train", "valid", "train", "test"]).write_parquet(path)
    table = read_interactions(path, drop_repeats=True)
    assert table.repeats == 1 and table.items.tolist() == [0, 1, 2]
    assert table.labels is not None and table.labels.tolist() == [0, 1, 0]


def test_features_are_mapped_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image_feat.npy"
    np.save(path, np.ones((3, 2), np.float16))
    assert isinstance(map_features(path), np.memmap)
    np.save(path, np.array([{"a": 1}, None]), allow_pickle=True)
    with pytest.raises(DataError, match=r"image_feat\.npy cannot be read as a plain \.npy array"):
        map_features(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match=r"image_feat\.npy cannot be read as a plain \.npy array"):
        map_features(path)


@pytest.mark.parametrize("array", [np.ones(3), np.ones((3, 2), int), np.ones((3, 0)), np.ones((1, 2, 3))])
def test_features_of_another_kind_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "f.npy"
    np.save(path, array)
    with pytest.raises(DataError, match=r"f\.npy must hold a matrix of floats"):
        map_features(path)


def test_truncated_features_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.npy"
    np.save(path, np.ones((30, 20)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"f\.npy cannot be read as a plain \.npy array"):
        map_features(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_row_and_column(value: float) -> None:
    features = np.ones((50, 7), np.float32)
    features[31, 4] = value
    with pytest.raises(DataError, match=r"f\.npy, row 31 \(counted from 0\), column 4: .* is not finite"):
        check_features(Path("f.npy"), features, 50, why="x")


def test_wrong_number_of_rows_names_both_numbers() -> None:
    with pytest.raises(DataError, match=r"f\.npy has 49 rows, but there must be one per item: 50 \(the card\)"):
        check_features(Path("f.npy"), np.ones((49, 7)), 50, why="the card")


@pytest.mark.parametrize(
    ("item", "neighbour", "message"),
    [
        ([0, 1], [0, 5], r"row 1 .*'neighbour' must be an integer from 0 to 4, but it is 5"),
        ([0, -1], [0, 1], r"row 1 .*'item' must be"),
        ([0, 1, 0], [1, 1, 1], r"row 2 .*: item 0 and neighbour 1 repeat row 0"),
    ],
)
def test_bad_neighbour_rows(item: list[int], neighbour: list[int], message: str, tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    pl.DataFrame({"item": item, "neighbour": neighbour}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read_neighbours(path, 5)
