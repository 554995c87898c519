"""The real data sets, where they are: counts, splits and content as published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from bench.data.dataset import dataset_info, open_dataset
from bench.data.splits import check_mmrec_sizes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.realdata


@pytest.mark.parametrize(
    ("name", "protocol", "rows"),
    [
        ("baby", "mmrec-v1", (118_551, 20_559, 21_682)),
        ("baby", "diffmm-v1", (118_551, 21_682, 20_559)),
        ("sports", "mmrec-v1", (218_409, 37_899, 40_029)),
        ("tiktok", "diffmm-v1", (59_541, 3_046, 6_125)),
    ],
)
def test_published_sizes_are_found(name: str, protocol: str, rows: tuple[int, int, int]) -> None:
    dataset = open_dataset(name, protocol=protocol)
    assert tuple(dataset.sizes[split] for split in ("train", "valid", "test")) == rows
    assert (dataset.sizes["users"], dataset.sizes["items"]) == (dataset.card.sizes.users, dataset.card.sizes.items)
    assert dataset.notes["differs_from_card"] == []


def test_files_here_are_the_ones_the_cards_know() -> None:
    for name in ("baby", "tiktok", "sports"):
        statuses = {file.status for file in dataset_info(name).files}
        assert statuses == {"verified"}, name


def test_redrawn_split_of_baby_stays_what_it_is() -> None:
    notes = open_dataset("baby").notes
    # A change here means that numbers on mmrec-v1 no longer mix with stored ones: the protocol needs a new name.
    assert notes["split_fingerprint"] == "51121e11430788bc488dbe8c9f0e1a32787124218233a9f8a323589692760de4"


def test_published_labels_follow_mmrecs_sizes_with_valid_and_test_exchanged(real_data: Path) -> None:
    for name in ("baby", "sports"):
        frame = pl.read_parquet(real_data / name / "interactions.parquet")
        labels = frame["split"].cast(pl.String).replace_strict({"train": 0, "valid": 1, "test": 2}).to_numpy()
        assert check_mmrec_sizes(frame["user"].to_numpy(), labels).order == "mmrec-exchanged"
    assert "exchanged" in open_dataset("sports").notes["split_origin"]


def test_babys_neighbours_become_vectors_under_a_name_that_says_so() -> None:
    modalities = open_dataset("baby").training().modalities
    assert list(modalities) == ["image", "text"]
    for modality in modalities.values():
        assert modality.info == ("neighbours", 64, "spectral64(neighbours)")
        assert modality.features.shape == (7_050, 64) and np.isfinite(modality.features).all()
        neighbours = modality.neighbours
        assert neighbours is not None
        near = (modality.features[neighbours[:, 0]] * modality.features[neighbours[:, 1]]).sum(axis=1)
        assert near[neighbours[:, 0] != neighbours[:, 1]].mean() > 0.5


def test_tiktoks_audio_is_standardised_and_its_image_is_not() -> None:
    dataset = open_dataset("tiktok")
    assert dataset.notes["preprocessed"] == {"audio": "standardise"}
    assert dataset.notes["dropped_rows"] == {
        "valid (user without a training row)": 5,
        "test (user without a training row)": 5,
    }
    modalities = dataset.training().modalities
    audio, image = (np.asarray(modalities[name].features) for name in ("audio", "image"))
    assert audio.dtype == image.dtype == np.float32 and audio.shape == image.shape == (6_710, 128)
    assert np.allclose(audio.mean(axis=0), 0, atol=1e-4) and np.allclose(audio.std(axis=0), 1, atol=1e-3)
    assert 2.6 < image.mean() < 2.8
