"""A pretrained model is what its files hold, not where they lie."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.data import checkpoints, files
from bench.data.checkpoints import INCEPTION_VARIABLE, find_checkpoint
from bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, fresh_cache: Path) -> Path:
    path = tmp_path / "models" / "clip small"
    (path / "text").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    save_file({"w": np.arange(4.0)}, path / "model.safetensors")
    save_file({"w": np.arange(3.0)}, path / "text" / "model.safetensors")
    return path


def test_a_moved_and_renamed_copy_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    found = find_checkpoint(str(folder))
    assert found.asked == str(folder) and found.name == f"clip-small@{found.digest[:8]}"
    copy = tmp_path / "other"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("for people")
    (copy / "pytorch_model.bin").write_bytes(b"never read")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "download.json").write_text("{}")
    again = find_checkpoint(str(copy))
    assert again.digest == found.digest and again.name == f"other@{found.digest[:8]}"


@pytest.mark.parametrize("file", ["model.safetensors", "text/model.safetensors", "config.json", "vocab.txt"])
def test_other_content_in_the_same_folder_is_another_model(folder: Path, file: str) -> None:
    before = find_checkpoint(str(folder)).digest
    (folder / file).write_bytes(b"other")
    assert find_checkpoint(str(folder)).digest != before


def test_files_that_trade_places_are_another_model(folder: Path) -> None:
    before = find_checkpoint(str(folder)).digest
    (folder / "model.safetensors").rename(folder / "aside")
    (folder / "text" / "model.safetensors").rename(folder / "model.safetensors")
    (folder / "aside").rename(folder / "text" / "model.safetensors")
    assert find_checkpoint(str(folder)).digest != before


def test_large_files_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_checkpoint(str(folder))
    monkeypatch.setattr(files, "stream_digest", lambda path: pytest.fail(f"read {path} again"))
    assert find_checkpoint(str(folder)) == before


def test_a_model_of_the_local_hub_cache_has_its_last_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    repository = cache / "models--someone--clip"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    found = find_checkpoint("someone/clip")
    assert found.digest == find_checkpoint(str(folder)).digest and found.name == f"clip@{found.digest[:8]}"


@pytest.mark.parametrize("asked", ["someone/nothing", "/nowhere/at all", "clip@12345678", ""])
def test_a_model_that_is_not_here_is_refused(asked: str, fresh_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint") as caught:
        find_checkpoint(asked)
    assert "hf download" in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path, fresh_cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty folder"):
        find_checkpoint(str(tmp_path / "empty"))


def test_inception_is_named_by_what_its_file_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    with pytest.raises(UserError, match="none is named"):
        find_checkpoint("inception")
    monkeypatch.setenv(INCEPTION_VARIABLE, str(folder / "gone.safetensors"))
    with pytest.raises(UserError, match="there is no file"):
        find_checkpoint("inception")
    names = []
    for file in (folder / "model.safetensors", folder / "text" / "model.safetensors"):
        monkeypatch.setenv(INCEPTION_VARIABLE, str(file))
        names.append(find_checkpoint("inception").name)
    assert names[0] != names[1] and all(name.startswith("inception@") for name in names)


def test_a_name_leads_to_its_place_once_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_places", {})
    checkpoints.remember("clip@12345678", "/models/clip")
    assert checkpoints.place_of("clip@12345678") == "/models/clip"
    assert checkpoints.place_of("tiny-3") == "tiny-3"
