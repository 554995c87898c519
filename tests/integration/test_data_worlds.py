"""The generated twin: sizes, 5-core, long tails, reproducible, whole or absent, methods in the order of real Baby."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sparse

from bench.data.dataset import Dataset, make_dataset, open_dataset
from bench.data.files import stream_digest
from bench.data.worlds import behaviour
from bench.errors import DataError, UserError

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (19_445, 7_050, 160_792)


@pytest.fixture(scope="module")
def small() -> Dataset:
    return open_dataset("baby-twin@0.1")


@pytest.mark.parametrize("scale", [0.01, 0.013, 0.1])
def test_sizes_scale_with_babys_and_every_user_and_item_has_five(scale: float) -> None:
    folder = make_dataset(f"baby-twin@{scale}")
    frame = pl.read_parquet(folder / "interactions.parquet")
    users, items = frame["user"].to_numpy(), frame["item"].to_numpy()
    assert (users.max() + 1, items.max() + 1, len(frame)) == tuple(round(size * scale) for size in SIZES)
    assert np.bincount(users).min() >= 5 and np.bincount(items).min() >= 5
    assert len(frame.select("user", "item").unique()) == len(frame)


def test_degrees_are_long_tailed_like_babys(small: Dataset) -> None:
    frame = pl.read_parquet(small.folder / "interactions.parquet")
    users, items = np.bincount(frame["user"]), np.bincount(frame["item"])
    # Real Baby: a third of the users at the minimum of 5, medians 6 and 11, means 8.3 and 22.8.
    assert 0.2 < (users == 5).mean() < 0.45 and np.median(users) in (6, 7) and users.max() > 40
    assert 9 <= np.median(items) <= 17 and items.max() > 8 * items.mean() and round(items.mean(), 1) == 22.8


def test_every_run_writes_the_same_bytes(fresh_cache: Path) -> None:
    first = {path.name: stream_digest(path) for path in make_dataset("baby-twin@0.02").iterdir()}
    digest = open_dataset("baby-twin@0.02").digest
    again = {path.name: stream_digest(path) for path in make_dataset("baby-twin@0.02", force=True).iterdir()}
    assert first == again and open_dataset("baby-twin@0.02").digest == digest
    assert open_dataset("baby-twin@0.03").digest != digest


def test_many_blocks_still_give_every_item_five_users(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "_ROWS_PER_BLOCK", 500)
    folder = make_dataset("baby-twin@0.02")
    frame = pl.read_parquet(folder / "interactions.parquet")
    assert len(frame) == round(SIZES[2] * 0.02) and np.bincount(frame["item"]).min() >= 5


def test_content_is_finite_wide_and_mapped(small: Dataset) -> None:
    modalities = small.training().modalities
    assert {name: m.features.shape for name, m in modalities.items()} == {"image": (705, 512), "text": (705, 128)}
    assert all(isinstance(m.features, np.memmap) and m.features.dtype == np.float32 for m in modalities.values())
    assert np.allclose(np.linalg.norm(modalities["text"].features, axis=1), 1, atol=1e-3)
    assert small.generated and small.card.generated and small.id == "baby-twin@0.1"


def test_times_rise_within_a_user_and_annotations_cover_every_item(small: Dataset) -> None:
    frame = pl.read_parquet(small.folder / "interactions.parquet")
    steps = frame.select(pl.col("time").diff().over("user").min()).item()
    assert steps >= 0 and frame["time"].min() >= 1_041_379_200 and frame["time"].max() <= 1_406_073_600
    assert small.training().train.times is not None
    items = pl.read_parquet(small.folder / "items.parquet")
    assert items["item"].to_list() == list(range(705)) and items["words"].list.len().unique().to_list() == [7]
    same_leaf = items.filter(pl.col("leaf") == items["leaf"][0])["words"].to_list()
    assert all(len(set(words) & set(same_leaf[0])) >= 2 for words in same_leaf), "words tell the category"


def test_failed_making_leaves_nothing(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", no_space)
    with pytest.raises(DataError, match=r"cannot write .*baby-twin@0\.01.*No space left on device"):
        make_dataset("baby-twin@0.01")
    assert list((fresh_cache / "data").iterdir()) == []


def test_world_of_an_older_generator_or_with_a_cut_file_is_made_again(fresh_cache: Path) -> None:
    folder = make_dataset("baby-twin@0.01")
    whole = stream_digest(folder / "image_feat.npy")
    (folder / "image_feat.npy").write_bytes(b"cut")
    assert stream_digest(make_dataset("baby-twin@0.01") / "image_feat.npy") == whole
    note = json.loads((folder / "world.json").read_text())
    (folder / "world.json").write_text(json.dumps({**note, "generator": 0}))
    make_dataset("baby-twin@0.01")
    assert json.loads((folder / "world.json").read_text()) == note


def test_competing_makers_agree(fresh_cache: Path) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(open_dataset("baby-twin@0.01").digest)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 4 and len(set(digests)) == 1
    assert [path.name for path in (fresh_cache / "data").iterdir()] == ["baby-twin@0.01"]


def test_only_generated_datasets_can_be_made() -> None:
    with pytest.raises(UserError, match="'baby' is real data and cannot be made") as caught:
        make_dataset("baby")
    assert "baby-twin" in (caught.value.hint or "")


def recall_at_20(dataset: Dataset) -> dict[str, float]:
    """A small evaluation that shares no code with bench's: test recall@20, train masked, all items ranked."""
    training = dataset.training()
    shape = training.n_users, training.n_items
    train = sparse.csr_matrix((np.ones(len(training.train)), (training.train.users, training.train.items)), shape)
    test_rows = dataset.test()
    target = np.zeros(shape, dtype=bool)
    target[test_rows.users, test_rows.items] = True

    def recall(scores: np.ndarray) -> float:
        scores = np.where(train.toarray() > 0, -np.inf, scores)
        top = np.argpartition(-scores, 20, axis=1)[:, :20]
        hits = np.take_along_axis(target, top, axis=1).sum(axis=1)
        wanted = target.sum(axis=1)
        return float((hits[wanted > 0] / wanted[wanted > 0]).mean())

    def content(modality: str) -> np.ndarray:
        vectors = training.modalities[modality].features
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosine = vectors @ vectors.T
        np.fill_diagonal(cosine, 0)
        cosine[cosine < -np.partition(-cosine, 10, axis=1)[:, 10:11]] = 0
        return cosine / np.sqrt(1e-9 + np.outer(cosine.sum(axis=1), cosine.sum(axis=0)))

    gram = (train.T @ train).toarray() + 300 * np.eye(shape[1])
    inverse = np.linalg.inv(gram)
    ease = -inverse / np.diag(inverse)
    np.fill_diagonal(ease, 0)
    image, text = content("image"), content("text")
    return {
        "image": recall(train @ image),
        "text": recall(train @ text),
        "popularity": recall(np.tile(np.asarray(train.sum(axis=0)), (shape[0], 1))),
        "collaborative": recall(train @ ease),
        "multimodal": recall(train @ (ease + 0.03 * (image + text))),
    }


def assert_order_of_real_baby(found: dict[str, float]) -> None:
    order = ["image", "text", "popularity", "collaborative", "multimodal"]
    assert sorted(order, key=found.__getitem__) == order, found
    assert found["image"] > 0.02, "content alone must be far above chance"


def test_methods_fall_in_the_order_seen_on_real_baby(small: Dataset) -> None:
    assert_order_of_real_baby(recall_at_20(small))


@pytest.mark.slow
def test_methods_fall_in_the_order_seen_on_real_baby_at_a_larger_scale() -> None:
    assert_order_of_real_baby(recall_at_20(open_dataset("baby-twin@0.25")))


@pytest.mark.slow
def test_full_scale_has_babys_published_sizes_and_widths() -> None:
    dataset = open_dataset("baby-twin")
    assert (dataset.sizes["users"], dataset.sizes["items"]) == SIZES[:2]
    assert {name: info.dim for name, info in dataset.modalities.items()} == {"image": 4096, "text": 384}
