"""TMALL and H&M from small files of BeFA's layout, repeated rows included, and what malformed ones are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from bench.cli.app import build as build_cli
from bench.data.dataset import open_dataset
from bench.errors import DataError, DatasetUnavailableError, UserError
from bench.methods.registry import METHODS
from bench.tasks.recommendation import TASK
from bench.testing.recommendation import build, fit

if TYPE_CHECKING:
    from pathlib import Path

USERS, ITEMS = 12, 20
TRAIN, VALID, TEST = 0, 1, 2


def published() -> list[tuple[int, int, int]]:
    """Rows (user, item, label): six items each, the last user two; some rows repeat, within and across parts."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        items = rng.permutation(ITEMS)[: 2 if user == USERS - 1 else 6].tolist()
        labels = [TRAIN] * (len(items) - 2) + [VALID, TEST] if len(items) > 2 else [TRAIN, TEST]
        rows += [(user, item, label) for item, label in zip(items, labels, strict=True)]
        if user % 2:
            # The test item is a training item as well, and the validation item counts twice.
            rows += [(user, items[-1], TRAIN)] * 2 + [(user, items[-2], VALID)] * (len(items) > 2)
    rows += [(0, item, TRAIN) for item in range(ITEMS)]
    rng.shuffle(rows)
    return [(int(user), int(item), int(label)) for user, item, label in rows]


