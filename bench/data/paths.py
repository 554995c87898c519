"""Where data is looked for and where derived files are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.data.registry import DatasetId


def data_folders() -> tuple[Path, ...]:
    """Returns the folders of `$BENCH_DATA`, a list separated like `$PATH`, in search order."""
    entries = os.environ.get("BENCH_DATA", "").split(os.pathsep)
    return tuple(Path(entry).expanduser() for entry in entries if entry.strip())


def cache_root() -> Path:
    """Returns `$BENCH_CACHE`, or the platform's cache folder for `multimodal-bench`."""
    configured = os.environ.get("BENCH_CACHE", "").strip()
    if configured:
        return Path(configured).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("multimodal-bench"))


def cached_data_folder(dataset: DatasetId | str) -> Path:
    """Returns the folder of a generated or downloaded dataset inside the cache."""
    return cache_root() / "data" / str(dataset)


def search_folders(name: str) -> tuple[Path, ...]:
    """Returns every folder in which dataset `name` may lie, in search order: `$BENCH_DATA`, then the cache."""
    return (*(folder / name for folder in data_folders()), cached_data_folder(name))
