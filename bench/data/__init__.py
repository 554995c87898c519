"""Datasets: cards, files, splits, and what training and tasks see of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.dataset import (
        Dataset,
        dataset_info,
        fetch_dataset,
        list_datasets,
        make_dataset,
        open_dataset,
    )

__all__ = ["Dataset", "dataset_info", "fetch_dataset", "list_datasets", "make_dataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    # Polars and SciPy stay unloaded until a dataset is asked for: `bench --help` imports this package.
    if name in __all__:
        from bench.data import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
