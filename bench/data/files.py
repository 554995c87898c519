"""Files that are whole or absent: atomic writes, locks, content digests, and arrays derived once and memory-mapped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bench import atomic
from bench.data.paths import cache_root
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike

_BLOCK = 1 << 22


@contextmanager
def cannot_write(path: Path) -> Iterator[None]:
    """Turns a full disk or a read-only folder into an error that names the path and the way out.

    Raises:
        DataError: The operating system refused to write.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {str(path)!r}: {error.strerror or error}.",
            hint="Free some space, or point $BENCH_CACHE at a folder that can be written.",
        ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that readers see the old one or the new one, never a part.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    with cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_atomic(path, content)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields an empty sibling folder that takes `target`'s place when the block succeeds and is removed otherwise.

    Raises:
        DataError: The disk is full or the parent cannot be written.
    """
    with cannot_write(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = target.parent / tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            yield folder
            folder.chmod(0o755)
            if target.exists():
                retired = target.parent / tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old.")
                target.replace(retired / target.name)
                folder.replace(target)
                shutil.rmtree(retired)
            else:
                folder.replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds an exclusive lock between processes; waits for the holder, and a dead holder's lock is free.

    Args:
        name: What is locked; locks of one cache folder with equal names exclude each other.
    """
    path = cache_root() / "locks" / hashlib.sha256(name.encode()).hexdigest()[:32]
    with cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def stream_digest(path: Path) -> str:
    """Returns the sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def remembered_digest(what: str, stamp: str | list[int], compute: Callable[[], str]) -> str:
    """Returns a sha256, computed once and remembered in the cache until the stamp changes.

    Args:
        what: What it is the digest of.
        stamp: Cheap to take, and another one when the content may be.
        compute: Returns the digest.

    Raises:
        DataError: The cache cannot be written.
    """
    note = cache_root() / "digests" / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):
        known = None
    if isinstance(known, dict) and known.get("stamp") == stamp and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    digest = compute()
    write_atomic(note, json.dumps({"stamp": stamp, "sha256": digest}).encode())
    return digest


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file's bytes, remembered in the cache until its size, time or inode changes.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        return remembered_digest(str(path.resolve()), stamp, lambda: stream_digest(path))
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error


def derived_array(
    key: str, shape: tuple[int, ...], build: Callable[[Path], None], *, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Returns an array that is a function of `key`, built once and memory-mapped from the cache.

    Args:
        key: Content identity of the array: digests of its sources and how it is made.
        shape: Expected shape; a cached file of any other shape, or a damaged one, is built again.
        build: Writes the array as .npy (version 1, no pickles) to the path it is given.
        dtype: Expected type of the entries.

    Raises:
        DataError: The cache cannot be written.
    """
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    path = cache_root() / "derived" / f"{name}.npy"
    found = _mapped(path, shape, dtype)
    if found is not None:
        return found
    with locked(f"derived {name}"):
        found = _mapped(path, shape, dtype)
        if found is not None:
            return found
        with cannot_write(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.parent / f".{name}.{os.getpid()}.npy"
            try:
                build(temporary)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        found = _mapped(path, shape, dtype)
    if found is None:
        raise DataError(
            f"the derived array {str(path)!r} does not have the shape {shape} and type {np.dtype(dtype)} "
            "it was built for."
        )
    return found


@contextmanager
def array_writer(path: Path, shape: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that appends rows to a float32 .npy file of a known shape.

    A written stream, not a writable map: a full disk is an error here and would kill the process there.

    Args:
        path: The file; replaced when it exists.
        shape: (rows, columns) there will be in the end.
    """
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)

        def append(rows: np.ndarray) -> None:
            stream.write(np.ascontiguousarray(rows, dtype="<f4").data)

        yield append


def _mapped(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray | None:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.dtype(dtype) else None
