"""Samples as runs leave them, and a store with runs that left some."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from store_factories import make_environment, make_run

from bench.store import Store, codec
from bench.store.records import SampleRecord, UnitScores
from bench.tasks.grids import picture_grid, png, story_grid

if TYPE_CHECKING:
    from pathlib import Path

    from bench.tasks.base import Sample

CLASSES = ("apple", "pear", "plum", "leek")
COUNTS = [[5, 3, 0, 0], [1, 7, 0, 0], [0, 0, 4, 0], [0, 2, 0, 0]]
PROMPTS = ["a red square", "a *blue* <b>circle</b>", "a green star :red[x]"]
SCRIPT = "<script>alert(1)</script> [a](http://b)"


def record(sample: Sample, run: str = "r" * 32, number: int = 0) -> SampleRecord:
    """Returns a task's sample as the store keeps it."""
    return SampleRecord(
        run=run, number=number, unit=sample.name, prompt=sample.prompt, media_type=sample.media_type, data=sample.data,
        notes=dict(sample.notes),
    )  # fmt: skip


def plain(unit: str, kind: str, content: Any, **changes: Any) -> SampleRecord:
    """Returns a sample of JSON."""
    values = {"run": "r" * 32, "number": 0, "media_type": "application/json", "data": json.dumps(content).encode()}
    return SampleRecord(**{**values, "unit": unit, "notes": {"kind": kind}, **changes})


def confusion_record(counts: Any = COUNTS, classes: Any = CLASSES, **changes: Any) -> SampleRecord:
    """Returns a confusion matrix."""
    content = {"classes": list(classes), "counts": counts, "class_accuracy": []}
    return plain("confusion matrix", "confusion", content, **changes)


def reasoning_record(**changes: Any) -> SampleRecord:
    """Returns what DualVGR looked at in three clips and two cycles; `changes` are to the content."""
    content = {
        "question": "how many red things",
        "type": "count",
        "answer": "2",
        "prediction": "3",
        "about": "test-000001",
        "clips": ["test-000001/0", "test-000001/1", "test-000001/2"],
        "weights": {
            "readout": [0.2, 0.3, 0.5],
            "punishment_appearance": [[0.9, 0.8, 0.1], [0.5, 0.4, 0.3]],
            "punishment_motion": [[0.7, 0.1, 0.2], [0.6, 0.2, 0.9]],
            "words": [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]],
        },
        "words": ["how", "many", "red", "things"],
    } | changes
    return plain("reasoning q1", "reasoning", content)


def images(n: int, side: int, seed: int = 0) -> np.ndarray:
    """Returns (n, side, side, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def grid_records(side: int = 96, seed: int = 0, run: str = "r" * 32) -> list[SampleRecord]:
    """Returns a grid of three prompts; what is real does not depend on the seed."""
    columns = {"drawn": images(3, side, seed + 1), "real": images(3, side)}
    found = picture_grid("images by caption", columns, PROMPTS, {"images": 3, "side": side})
    return [record(sample, run, number) for number, sample in enumerate(found)]


def story_records(run: str = "r" * 32) -> list[SampleRecord]:
    """Returns a grid of two stories of three frames, the first frame given."""
    strips = {"drawn": images(6, 96, 3).reshape(2, 3, 96, 96, 3), "real": images(6, 96, 4).reshape(2, 3, 96, 96, 3)}
    given = np.array([[True, False, False]] * 2)
    texts = [["bo jumps", "bo stands", "bo falls"], ["cy jumps", "cy stands", "cy falls"]]
    found = story_grid("continuation", strips, given, texts, {"side": 96})
    return [record(sample, run, number) for number, sample in enumerate(found)]


def sampled_store(path: Path) -> Path:
    """Fills a store with runs of every kind that leaves samples, two methods for images, and one that leaves none."""
    with Store.open(path) as store:
        store.put_environment(make_environment())

        def put(method: str, fingerprint: str, samples: list[SampleRecord], **changes: Any) -> None:
            name = fingerprint * 16
            run = make_run(method, fingerprint=name, environment="e" * 64, **changes)
            units = codec.encode_units(["u1", "u2"], {next(iter(run.metrics)): [0.0, 1.0]})
            numbered = [one.model_copy(update={"run": name, "number": i}) for i, one in enumerate(samples)]
            store.put_run(run, UnitScores(run=name, arrow=units), numbered)

        made = {"family": "generation", "task": "text_to_image", "dataset": "emoji", "protocol": "split-v1"}
        score = {"select": "clip_score[tiny-3]", "metrics": {"clip_score[tiny-3]": 0.2}}
        put("dfgan", "a1", grid_records(seed=1), **made, **score)
        put(SCRIPT, "a2", grid_records(seed=2), **made, **score)
        told = made | {"task": "story", "dataset": "shapes-stories", "generated": True}
        put("storygan", "a3", story_records(), **told, **score)
        asked = {"family": "vqa", "task": "vqa", "dataset": "nowhere-qa", "protocol": "p", "select": "accuracy"}
        rows = [{"type": "count", "questions": 4, "accuracy": 0.25, "unseen_answers": 0}]
        table = plain("accuracy by type", "table", rows)
        put("dualvgr", "a4", [table, reasoning_record()], **asked, metrics={"accuracy": 0.5})
        put("st_vqa", "a5", [table], **asked, metrics={"accuracy": 0.4})
        named = {"family": "classification", "task": "classification", "dataset": "grocery", "select": "top1"}
        put("resnet", "a6", [confusion_record()], **named, metrics={"top1": 16 / 22})
        put("mgcn", "a7", [])
        maps = SampleRecord(
            run="x", number=0, unit="<b>map</b>", media_type="image/png", data=png(images(1, 32)[0]),
            notes={"kind": "attribution"},
        )  # fmt: skip
        put("befa[mgcn]", "a8", [maps])
    return path