def write(folder: Path, rows: list[tuple[int, int, int]]) -> None:
    lines = ["userID,itemID,timestamp,x_label", *(f"{user},{item},04-{item:02d},{label}" for user, item, label in rows)]
    (folder / "inter.csv").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(params=["tmall", "hm"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "data" / name
    made.mkdir(parents=True)
    write(made, published())
    rng = np.random.default_rng(1)
    np.save(made / "image_feat.npy", rng.normal(size=(ITEMS, 5)).astype(np.float32))
    np.save(made / "text_feat.npy", rng.normal(size=(ITEMS, 3)))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return made


def test_rows_are_as_published_repeats_and_all(folder: Path, name: str) -> None:
    dataset = open_dataset(name)
    data = dataset.training()
    for label, part in ((TRAIN, data.train), (VALID, data.valid), (TEST, dataset.test())):
        expected = sorted((user, item) for user, item, own in published() if own == label)
        assert sorted(zip(part.users.tolist(), part.items.tolist(), strict=True)) == expected
    assert (data.n_users, data.n_items) == (USERS, ITEMS)
    distinct = {(user, item) for user, item, _ in published()}
    assert dataset.notes["distinct_pairs"] == len(distinct)
    assert dataset.notes["repeated_rows"] == len(published()) - len(distinct) > 0
    np.testing.assert_array_equal(data.modalities["image"].features, np.load(folder / "image_feat.npy"))
    text = np.load(folder / "text_feat.npy").astype(np.float32)
    np.testing.assert_array_equal(data.modalities["text"].features, text)


@pytest.mark.parametrize(("protocol", "hidden"), [("befa-v1", (TRAIN,)), ("befa-tv-v1", (TRAIN, VALID))])
def test_the_share_of_targets_that_can_be_hit_is_told(
    folder: Path, name: str, protocol: str, hidden: tuple[int, ...]
) -> None:
    told = open_dataset(name, protocol=protocol).notes["reach"]["test"]
    masked = {(user, item) for user, item, label in published() if label in hidden}
    targets = [(user, item) for user, item, label in published() if label == TEST]
    free = {pair for pair in targets if pair not in masked}
    assert 0 < len(free) < len(targets)
    assert (told["users"], told["users_reached"]) == (USERS, len({user for user, _ in free}))
    assert (told["targets"], told["targets_reached"]) == (len(targets), len(free))
    assert told["recall"] == pytest.approx(len(free) / USERS), "everybody has one test row"
    printed = CliRunner().invoke(build_cli(), ["data", "info", name]).output
    if protocol == "befa-v1":
        assert f"recall is at most {told['recall']:.4f} at any K" in printed
        assert "can be hit" in printed and "valid: " in printed


def test_without_repeats_each_pair_is_there_once_and_every_target_can_be_hit(folder: Path, name: str) -> None:
    dataset = open_dataset(f"{name}-unique")
    data, test = dataset.training(), dataset.test()
    parts = (data.train, data.valid, test)
    found = [(int(u), int(i)) for part in parts for u, i in zip(part.users, part.items, strict=True)]
    # The last user has two different items and nothing to train on, so that the others keep their numbers.
    expected = {(user, item) for user, item, _ in published() if user != USERS - 1}
    assert set(found) == expected and len(found) == len(expected)
    assert (data.n_users, data.n_items) == (USERS - 1, ITEMS)
    assert dataset.notes["users_left_out"] == {"fewer than 3 different items": 1}
    assert dataset.notes["reach"]["test"]["recall"] == dataset.notes["reach"]["valid"]["recall"] == 1.0
    # MMRec's rule: 20 items give two to each of valid and test, six give one.
    assert np.bincount(data.valid.users).tolist() == [2] + [1] * (USERS - 2)
    assert np.bincount(test.users).tolist() == [2] + [1] * (USERS - 2)
    assert data.modalities["image"].features.shape == (ITEMS, 5)


def test_users_without_enough_pairs_give_their_numbers_to_the_next(folder: Path, name: str) -> None:
    rows = [
        (0, 0, TRAIN),
        (0, 1, TEST),
        *((1, item, TRAIN) for item in range(4)),
        *((2, item, TRAIN) for item in range(3)),
    ]
    write(folder, rows)
    for file in ("image_feat.npy", "text_feat.npy"):
        (folder / file).unlink()
    dataset = open_dataset(f"{name}-unique")
    data = dataset.training()
    assert data.n_users == 2 and dataset.notes["absent_modalities"] == ["image", "text"]
    mine = [part.items[part.users == 0] for part in (data.train, data.valid, dataset.test())]
    assert np.sort(np.concatenate(mine)).tolist() == [0, 1, 2, 3]


def test_the_unique_split_depends_on_neither_order_nor_labels_nor_repeats(folder: Path, name: str) -> None:
    first = open_dataset(f"{name}-unique").notes["split_fingerprint"]
    shuffled = [(user, item, TRAIN) for user, item, _ in reversed(published())]
    write(folder, [*shuffled, shuffled[0]])
    assert open_dataset(f"{name}-unique").notes["split_fingerprint"] == first


def test_the_same_rows_in_parquet_are_the_same_data(folder: Path, name: str) -> None:
    split, unique = (open_dataset(card).notes["split_fingerprint"] for card in (name, f"{name}-unique"))
    rows = np.array(published())
    labels = np.array(["train", "valid", "test"])[rows[:, 2]]
    frame = pl.DataFrame({"user": rows[:, 0], "item": rows[:, 1], "split": labels})
    frame.write_parquet(folder / "interactions.parquet")
    (folder / "inter.csv").unlink()
    assert open_dataset(name).notes["split_fingerprint"] == split
    assert open_dataset(f"{name}-unique").notes["split_fingerprint"] == unique


@pytest.mark.parametrize("name", ["tmall"], indirect=True)
@pytest.mark.parametrize("method", ["mostpop", "ease", "itemknn", "lightgcn", "vbpr", "mgcn"])
def test_methods_learn_from_repeated_rows(folder: Path, name: str, method: str) -> None:
    data = open_dataset(name).training()
    made = build({"method": method}, data)
    if METHODS.get(method).closed_form:
        made.fit()
    else:
        fit(made, data, epochs=1)
    scored = TASK.validate(made, data, ["recall@5", "recall@20"])
    ceiling = open_dataset(name).notes["reach"]["valid"]["recall"]
    assert scored["recall@5"] <= scored["recall@20"] == pytest.approx(ceiling), "20 items: all that can be hit"
    with torch.no_grad():
        made.begin_scoring()
        assert torch.isfinite(made.score(torch.arange(USERS))).all()


HEADER = "userID,itemID,x_label"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}\n0,0,0\n0,x,1\n", ("inter.csv, line 3", "'itemID'", "'x'")),
        (f"{HEADER}\n0,0,0\n-1,0,1\n", ("inter.csv, line 3", "'userID'", "'-1'")),
        (f"{HEADER}\n0,0,0\n0,1,3\n", ("inter.csv, line 3", "'x_label' must be 0 (train), 1 (valid) or 2 (test)")),
        (f"{HEADER}\n0,0,0\n0,,1\n", ("inter.csv, line 3", "'itemID'", "nothing")),
        (f"{HEADER}\n", ("inter.csv", "holds no rows")),
        ("user,itemID,x_label\n0,0,0\n", ("inter.csv", "has no column 'userID'")),
        ("userID\titemID\tx_label\n0\t0\t0\n", ("inter.csv", "has no column 'userID'")),
        (f"{HEADER}\n0,0,0\n2,1,0\n", ("user ids must count from 0 without a gap", "the first that is missing is 1")),
        (f"{HEADER}\n0,1,0\n0,2,0\n", ("item ids must count from 0 without a gap", "the first that is missing is 0")),
        (f"{HEADER}\n0,0,0\n0,1,1\n0,2,1\n", ("'test'", "is empty")),
        ("userID,itemID\n0,0\n", ("has no column 'x_label'", "published split")),
    ],
)
def test_a_malformed_file_is_one_error_that_says_where(
    folder: Path, name: str, text: str, words: tuple[str, ...]
) -> None:
    (folder / "inter.csv").write_text(text, "utf-8")
    for file in ("image_feat.npy", "text_feat.npy"):
        (folder / file).unlink()
    with pytest.raises(DataError) as caught:
        open_dataset(name)
    assert all(word in caught.value.message for word in words), caught.value.message


