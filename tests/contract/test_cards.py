"""What every registered dataset card must say, and that the files agree where they are."""

from __future__ import annotations

import pytest

from bench.data.card import ContentCard
from bench.data.catalog import list_datasets
from bench.data.dataset import open_dataset
from bench.data.protocols import PROTOCOLS
from bench.data.registry import DATASETS
from bench.errors import DatasetUnavailableError
from bench.tasks.registry import TASKS

NAMES = DATASETS.names()


def test_the_promised_datasets_are_registered() -> None:
    assert {"baby", "baby-twin", "tiktok", "sports", "clothing"} <= set(NAMES)
    assert {row.name.partition("@")[0] for row in list_datasets()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_card_is_complete(name: str) -> None:
    card = DATASETS.get(name)
    assert card.name == name
    for field in ("title", "description", "source", "licence", "citation"):
        assert len(getattr(card, field)) > 3, field
    assert card.known_issues, "every data set has oddities a reader must know"
    assert len(set(card.protocols)) == len(card.protocols)
    assert {TASKS.get(task).family for task in card.tasks} == {card.family}
    if isinstance(card, ContentCard):
        assert card.sizes or card.generated
        return
    for protocol in card.protocols:
        assert PROTOCOLS[protocol].split in card.sizes.splits, "published split sizes for each rule on offer"
    for rows in card.sizes.splits.values():
        assert sum(rows) == card.sizes.rows
    assert card.sizes.rows >= 5 * card.sizes.items or not card.generated


@pytest.mark.parametrize("name", NAMES)
def test_twin_is_generated_and_offers_what_the_original_does(name: str) -> None:
    card = DATASETS.get(name)
    if card.twin is None:
        return
    twin = DATASETS.get(card.twin)
    assert twin.generated and twin.name != card.name
    assert set(card.tasks) <= set(twin.tasks)
    if isinstance(card, ContentCard):
        return
    assert set(card.modalities) <= set(twin.modalities)
    assert (twin.sizes.users, twin.sizes.items, twin.sizes.rows) == (
        card.sizes.users,
        card.sizes.items,
        card.sizes.rows,
    )
    assert card.default_protocol in twin.protocols


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_could_be_downloaded_lacks_a_checksum_unnoticed(name: str) -> None:
    for file in DATASETS.get(name).files:
        assert file.sha256 is not None, f"{file.path}: a card of this package lists files it can recognise"


@pytest.mark.realdata
@pytest.mark.parametrize("name", NAMES)
def test_files_agree_with_the_card(name: str) -> None:
    card = DATASETS.get(name)
    for protocol in card.protocols:
        try:
            dataset = open_dataset(f"{name}@0.01" if card.generated else name, protocol=protocol)
        except DatasetUnavailableError as error:
            pytest.skip(error.message)
        assert dataset.notes["differs_from_card"] == []
        assert set(dataset.modalities) <= set(card.modalities)
        training = dataset.training()
        assert training.digest == dataset.digest
        if isinstance(card, ContentCard):
            continue
        assert (training.n_users, training.n_items) == (dataset.sizes["users"], dataset.sizes["items"])
        for modality in training.modalities.values():
            assert modality.features.shape == (training.n_items, modality.info.dim)
