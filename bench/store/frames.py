"""Runs as polars frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.store.counts import TrialCounts
    from bench.store.records import RunRecord

_PLAIN: dict[str, Any] = {
    "fingerprint": pl.String,
    "status": pl.String,
    "reason": pl.String,
    "family": pl.String,
    "task": pl.String,
    "protocol": pl.String,
    "dataset": pl.String,
    "generated": pl.Boolean,
    "method": pl.String,
    "method_digest": pl.String,
    "budget": pl.String,
    "seed": pl.Int64,
    "select": pl.String,
    "study": pl.String,
    "dataset_digest": pl.String,
    "environment": pl.String,
    "spec_digest": pl.String,
    "device": pl.String,
    "best_epoch": pl.Int64,
    "epochs": pl.Int64,
    "n_units": pl.Int64,
    "parameters": pl.Int64,
    "peak_memory_bytes": pl.Int64,
    "error": pl.String,
    "created": pl.Datetime("us", "UTC"),
}
_NESTED = ("budget_detail", "config", "notes", "views", "identity")


def runs_frame(runs: Sequence[RunRecord], trials: Mapping[str, TrialCounts]) -> pl.DataFrame:
    """Lays runs out wide.

    Args:
        runs: The runs.
        trials: Study fingerprint to its trials.

    Returns:
        One row per run: the plain columns of a run, `trials` and `pruned` (null when nothing was searched), nested
        values as JSON text, then `seconds/<part>`, `valid/<metric>` and `test/<metric>`; null where a run lacks one.
    """
    columns = {name: pl.Series(name, [getattr(run, name) for run in runs], dtype=kind) for name, kind in _PLAIN.items()}
    counts = [trials.get(run.study) if run.study is not None else None for run in runs]
    columns["trials"] = pl.Series("trials", [count and count.total for count in counts], dtype=pl.Int64)
    columns["pruned"] = pl.Series("pruned", [count and count.pruned for count in counts], dtype=pl.Int64)
    for name in _NESTED:
        texts = [json.dumps(getattr(run, name), sort_keys=True) for run in runs]
        columns[name] = pl.Series(name, texts, dtype=pl.String)
    for prefix, field in (("seconds", "seconds"), ("valid", "valid"), ("test", "metrics")):
        for key in dict.fromkeys(key for run in runs for key in getattr(run, field)):
            name = f"{prefix}/{key}"
            columns[name] = pl.Series(name, [getattr(run, field).get(key) for run in runs], dtype=pl.Float64)
    return pl.DataFrame(columns)


def metrics_frame(runs: Sequence[RunRecord], split: str | None) -> pl.DataFrame:
    """Lays metrics out long.

    Returns:
        Columns `fingerprint`, `task`, `protocol`, `dataset`, `budget`, `method`, `seed`, `status`, `split`, `metric`
        and `value`.
    """
    names = ("fingerprint", "task", "protocol", "dataset", "budget", "method", "seed", "status")
    rows = [
        (*(getattr(run, name) for name in names), kind, metric, value)
        for run in runs
        for kind, values in (("valid", run.valid), ("test", run.metrics))
        if split in (None, kind)
        for metric, value in values.items()
    ]
    schema = {name: _PLAIN[name] for name in names} | {"split": pl.String, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