def test_a_missing_split_names_the_variant_that_draws_one(folder: Path, name: str) -> None:
    (folder / "inter.csv").write_text("userID,itemID\n" + "".join(f"0,{item}\n" for item in range(ITEMS)), "utf-8")
    with pytest.raises(DataError) as caught:
        open_dataset(name)
    assert f"'{name}-unique'" in str(caught.value.hint)
    assert open_dataset(f"{name}-unique").sizes["rows"] == ITEMS


def test_too_few_pairs_to_split_are_an_error(folder: Path, name: str) -> None:
    (folder / "inter.csv").write_text(f"{HEADER}\n0,0,0\n0,1,0\n0,1,2\n", "utf-8")
    with pytest.raises(DataError, match="no user has 3 different items"):
        open_dataset(f"{name}-unique")


def test_vectors_there_must_be_one_for_each_item(folder: Path, name: str) -> None:
    np.save(folder / "image_feat.npy", np.zeros((ITEMS - 1, 5), dtype=np.float32))
    for card in (name, f"{name}-unique"):
        with pytest.raises(DataError, match=r"image_feat\.npy has 19 rows, .* one per item: 20"):
            open_dataset(card)


def test_files_that_are_not_here_are_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for card in (name, f"{name}-unique"):
        with pytest.raises(DatasetUnavailableError, match=r"inter\.csv") as caught:
            open_dataset(card)
        assert f"the folder that holds {name}/" in str(caught.value.hint)


def test_each_card_offers_the_protocols_of_its_rows(name: str) -> None:
    with pytest.raises(UserError, match=r"'mmrec-v1' is not offered"):
        open_dataset(name, protocol="mmrec-v1")
    with pytest.raises(UserError, match=r"'befa-v1' is not offered"):
        open_dataset(f"{name}-unique", protocol="befa-v1")
