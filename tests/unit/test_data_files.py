"""Files are whole or absent, digests follow content, and spectral vectors are reproducible."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.files import atomic_folder, derived_array, file_digest, locked, stream_digest, write_atomic
from bench.data.spectral import spectral_embedding, spectral_name
from bench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "note.json"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(DataError, match=r"cannot write .*note\.json.*No space left on device"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "world"
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for text in ("first", "second"):
        with atomic_folder(target) as folder:
            (folder / "file").write_text(text)
        assert (target / "file").read_text() == text and list(tmp_path.iterdir()) == [target]


def test_digest_is_remembered_until_the_file_changes(tmp_path: Path, fresh_cache: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert file_digest(path) == file_digest(path) == stream_digest(path)
    (note,) = (fresh_cache / "digests").iterdir()
    note.write_text("{not json")
    assert file_digest(path) == stream_digest(path)
    path.write_bytes(b"two!")
    assert file_digest(path) == stream_digest(path)
    with pytest.raises(DataError, match="cannot read"):
        file_digest(tmp_path / "gone")


def test_derived_array_is_built_once_by_competing_threads(fresh_cache: Path) -> None:
    built: list[int] = []

    def build(path: Path) -> None:
        built.append(1)
        np.save(path, np.full((3, 2), 7, np.float32))

    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(derived_array("k", (3, 2), build))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(results) == 6 and all((array == 7).all() for array in results)


def test_failed_build_leaves_nothing(fresh_cache: Path) -> None:
    def build(path: Path) -> None:
        path.write_bytes(b"half")
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        derived_array("k", (3, 2), build)
    assert list((fresh_cache / "derived").iterdir()) == []


def test_lock_excludes(fresh_cache: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def other() -> None:
        entered.wait()
        with locked("x"):
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with locked("x"):
        entered.set()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def ring(n: int, offset: int = 0) -> np.ndarray:
    return np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1) + offset


@settings(max_examples=20, deadline=None)
@given(n_items=st.integers(3, 400), seed=st.integers(0, 100))
def test_spectral_vectors_are_finite_of_length_one_and_repeatable(n_items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(0, n_items, (3 * n_items, 2))
    vectors = spectral_embedding(neighbours, n_items)
    assert vectors.shape == (n_items, min(64, n_items - 2)) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert (vectors == spectral_embedding(neighbours[::-1], n_items)).all()


def test_items_without_neighbours_get_the_mean_and_self_pairs_say_nothing() -> None:
    neighbours = np.concatenate([ring(300), [[300, 300]]])
    vectors = spectral_embedding(neighbours, 302)
    assert np.allclose(vectors[300], vectors[:300].mean(axis=0), atol=1e-6) and (vectors[300] == vectors[301]).all()
    assert np.allclose(np.linalg.norm(vectors[:300], axis=1), 1, atol=1e-5)


def test_neighbours_lie_closer_than_strangers() -> None:
    vectors = spectral_embedding(ring(500), 500)
    near = (vectors * np.roll(vectors, -1, axis=0)).sum(axis=1).mean()
    far = (vectors * np.roll(vectors, -250, axis=0)).sum(axis=1).mean()
    assert near > 0.9 > 0.3 > far


def test_names_say_how_wide_and_from_what() -> None:
    assert spectral_name(7050) == "spectral64(neighbours)" and spectral_name(20) == "spectral18(neighbours)"
