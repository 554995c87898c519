"""MovieLens as general recommendation: poster vectors are means of patches, genres are 0/1, and attribution's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from bench.data.dataset import open_dataset
from bench.data.parts import item_parts
from bench.data.readers.movielens_general import mosaics
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "data" / "ml-100k"
    made.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [(user, int(item)) for user in range(5) for item in rng.permutation(ITEMS)[:6]]
    users, items = zip(*rows, strict=True)
    pl.DataFrame(
        {"user": users, "item": items, "rating": [3] * len(rows), "timestamp": range(len(rows))}
    ).write_parquet(made / "ratings.parquet")
    pl.DataFrame(
        {
            "item": range(ITEMS),
            "title": [f"film {item}" for item in range(ITEMS)],
            "year": ["1995"] * (ITEMS - 1) + [None],
            "genres": [["Drama"], ["Drama", "War"], []] * 3,
            "has_poster": [True] * ITEMS,
        }
    ).write_parquet(made / "items.parquet")
    patches = rng.random((ITEMS, 24, 40)).astype(np.float16)
    patches[4] = 0
    np.save(made / "poster_patches.npy", patches)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return made


def test_vectors_are_standardised_means_of_patches(folder: Path) -> None:
    data = open_dataset("ml-100k-general").training()
    raw = np.load(folder / "poster_patches.npy").astype(np.float64).mean(axis=1)
    known = np.arange(ITEMS) != 4
    expected = (raw - raw[known].mean(axis=0)) / raw[known].std(axis=0)
    expected[4] = 0.0
    np.testing.assert_allclose(data.modalities["image"].features, expected, atol=1e-4)
    assert data.modalities["genres"].features.tolist() == [[1, 0], [1, 1], [0, 0]] * 3


def test_parts_know_titles_and_who_has_a_poster_and_no_foreground(folder: Path) -> None:
    parts = item_parts(open_dataset("ml-100k-general"))
    assert parts.grid == (6, 4) and parts.foreground is None
    assert np.flatnonzero(~parts.pictured).tolist() == [4]
    assert parts.titles[0] == "film 0 (1995)" and parts.titles[-1] == f"film {ITEMS - 1}"


def test_pictures_show_the_mean_colour_of_each_patch() -> None:
    patches = np.zeros((1, 24, 40), dtype=np.float32)
    patches[0, 5, 31:34] = [1.0, 0.5, 0.0]
    drawn = mosaics(patches)
    assert drawn.shape == (1, 96, 64, 3)
    # Patch 5 is the second of the second row.
    assert (drawn[0, 16:32, 16:32] == [255, 128, 0]).all() and not drawn[0, :16].any()


def test_fewer_posters_than_films_is_an_error(folder: Path) -> None:
    np.save(folder / "poster_patches.npy", np.zeros((3, 24, 40), dtype=np.float16))
    with pytest.raises(DataError, match="holds 3 items"):
        open_dataset("ml-100k-general")


def test_films_without_genres_column_are_an_error(folder: Path) -> None:
    pl.read_parquet(folder / "items.parquet").drop("genres").write_parquet(folder / "items.parquet")
    with pytest.raises(DataError, match="no column 'genres'"):
        open_dataset("ml-100k-general")


def test_the_real_files_agree_with_the_card(real_data: Path) -> None:
    dataset = open_dataset("ml-100k-general")
    assert dataset.notes["differs_from_card"] == []
    assert (dataset.sizes["train"], dataset.sizes["valid"], dataset.sizes["test"]) == (80_367, 9_596, 10_037)
    parts = item_parts(dataset)
    assert parts.features.shape == (1_682, 24, 40) and int(parts.pictured.sum()) == 1_425
    # The moments that the pictures are made of rise with brightness: they are the mean channels.
    raw = np.load(real_data / "ml-100k" / "poster_patches.npy")[parts.pictured].astype(np.float64).reshape(-1, 40)
    brightness = raw[:, 17:22] @ np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    assert min(np.corrcoef(raw[:, column], brightness)[0, 1] for column in (31, 32, 33)) > 0.8
