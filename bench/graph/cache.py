"""Compiled views on disk: `$BENCH_CACHE/views/<digest>.safetensors`, written once, checked whenever read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save

from bench.data.paths import cache_root
from bench.errors import UserError
from bench.graph.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

FORMAT = "1"
_TENSORS = ("indptr", "indices", "values", "t_indptr", "t_indices", "t_values")


class Cached(NamedTuple):
    """A view and where it came from."""

    view: View
    hit: bool
    """Whether the view was read from disk."""


def view_path(digest: str, cache_dir: Path | None = None) -> Path:
    """Returns the file of a view below a cache root (`cache_root()` when absent)."""
    return (cache_dir or cache_root()) / "views" / f"{digest}.safetensors"


def load_or_build(
    digest: str, build: Callable[[], View], *, cache_dir: Path | None = None, notes: Mapping[str, str] | None = None
) -> Cached:
    """Reads a view, or makes and keeps it. Of several processes that ask at once, one makes it and the others wait.

    A file that is truncated, altered or belongs to another digest is reported by a warning and made again.

    Args:
        digest: The view's identity.
        build: Makes the view.
        cache_dir: Cache root; `cache_root()` when absent.
        notes: Written beside the tensors for whoever opens the file.

    Raises:
        UserError: The cache cannot be written: no space, no permission. No partial file is left.
    """
    path = view_path(digest, cache_dir)
    view = _read(path, digest)
    if view is not None:
        return Cached(view, hit=True)
    with _reported(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("ab")
    with lock:
        alone = _wait_for(lock)
        # Whoever held the lock before may have made it.
        view = _read(path, digest)
        if view is not None:
            return Cached(view, hit=True)
        view = build()
        with _reported(path.parent):
            for abandoned in path.parent.glob(f".{digest}-*.tmp") if alone else ():
                abandoned.unlink()
            _write(path, digest, view, notes or {})
    return Cached(view, hit=False)


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot keep a compiled view in {str(folder)!r}: {getattr(error, 'strerror', None) or error}.",
            hint="Free some space there, or set BENCH_CACHE to a folder that can be written.",
        ) from error


def _wait_for(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return True
    except OSError as error:
        # Some network drives have no locks. The rename keeps the cache whole there too; only work may be done twice.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return False


def _read(path: Path, digest: str) -> View | None:
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warnings.warn(
            f"the compiled view {str(path)!r} cannot be read ({error.strerror}); making it again", stacklevel=4
        )
        return None
    try:
        size = int.from_bytes(raw[:8], "little")
        notes = json.loads(raw[8 : 8 + size])["__metadata__"]
        tensors = load(raw)
        problem = _problem(notes, tensors, digest)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        problem = f"damaged: {error}"
    if problem is not None:
        warnings.warn(f"the compiled view {str(path)!r} is {problem}; making it again", stacklevel=4)
        return None
    return View(**{name: tensors[name] for name in _TENSORS}, n_cols=int(notes["n_cols"]))


def _problem(notes: Mapping[str, str], tensors: Mapping[str, Tensor], digest: str) -> str | None:
    if notes["format"] != FORMAT:
        return f"of format {notes['format']!r}, not {FORMAT!r}"
    if notes["digest"] != digest:
        return f"that of {notes['digest']!r}"
    if sorted(tensors) != sorted(_TENSORS) or notes["checksum"] != _checksum(tensors):
        return "damaged: its checksum does not match"
    return None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in _TENSORS:
        array = tensors[name].numpy()
        total.update(f"{name} {array.dtype.str} {array.shape};".encode())
        total.update(array.data)
    return total.hexdigest()


def _write(path: Path, digest: str, view: View, notes: Mapping[str, str]) -> None:
    tensors = {name: getattr(view, name).contiguous() for name in _TENSORS}
    metadata = {
        **notes,
        "format": FORMAT,
        "digest": digest,
        "n_cols": str(view.n_cols),
        "checksum": _checksum(tensors),
    }
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{digest}-", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
