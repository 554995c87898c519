"""Methods that make images, through the job, the loop and the kept weights."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch

from bench.data.dataset import open_dataset
from bench.errors import DivergedError, UserError
from bench.execution.jobs import Job
from bench.execution.results import WEIGHTS, weights_path
from bench.execution.run_job import SAMPLES_FILE, run_job
from bench.execution.trained import trained_method
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.store.records import RunRecord
from bench.tasks import image_editing, text_to_image
from bench.tasks.registry import TASKS
from bench.tasks.text_to_image import draw
from bench.training.build import build_method
from bench.training.loop import Settings, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = torch.device("cpu")
SMALLEST = {
    "text_to_image": "shapes-captions@0.01",
    "image_editing": "shapes-edits@0.01",
    "story": "shapes-stories@0.01",
}
DATA = SMALLEST["text_to_image"]
SMALL = {"encoder": "tiny-1-2", "width": 4, "noise": 4, "batch_size": 8}
EDITOR = {"encoder": "tiny-1-2", "width": 4, "batch_size": 8}
TINY = {"channels": [8, 16], "heads": 2, "width": 16, "sampling_steps": 2, "clip_norm": None}


def job(method: str, **config: Any) -> Job:
    resolved = METHODS.get(method).Config(**config).model_dump(mode="json")
    return Job(
        id="f" * 32, kind="run", task="text_to_image", protocol="generated-v1", dataset=DATA,
        dataset_digest=open_dataset(DATA).digest, method={"method": method}, config=resolved, seed=0, device="cpu",
        budget={"epochs": 1, "patience": None}, select="seconds_per_image", metrics=["seconds_per_image"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "config"),
    [
        ("dfgan", SMALL),
        ("galip", {**SMALL, "code": 8, "middle": 4, "critic": 8, "assessor": 4}),
        ("ddpm_t2i", {"channels": [8, 16], "heads": 2, "width": 16, "sampling_steps": 2}),
    ],
)
def test_a_job_says_what_a_method_costs_and_its_weights_draw_the_same_again(
    method: str, config: dict[str, Any], tmp_path: Path, fresh_cache: Path
) -> None:
    asked = job(method, **config)
    outcome = run_job(asked, work_dir=tmp_path, on_epoch=lambda _: True)
    built = build_method(asked.method, asked.config, Context(open_dataset(DATA).training()))
    encoder = getattr(built, "encoder", None)
    frozen = 0 if encoder is None else sum(weight.numel() for weight in encoder.parameters())
    assert outcome.notes.get("frozen_parameters", 0) == frozen and (frozen > 0) == (method != "ddpm_t2i")
    assert outcome.parameters == sum(weight.numel() for weight in built.parameters()) - frozen > 0
    assert outcome.metrics["seconds_per_image"] > 0
    kinds = pl.read_ipc(tmp_path / SAMPLES_FILE)["media_type"].to_list()
    assert kinds == ["image/png", "application/json"]

    weights_path(asked.id).parent.mkdir(parents=True)
    shutil.copy(tmp_path / WEIGHTS, weights_path(asked.id))
    record = RunRecord.model_validate(
        {
            "fingerprint": asked.id, "identity": {"precision": "32-true"}, "status": "done", "family": "generation",
            "task": asked.task, "protocol": asked.protocol, "dataset": DATA, "generated": True, "method": method,
            "method_digest": "0", "budget": "b", "budget_detail": asked.budget, "seed": 0, "select": asked.select,
            "config": asked.config, "dataset_digest": asked.dataset_digest, "created": datetime.now(timezone.utc),
        }
    )  # fmt: skip
    captions = open_dataset(DATA).training().valid.captions
    again = [draw(trained_method(record, device=CPU).method, captions, 32).pixels for _ in range(2)]
    assert np.array_equal(*again)
    assert not np.array_equal(again[0], draw(built, captions, 32).pixels), "the weights are those of the training"


@pytest.mark.parametrize(
    ("task", "method", "config"),
    [
        ("text_to_image", "dfgan", {**SMALL, "lr_discriminator": 1e30}),
        ("text_to_image", "galip", {**SMALL, "lr_discriminator": 1e30}),
        ("text_to_image", "ddpm_t2i", TINY),
        ("image_editing", "denet", {**EDITOR, "lr_discriminator": 1e30}),
        ("story", "ar_story", {**TINY, "batch_size": 2}),
        ("story", "storyimager", {**TINY, "batch_size": 2}),
    ],
)
def test_a_training_that_runs_away_ends_as_diverged_and_names_epoch_and_loss(
    task: str, method: str, config: dict[str, Any], fresh_cache: Path
) -> None:
    data = open_dataset(SMALLEST[task]).training()
    filled = METHODS.get(method).Config(**config, lr=1e30).model_dump()
    built = build_method({"method": method}, filled, Context(data))
    settings = Settings(
        epochs=3, patience=None, select="seconds_per_image", maximize=False, metrics=("seconds_per_image",), seed=0
    )
    with pytest.raises(DivergedError, match="the loss is not finite in epoch 1") as caught:
        train(built, data, TASKS.get(task), settings, device=CPU)
    assert caught.value.epoch == 1
    told = re.findall(r"([\w/]+) = (?:nan|inf)", caught.value.message)
    assert {"loss/discriminator", "loss/generator"} <= set(told) if "lr_discriminator" in config else told == ["loss"]


@pytest.mark.parametrize("judge", ["tiny-1-2", "tiny-1-3"])
@pytest.mark.parametrize(
    ("task", "method", "config"), [("text_to_image", "dfgan", SMALL), ("image_editing", "denet", EDITOR)]
)
def test_no_method_is_judged_by_the_network_it_trained_through(
    task: str, method: str, config: dict[str, Any], judge: str, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(SMALLEST[task])
    filled = METHODS.get(method).Config(**config).model_dump()
    built = build_method({"method": method}, filled, Context(dataset.training()))
    opened, drawn = [], []
    monkeypatch.setattr(type(dataset), "test", watched(opened, type(dataset).test))
    monkeypatch.setattr(text_to_image, "checked", watched(drawn, text_to_image.checked))
    monkeypatch.setattr(image_editing, "checked", watched(drawn, image_editing.checked))
    # Known by its weights, or by its seed and data, which make one network however long it was trained.
    refusal = f"method {method} was trained against the network '{judge}', so that network cannot judge it"
    for look, given in ((TASKS.get(task).validate, dataset.training()), (TASKS.get(task).evaluate, dataset)):
        with pytest.raises(UserError, match=refusal) as caught:
            look(built, given, ["seconds_per_image", f"clip_score[{judge}]"])
        assert "Name another network in the metrics, e.g." in (caught.value.hint or "")
    assert not opened and not drawn, "refused before the test split is opened and before anything is drawn"
    other = "clip_score[tiny-3-2]"
    found = TASKS.get(task).evaluate(built, dataset, [other])
    assert opened and drawn and np.isfinite(found.values[other])


def watched(calls: list[Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """Notes that something is called, and calls it."""

    def call(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return real(*given, **named)

    return call
