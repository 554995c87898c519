"""Methods that make images, through the job, the loop and the kept weights."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch

from bench.data.dataset import open_dataset
from bench.errors import DivergedError
from bench.execution.jobs import Job
from bench.execution.results import WEIGHTS, weights_path
from bench.execution.run_job import SAMPLES_FILE, run_job
from bench.execution.trained import trained_method
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.store.records import RunRecord
from bench.tasks.registry import TASKS
from bench.tasks.text_to_image import draw
from bench.training.build import build_method
from bench.training.loop import Settings, train

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
DATA = "shapes-captions@0.01"
SMALL = {"encoder": "tiny-1-2", "width": 4, "noise": 4, "batch_size": 8}


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


@pytest.mark.parametrize("method", ["dfgan", "galip", "ddpm_t2i"])
def test_a_training_that_runs_away_ends_as_diverged_and_names_epoch_and_loss(method: str, fresh_cache: Path) -> None:
    data = open_dataset(DATA).training()
    config = {"lr": 1e30, **({} if method == "ddpm_t2i" else {**SMALL, "lr_discriminator": 1e30})}
    if method == "ddpm_t2i":
        config |= {"channels": [8, 16], "heads": 2, "width": 16, "clip_norm": None}
    filled = METHODS.get(method).Config(**config).model_dump()
    built = build_method({"method": method}, filled, Context(data))
    settings = Settings(
        epochs=3, patience=None, select="seconds_per_image", maximize=False, metrics=("seconds_per_image",), seed=0
    )
    with pytest.raises(DivergedError, match="not finite in epoch 1") as caught:
        train(built, data, TASKS.get("text_to_image"), settings, device=CPU)
    assert caught.value.epoch == 1
