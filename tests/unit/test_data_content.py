"""Datasets read by the reader of their own card."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from bench.data.card import ContentCard
from bench.data.catalog import list_datasets
from bench.data.content import Content, Request
from bench.data.dataset import open_dataset
from bench.data.registry import DATASETS
from bench.data.types import ModalityInfo
from bench.errors import DatasetUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def card(**changes: Any) -> ContentCard:
    fields = {
        "name": "photos",
        "title": "Photos",
        "family": "classification",
        "tasks": ("classification",),
        "description": "photos",
        "source": "a test",
        "licence": "none",
        "citation": "none",
        "protocols": ("official-v1",),
        "reader": "photo_reader:read",
        "markers": ("photos.zip",),
        "sizes": {"train": 3},
    }
    return ContentCard(**fields | changes)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ContentCard], None]]:
    asked: list[Request] = []

    def read(request: Request) -> Content:
        asked.append(request)
        text = (request.folder / "photos.zip").read_text() if request.folder else f"scale {request.scale}"
        return Content(
            identity={"text": text},
            modalities={"image": ModalityInfo("images", 32, None)},
            sizes={"train": len(text)},
            training=lambda digest: ("training", text, digest),
            test=lambda: ("test", text),
            notes={"asked": len(asked)},
        )

    module = types.ModuleType("photo_reader")
    module.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "photo_reader", module)
    names: list[str] = []

    def add(new: ContentCard) -> None:
        DATASETS.add(new.name, new)
        names.append(new.name)

    yield add
    for name in names:
        DATASETS.remove(name)


def test_the_cards_reader_reads_the_folder_that_holds_a_marker(add, tmp_path: Path, monkeypatch) -> None:
    add(card())
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(DatasetUnavailableError, match=r"no photos\.zip lies in .*photos"):
        open_dataset("photos")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photos.zip").write_text("abcd")
    opened = open_dataset("photos")
    assert opened.training() == ("training", "abcd", opened.digest)
    assert opened.test() == ("test", "abcd")
    assert opened.notes["differs_from_card"] == ["train: 4 here, 3 published"]
    assert (opened.folder, opened.protocol.name) == (tmp_path / "photos", "official-v1")
    row = next(row for row in list_datasets() if row.name == "photos")
    assert (row.present, row.layout, row.sizes) == (True, "published", {"train": 3})


def test_the_digest_follows_the_content_and_not_the_place(add, tmp_path: Path, monkeypatch) -> None:
    add(card())
    digests = []
    for folder, text in (("a", "abc"), ("b", "abc"), ("c", "abd")):
        (tmp_path / folder / "photos").mkdir(parents=True)
        (tmp_path / folder / "photos" / "photos.zip").write_text(text)
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / folder))
        digests.append(open_dataset("photos").digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_generated_twin_stands_in_under_its_own_name_and_protocol(add) -> None:
    add(card(twin="drawn"))
    add(card(name="drawn", generated=True, markers=(), protocols=("generated-v1",)))
    opened = open_dataset("photos", allow_twin=True)
    assert (opened.id, opened.generated, opened.protocol.name) == ("drawn", True, "generated-v1")
    assert opened.notes["stands_in_for"] == "photos (official-v1)"
    assert open_dataset("drawn@0.5").digest != opened.digest


@pytest.mark.parametrize("changes", [{"markers": ()}, {"generated": True}, {"reader": "no colon"}, {"pages": 3}])
def test_a_card_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        card(**changes)
