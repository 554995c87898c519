"""Makes a store as a large team would have it after a year: by default 100,000 runs of four families.

    python -m benchmarks.leaderboard_store /tmp/large.db --runs 100000

Rows are written in bulk, straight into the tables of `bench.store`, because one transaction per run takes a quarter of
an hour. Numbers are drawn; a run has about the bytes of a run in `results.db` (configuration, notes, curve), and the
first tables keep unit scores. Every table holds methods with several versions of their source and five seeds, some of
which failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from bench.store import Store, codec
from bench.store.records import CurvePoint
from bench.store.tables import Curve, Environment, Experiment, Metric, Run, Study, Trial, UnitScore
from bench.store.variant import variant_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SEEDS = (0, 1, 2, 3, 4)
VERSIONS = 5
METHODS = 40
BATCH = 2_000
UNITS = 500
WITH_UNITS = 4
"""Tables that keep unit scores."""
TRIALS = 60
SEARCHED = 6
"""Methods per table that were searched."""
RANKING = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
TASKS: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "recommendation": ("recommendation", "mmrec-v1", RANKING, ("mgcn", "freedom", "lightgcn", "vbpr", "bpr", "ease")),
    "sequential": ("recommendation", "loo-v1", RANKING, ("sasrec", "gru4rec", "dreamrec", "mealrec")),
    "classification": (
        "classification",
        "official-v1",
        ("top1", "top5", "nll", "macro_f1"),
        ("resnet", "vit", "marnet"),
    ),
    "text_to_image": (
        "generation",
        "official-v1",
        ("fid", "clip_score", "r_precision"),
        ("galip", "dfgan", "ddpm_t2i"),
    ),
    "image_editing": ("generation", "official-v1", ("fid", "manipulation", "l1"), ("denet", "spatial_affine")),
    "story": ("generation", "official-v1", ("fid", "frame_accuracy"), ("storygan", "ar_story", "storyimager")),
    "vqa": ("vqa", "official-v1", ("accuracy",), ("hga", "hcrn", "dualvgr", "q_only", "st_vqa")),
}


class Place(NamedTuple):
    """One table of the store."""

    number: int
    family: str
    task: str
    dataset: str
    protocol: str
    generated: bool
    metrics: tuple[str, ...]
    known: tuple[str, ...]


def places(count: int) -> Iterator[Place]:
    """Yields tables, tasks in turn, every fourth on generated data."""
    names = list(TASKS)
    for number in range(count):
        family, protocol, metrics, known = TASKS[names[number % len(names)]]
        generated = number // len(names) % 4 == 3
        dataset = f"{names[number % len(names)].replace('_', '-')}-{number // len(names):02d}" + "-twin" * generated
        yield Place(number, family, names[number % len(names)], dataset, protocol, generated, metrics, known)


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def labels(place: Place) -> list[str]:
    """Returns the method labels of a table: known ones first, then those of a team of its own."""
    return [*place.known, *(f"house_{number:02d}" for number in range(METHODS - len(place.known)))]


def run_row(place: Place, method: str, version: int, seed: int, number: int, study: str | None) -> dict[str, Any]:
    """Returns the row of one run; its identity has the fields of a real one."""
    config = {"dim": 64, "lr": 0.001 * (1 + version), "batch_size": 2048, "layers": 2, "reg": 1e-4, "dropout": 0.1}
    budget = {
        **{"name": "full", "trials": 20, "epochs": 1000, "patience": 20, "seeds": list(SEEDS)},
        **{"timeout_s": None, "trial_epochs": None},
    }
    identity = {
        **{"version": 1, "task": place.task, "protocol": place.protocol, "dataset": place.dataset},
        **{"dataset_digest": digest("data", place.dataset), "method": method},
        **{
            "method_digest": digest("source", method, version),
            "config": config,
            "space": {},
            "select": place.metrics[0],
        },
        **{"budget": {"trials": 20, "epochs": 1000, "patience": 20}, "precision": "32-true", "seed": seed},
        **{"views": {"ui": digest("view", place.dataset), "image": digest("image", place.dataset)}},
    }
    # Of five versions, the oldest failed in part.
    failed = version == 0 and (number % 11 == 0)
    row: dict[str, Any] = {
        **{"fingerprint": digest(identity)[:32], "identity": identity},
        **{"status": "failed" if failed else "done", "reason": "CUDA out of memory" if failed else None},
        **{"family": place.family, "task": place.task, "protocol": place.protocol, "dataset": place.dataset},
        **{"generated": place.generated, "method": method, "method_digest": identity["method_digest"]},
        **{"budget": "full", "budget_detail": budget, "seed": seed, "select": place.metrics[0], "config": config},
        **{"study": study, "notes": {"modalities": ["image", "text"], "note": "x" * 400}},
        **{"dataset_digest": identity["dataset_digest"], "views": identity["views"]},
        **{"environment": "e" * 64, "spec_digest": "d" * 64, "device": "cuda", "best_epoch": 40, "epochs": 60},
        **{"n_units": UNITS, "parameters": 10_000 * (1 + number % 97)},
        **{"seconds": {"compile": 0.2, "train": 600.0 + number % 900, "evaluate": 3.0, "total": 610.0 + number % 900}},
        **{"peak_memory_bytes": 2**30 + number % 1000, "error": "x" * 900 if failed else None},
        "created": (START + timedelta(minutes=5 * number)).replace(tzinfo=None),
    }
    return row | {"variant": variant_digest(identity, identity["method_digest"])}


def curve(rng: np.random.Generator, metric: str) -> bytes:
    values = rng.random((60, 4))
    names = ("loss", f"valid/{metric}", "seconds/train", "seconds/valid")
    return codec.encode_curve(
        [CurvePoint(epoch=e + 1, values=dict(zip(names, map(float, row), strict=True))) for e, row in enumerate(values)]
    )


def fill_shared(connection: Connection) -> None:
    """Writes what all runs name."""
    created = START.replace(tzinfo=None)
    environment = {"digest": "e" * 64, "git_commit": "a" * 40, "git_dirty": False, "packages": {"torch": "2.13.0"}}
    connection.execute(sa.insert(Environment).values(**environment, hardware={"cpu": "x86"}, python="3.11.9"))
    spec = {"spec_digest": "d" * 64, "name": "year", "spec_text": "version: 1\n", "resolved": {"version": 1}}
    connection.execute(sa.insert(Experiment).values(**spec, budget="full", created=created))


def fill_study(connection: Connection, place: Place, method: str, rng: np.random.Generator) -> str:
    """Writes a search with its trials; returns its fingerprint."""
    fingerprint = digest("study", place, method)[:32]
    created = START.replace(tzinfo=None)
    space = {"lr": {"log": [1e-4, 1e-1]}, "layers": [1, 2, 3], "reg": {"log": [1e-6, 1e-2]}}
    study = {
        **{"fingerprint": fingerprint, "task": place.task, "protocol": place.protocol, "dataset": place.dataset},
        **{"method": method, "budget": "full", "sampler": "tpe", "pruner": "hyperband", "select": place.metrics[0]},
        **{"direction": "maximize", "space": space, "trials": TRIALS, "best_trial": None, "created": created},
    }
    connection.execute(sa.insert(Study).values(study))
    trials = []
    for number in range(TRIALS):
        lr, layers, reg = 10 ** rng.uniform(-4, -1), int(rng.integers(1, 4)), 10 ** rng.uniform(-6, -2)
        pruned = number % 4 == 3
        value = float(0.1 - 0.02 * (np.log10(lr) + 2.5) ** 2 + 0.005 * layers + rng.normal(0, 0.003))
        params = {"lr": lr, "layers": layers, "reg": reg}
        trials.append(
            {
                **{"study": fingerprint, "number": number, "status": "pruned" if pruned else "done", "params": params},
                **{"config": params | {"dim": 64}, "value": value - 0.02 * pruned, "best_epoch": 10},
                **{"epochs": 5 if pruned else 30, "seconds": 50.0, "error": None},
                "created": created + timedelta(minutes=number),
            }
        )
    connection.execute(sa.insert(Trial), trials)
    best = max((trial for trial in trials if trial["status"] == "done"), key=lambda trial: trial["value"])["number"]
    connection.execute(sa.update(Study).where(Study.fingerprint == fingerprint).values(best_trial=best))
    return fingerprint


def make(path: Path, runs: int, *, seed: int = 0) -> int:
    """Makes the store; returns the number of runs."""
    rng = np.random.default_rng(seed)
    Store.open(path).close()
    engine = sa.create_engine(f"sqlite:///{path}")
    per_table = METHODS * VERSIONS * len(SEEDS)
    made = 0
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        fill_shared(connection)
        for place in places(-(-runs // per_table)):
            rows = []
            for rank, method in enumerate(labels(place)):
                study = fill_study(connection, place, method, rng) if rank < SEARCHED else None
                for version in range(VERSIONS):
                    for number in SEEDS:
                        if made + len(rows) < runs:
                            index = made + len(rows) + 1
                            rows.append(run_row(place, method, version, number, index, study))
            for index, row in enumerate(rows):
                row["id"] = made + index + 1
            connection.execute(sa.insert(Run), rows)
            fill_numbers(connection, place, rows, rng)
            made += len(rows)
    engine.dispose()
    return made


def fill_numbers(connection: Connection, place: Place, rows: list[dict[str, Any]], rng: np.random.Generator) -> None:
    """Writes metrics, curves and, in the first tables, unit scores."""
    quality = {label: 0.05 + 0.3 * rng.random() for label in labels(place)}
    done = [row for row in rows if row["status"] == "done"]
    numbers = []
    for row in done:
        for position, name in enumerate(place.metrics):
            value = quality[row["method"]] * (1 - 0.1 * position) + rng.normal(0, 0.003)
            for split in ("valid", "test"):
                numbers.append(
                    {"run_id": row["id"], "split": split, "name": name, "position": position, "value": float(value)}
                )
    connection.execute(sa.insert(Metric), numbers)
    drawn = [curve(rng, place.metrics[0]) for _ in range(10)]
    curves = [{"run_id": row["id"], "epochs": 60, "arrow": drawn[i % 10]} for i, row in enumerate(done)]
    connection.execute(sa.insert(Curve), curves)
    if place.number >= WITH_UNITS:
        return
    blobs = []
    for row in done:
        scores = {name: quality[row["method"]] + rng.normal(0, 0.2, UNITS) for name in place.metrics}
        blobs.append({"run_id": row["id"], "units": UNITS, "arrow": codec.encode_units(np.arange(UNITS), scores)})
    connection.execute(sa.insert(UnitScore), blobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--runs", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.path.exists():
        raise SystemExit(f"'{arguments.path}' exists; name a new file.")
    start = time.perf_counter()
    made = make(arguments.path, arguments.runs)
    size = arguments.path.stat().st_size / 2**20
    print(f"{made:,} runs in {arguments.path}: {size:,.0f} MiB, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
