"""Records for tests of the store and of the analysis."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from bench.store.records import (
    CurvePoint,
    EnvironmentRecord,
    ExperimentRecord,
    RunRecord,
    StudyRecord,
    TrialRecord,
    ViewRecord,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=timezone.utc)


def make_environment(**changes: Any) -> EnvironmentRecord:
    return EnvironmentRecord(
        **{
            "digest": "e" * 64,
            "git_commit": "abc",
            "git_dirty": False,
            "packages": {"torch": "2.13.0"},
            "hardware": {"cpu": "x86", "cores": 2, "gpus": []},
            "python": "3.11.9",
        }
        | changes
    )


def make_experiment(**changes: Any) -> ExperimentRecord:
    return ExperimentRecord(
        **{
            "spec_digest": "d" * 64,
            "name": "quickstart",
            "spec_text": "version: 1\n",
            "resolved": {"version": 1, "budgets": {"small": {"trials": 2}}},
            "budget": "small",
            "created": NOON,
        }
        | changes
    )


def make_view(**changes: Any) -> ViewRecord:
    return ViewRecord(
        **{
            "digest": "v" * 64,
            "name": "ui",
            "dataset": "baby",
            "pipeline": ["bipartite", {"sym_norm": {"eps": 0.0}}],
            "rows": 10,
            "cols": 10,
            "edges": 24,
            "seconds": 0.5,
        }
        | changes
    )


def make_study(**changes: Any) -> StudyRecord:
    return StudyRecord(
        **{
            "fingerprint": "5" * 32,
            "task": "recommendation",
            "protocol": "mmrec-v1",
            "dataset": "baby",
            "method": "mgcn",
            "budget": "small",
            "sampler": "tpe",
            "pruner": "hyperband",
            "select": "recall@20",
            "direction": "maximize",
            "space": {"lr": {"log": [1e-4, 1e-1]}},
            "trials": 2,
            "created": NOON,
        }
        | changes
    )


def make_trial(number: int = 0, **changes: Any) -> TrialRecord:
    return TrialRecord(
        **{
            "study": "5" * 32,
            "number": number,
            "status": "done",
            "params": {"lr": 1e-3},
            "config": {"lr": 1e-3, "dim": 64},
            "value": 0.1 + 0.2,
            "best_epoch": 2,
            "epochs": 3,
            "seconds": 1.5,
            "curve": [CurvePoint(epoch=1, values={"loss": 0.5}), CurvePoint(epoch=2, values={"loss": 0.25, "x": 1.0})],
            "created": NOON,
        }
        | changes
    )


def make_run(method: str = "mgcn", seed: int = 0, **changes: Any) -> RunRecord:
    identity = {"method": method, "config": {"lr": 1e-3}, "seed": seed, **changes.pop("identity", {})}
    mark = sum(ord(letter) * (place + 7) for place, letter in enumerate(f"{method}{identity}{sorted(changes)}"))
    return RunRecord(
        **{
            "fingerprint": f"{mark:08x}{seed:024x}",
            "identity": identity,
            "status": "done",
            "family": "recommendation",
            "task": "recommendation",
            "protocol": "mmrec-v1",
            "dataset": "baby",
            "generated": False,
            "method": method,
            "method_digest": "m" * 32,
            "budget": "small",
            "budget_detail": {"trials": 2, "epochs": 3, "patience": 20, "seeds": [seed], "timeout_s": None},
            "seed": seed,
            "select": "recall@20",
            "config": {"lr": 1e-3, "dim": 64},
            "dataset_digest": "a" * 64,
            "views": {"ui": "v" * 64},
            "best_epoch": 3,
            "epochs": 4,
            "valid": {"recall@20": 0.11},
            "metrics": {"recall@20": 0.1 + 0.2, "ndcg@20": 1 / 3},
            "n_units": 5,
            "parameters": 1234,
            "seconds": {"train": 8.0, "evaluate": 0.5, "total": 9.0},
            "peak_memory_bytes": 2**31,
            "curve": [CurvePoint(epoch=1, values={"loss": 0.7, "seconds/train": 2.0})],
            "created": NOON + timedelta(minutes=seed),
        }
        | changes
    )
