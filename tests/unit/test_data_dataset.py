"""`open_dataset`: layouts, protocols, notes, digests, and one clear error for everything that does not fit."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from data_factories import (
    ITEMS,
    USERS,
    labels_by_rule,
    tiny_card,
    tiny_rows,
    write_features,
    write_inter,
    write_parquet,
)

from bench.data.dataset import open_dataset
from bench.data.registry import DATASETS
from bench.errors import DataError, DatasetUnavailableError, UnknownNameError, UserError

if TYPE_CHECKING:
    from pathlib import Path

AddCard = Callable[..., None]


@pytest.fixture
def data(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$BENCH_DATA's folder tiny/."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "tiny").mkdir(parents=True)
    return tmp_path / "data" / "tiny"


@pytest.fixture
def add_card() -> Iterator[AddCard]:
    def add(**changes: Any) -> None:
        DATASETS.remove("tiny")
        DATASETS.add("tiny", tiny_card(**changes))

    add()
    yield add
    DATASETS.remove("tiny")


def test_bench_layout_draws_mmrecs_split_from_all_rows(data: Path, add_card: AddCard) -> None:
    write_parquet(data)
    write_features(data)
    dataset = open_dataset("tiny")
    users, _ = tiny_rows()
    assert dataset.id == "tiny" and dataset.protocol.name == "mmrec-v1" and not dataset.generated
    assert dataset.sizes == {
        "users": USERS,
        "items": ITEMS,
        **dict(zip(("train", "valid", "test"), np.bincount(labels_by_rule(users)).tolist(), strict=True)),
    }
    assert "drawn by MMRec's rule" in dataset.notes["split_origin"]
    training = dataset.training()
    assert training is dataset.training() and training.digest == dataset.digest
    assert len(training.train) == dataset.sizes["train"] and len(dataset.test()) == dataset.sizes["test"]
    assert json.loads(json.dumps(dataset.notes)) == dataset.notes


def test_both_layouts_and_any_row_order_give_the_same_split_and_content(
    tmp_path: Path, add_card: AddCard, monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
) -> None:
    prints = set()
    for name in ("a", "b", "c"):
        folder = tmp_path / name / "tiny"
        shuffled = np.random.default_rng(0).permutation(len(tiny_rows()[0])) if name == "c" else None
        write_parquet(folder) if name == "a" else write_inter(folder, order=shuffled)
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / name))
        dataset = open_dataset("tiny")
        assert dataset.notes["layout"] == ("bench" if name == "a" else "mmrec")
        prints.add(dataset.notes["split_fingerprint"])
    assert len(prints) == 1


def test_mmrec_labels_are_used_when_they_follow_the_rule(data: Path, add_card: AddCard) -> None:
    labels = labels_by_rule(tiny_rows()[0])
    write_inter(data, labels=labels)
    dataset = open_dataset("tiny")
    users, items = tiny_rows()
    assert dataset.test().users.tolist() == users[labels == 2].tolist()
    assert dataset.test().items.tolist() == items[labels == 2].tolist()
    assert dataset.test().times is not None
    assert "follows MMRec's rule for every user" in dataset.notes["split_origin"]


def test_labels_with_valid_and_test_exchanged_are_read_the_other_way_round(data: Path, add_card: AddCard) -> None:
    labels = labels_by_rule(tiny_rows()[0], exchanged=True)
    write_inter(data, labels=labels)
    dataset = open_dataset("tiny")
    assert dataset.test().items.tolist() == tiny_rows()[1][labels == 1].tolist()
    assert "exchanged" in dataset.notes["split_origin"]


def test_labels_that_break_the_rule_are_an_error_that_names_a_user(data: Path, add_card: AddCard) -> None:
    labels = labels_by_rule(tiny_rows()[0])
    labels[np.flatnonzero(labels == 2)[3]] = 0
    write_inter(data, labels=labels)
    with pytest.raises(
        DataError, match=r"tiny\.inter: the split labels break MMRec's rule for 1 users; the first is user 3"
    ):
        open_dataset("tiny")


def test_shipped_labels_serve_the_published_protocol_as_they_are(data: Path, add_card: AddCard) -> None:
    labels = np.arange(len(tiny_rows()[0])) % 5 % 3
    write_parquet(data, labels=labels)
    dataset = open_dataset("tiny", protocol="diffmm-v1")
    assert dataset.test().items.tolist() == tiny_rows()[1][labels == 2].tolist()
    assert open_dataset("tiny").notes["split_fingerprint"] != dataset.notes["split_fingerprint"]


def test_published_protocol_needs_the_file_that_carries_it(data: Path, add_card: AddCard) -> None:
    write_inter(data, labels=labels_by_rule(tiny_rows()[0]))
    with pytest.raises(UserError, match=r"'diffmm-v1' needs the split published in interactions\.parquet"):
        open_dataset("tiny", protocol="diffmm-v1")
    write_parquet(data)
    with pytest.raises(DataError, match=r"interactions\.parquet has no column 'split'"):
        open_dataset("tiny", protocol="diffmm-v1")


def test_mask_is_no_part_of_the_digest_and_the_split_is(data: Path, add_card: AddCard) -> None:
    write_parquet(data, labels=np.arange(len(tiny_rows()[0])) % 5 % 3)
    digests = {name: open_dataset("tiny", protocol=name).digest for name in ("mmrec-v1", "mmrec-tv-v1", "diffmm-v1")}
    assert digests["mmrec-v1"] == digests["mmrec-tv-v1"] != digests["diffmm-v1"]


def test_digest_depends_on_content_and_not_on_place_or_time(
    tmp_path: Path, data: Path, add_card: AddCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(data)
    image, _ = write_features(data)
    first = open_dataset("tiny").digest
    moved = tmp_path / "elsewhere" / "tiny"
    write_parquet(moved)
    write_features(moved)
    for path in moved.iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setenv("BENCH_DATA", str(moved.parent))
    assert open_dataset("tiny").digest == first
    image[0, 0] += 1
    np.save(moved / "image_feat.npy", image)
    assert open_dataset("tiny").digest != first


def test_training_data_holds_no_test_row_anywhere(data: Path, add_card: AddCard) -> None:
    users, items = tiny_rows()
    labels = labels_by_rule(users)
    write_inter(data, labels=labels)
    write_features(data)
    training = open_dataset("tiny").training()
    test = set(zip(users[labels == 2].tolist(), items[labels == 2].tolist(), strict=True))
    for rows in (training.train, training.valid):
        assert not test & set(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
        assert rows.users.base is None and rows.items.base is None and not rows.users.flags.writeable
    names = {field.name for field in dataclasses.fields(training)}
    assert not any("test" in name for name in names)
    reachable = [obj for obj in gc.get_referents(training, vars(training)) if type(obj).__name__ == "Dataset"]
    assert reachable == []


def test_raw_features_win_over_neighbour_rows(data: Path, add_card: AddCard) -> None:
    write_parquet(data)
    pl.DataFrame({"item": [0, 1, 2], "neighbour": [1, 2, 0]}).write_parquet(data / "image_neighbours.parquet")
    dataset = open_dataset("tiny")
    info = dataset.modalities["image"]
    assert (info.kind, info.dim, info.derived) == ("neighbours", 18, "spectral18(neighbours)")
    assert dataset.notes["derived"] == {"image": "spectral18(neighbours)"} and "text" not in dataset.modalities
    assert dataset.notes["absent_modalities"] == ["text"]
    modality = dataset.training().modalities["image"]
    assert modality.features.shape == (ITEMS, 18) and modality.neighbours is not None
    write_features(data)
    info = open_dataset("tiny").modalities["image"]
    assert (info.kind, info.dim, info.derived) == ("features", 4, None)


def test_vectors_reach_methods_as_float32_maps_standardised_where_the_card_says_so(
    data: Path, add_card: AddCard
) -> None:
    write_parquet(data)
    image, _ = write_features(data, image=np.float64)
    dataset = open_dataset("tiny")
    assert dataset.notes["preprocessed"] == {"text": "standardise"}
    modalities = dataset.training().modalities
    for modality in modalities.values():
        assert isinstance(modality.features, np.memmap) and modality.features.dtype == np.float32
    assert np.allclose(modalities["image"].features, image, rtol=1e-6)
    text = modalities["text"].features
    assert np.allclose(text.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(text.std(axis=0), [1, 1, 0], atol=1e-5)


def test_damaged_derived_vectors_are_built_again(data: Path, add_card: AddCard, fresh_cache: Path) -> None:
    write_parquet(data)
    write_features(data)
    before = np.array(open_dataset("tiny").training().modalities["text"].features)
    (path,) = (fresh_cache / "derived").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-8])
    write_parquet(data, noise=np.zeros(len(tiny_rows()[0])))
    assert (open_dataset("tiny").training().modalities["text"].features == before).all()


def test_ids_beyond_the_cards_counts_are_out_of_range(data: Path, add_card: AddCard) -> None:
    items = tiny_rows()[1].copy()
    items[7] = ITEMS
    write_parquet(data, item=items)
    with pytest.raises(DataError, match=r"row 7 .*'item' must be an integer from 0 to 19, but it is 20"):
        open_dataset("tiny")


def test_difference_from_the_published_sizes_is_noted(data: Path, add_card: AddCard) -> None:
    write_parquet(data)
    assert open_dataset("tiny").notes["differs_from_card"] == []
    add_card(sizes={"users": 13, "items": 20, "rows": 127, "splits": {"mmrec": (90, 20, 17)}})
    notes = open_dataset("tiny").notes["differs_from_card"]
    assert notes[0] == "users: 12 here, 13 published" and any(note.startswith("train rows:") for note in notes)


def test_features_with_another_number_of_rows_or_nan_are_refused(data: Path, add_card: AddCard) -> None:
    write_parquet(data)
    image, _ = write_features(data)
    np.save(data / "image_feat.npy", image[:-1])
    with pytest.raises(DataError, match=r"image_feat\.npy has 19 rows, but there must be one per item: 20"):
        open_dataset("tiny")
    image[5, 1] = np.nan
    np.save(data / "image_feat.npy", image)
    for _ in range(2):
        with pytest.raises(DataError, match=r"image_feat\.npy, row 5 \(counted from 0\), column 1: nan is not finite"):
            open_dataset("tiny")


def test_missing_file_of_a_modality_the_layout_ships(data: Path, add_card: AddCard) -> None:
    modality = {"dim": 4, "description": "x", "features": ("image.npy",), "required": ("bench",)}
    add_card(modalities={"image": modality})
    write_parquet(data)
    with pytest.raises(DatasetUnavailableError, match=r"lacks its modality 'image': none of image\.npy is there"):
        open_dataset("tiny")


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_empty_split_is_refused(empty: int, data: Path, add_card: AddCard) -> None:
    add_card(cold_users="drop")
    labels = np.arange(len(tiny_rows()[0])) % 3
    labels[labels == empty] = (empty + 1) % 3
    write_parquet(data, labels=labels)
    name = ("train", "valid", "test")[empty]

    with pytest.raises(DataError, match=rf"interactions\.parquet: the split '{name}' of protocol 'diffmm-v1' is empty"):
        open_dataset("tiny", protocol="diffmm-v1")


def test_user_without_a_training_row_is_refused_unless_documented(data: Path, add_card: AddCard) -> None:
    users, _ = tiny_rows()
    labels = np.arange(len(users)) % 5 % 3
    labels[users == 4] = 2
    write_parquet(data, labels=labels)
    with pytest.raises(DataError, match=r"1 users have no training row but rows to predict \(user 4\)"):
        open_dataset("tiny", protocol="diffmm-v1")
    add_card(cold_users="drop")
    dataset = open_dataset("tiny", protocol="diffmm-v1")
    assert dataset.notes["dropped_rows"]["test (user without a training row)"] == 9
    assert 4 not in dataset.test().users and dataset.sizes["users"] == USERS


def test_repeated_rows_are_refused_unless_documented(data: Path, add_card: AddCard) -> None:
    items = tiny_rows()[1].copy()
    items[1] = items[0]
    write_parquet(data, item=items)
    with pytest.raises(DataError, match=r"row 1 .*: user 0 and item 0 repeat row 0"):
        open_dataset("tiny")
    add_card(duplicates="first")
    assert open_dataset("tiny").notes["repeated_rows_left_out"] == 1


def test_unavailable_names_files_folders_and_ways_out(data: Path, add_card: AddCard, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailableError) as caught:
        open_dataset("tiny")
    text = str(caught.value)
    assert "interactions.parquet" in text and "tiny.inter" in text and str(data) in text
    assert "BENCH_DATA" in text and "data get" not in text


def test_twin_stands_in_under_its_own_name_only_where_allowed(fresh_cache: Path, add_card: AddCard) -> None:
    add_card(twin="baby-twin@0.01")
    with pytest.raises(DatasetUnavailableError, match="tiny"):
        open_dataset("tiny")
    seen: list[str] = []
    twin = open_dataset(
        "tiny", protocol="diffmm-v1", allow_twin=True, progress=lambda what, done, total: seen.append(what)
    )
    assert twin.id == "baby-twin@0.01" and twin.generated and twin.training().name == twin.id
    assert twin.protocol.name == "mmrec-v1" and twin.notes["stands_in_for"] == "tiny (diffmm-v1)" and seen
    assert "stands_in_for" not in open_dataset("baby-twin@0.01").notes


def test_unknown_names_offer_the_nearest(add_card: AddCard) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'bayb'\. Did you mean 'baby'"):
        open_dataset("bayb")
    with pytest.raises(UserError, match=r"unknown protocol 'mmrec-v2'\. Did you mean 'mmrec-"):
        open_dataset("tiny", protocol="mmrec-v2")
    with pytest.raises(UserError, match=r"protocol 'diffmm-tv-v1' is not offered by dataset 'tiny'"):
        open_dataset("tiny", protocol="diffmm-tv-v1")


def test_cache_that_cannot_be_written_is_one_clear_error(
    data: Path, add_card: AddCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(data)
    write_features(data)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot write .*file/cache") as caught:
        open_dataset("tiny")
    assert "BENCH_CACHE" in (caught.value.hint or "")


def test_opening_twice_reads_once_and_notices_changed_files(data: Path, add_card: AddCard) -> None:
    write_parquet(data)
    first = open_dataset("tiny")
    assert open_dataset("tiny") is first
    write_features(data)
    assert open_dataset("tiny") is not first
