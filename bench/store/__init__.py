"""The store: everything that was run, in a database (SQLite by default).

`Store.open` is the way in. `records` holds the plain values that go in and come out; importing those alone loads no
database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.store.codec import decode_units, encode_units
    from bench.store.counts import StoreCounts, TrialCounts
    from bench.store.repository import Store

__all__ = ["Store", "StoreCounts", "TrialCounts", "decode_units", "encode_units"]

_HOMES = {
    "Store": "bench.store.repository",
    "StoreCounts": "bench.store.counts",
    "TrialCounts": "bench.store.counts",
    "decode_units": "bench.store.codec",
    "encode_units": "bench.store.codec",
}


def __getattr__(name: str) -> Any:
    """Loads SQLAlchemy and polars only for those who ask for the database itself."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
