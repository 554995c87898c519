from __future__ import annotations

import json
import os

import pytest

from bench.execution.jobs import EVENT, EpochDone, Finished, Job, Outcome
from bench.execution.results import (
    forget_result,
    job_digest,
    keep_weights,
    prepare_folder,
    read_result,
    read_samples,
    read_units,
    weights_path,
    write_result,
)
from bench.execution.run_job import write_samples
from bench.store.records import CurvePoint
from bench.tasks.base import Sample


def make_job(**changes):
    known = dict(
        id="a1", kind="run", task="t", protocol="p", dataset="d", dataset_digest="x", method={"method": "m"},
        config={"lr": 1e-3}, budget={"epochs": 3}, select="recall@20", metrics=["recall@20"], seed=0,
    )  # fmt: skip
    return Job(**{**known, **changes})


def test_result_is_found_again_by_the_same_job_only(tmp_path):
    job, outcome = make_job(), Outcome(status="done", metrics={"recall@20": 0.1 + 0.2}, value=1 / 3)
    prepare_folder(tmp_path, job)
    write_result(tmp_path, job, outcome)
    assert read_result(tmp_path, job) == outcome
    assert read_result(tmp_path, make_job(device="cuda", threads=8, timeout_s=5.0)) == outcome
    assert read_result(tmp_path, make_job(config={"lr": 1e-2})) is None
    assert read_result(tmp_path, make_job(id="other")) is None
    forget_result(tmp_path, job.id)
    assert read_result(tmp_path, job) is None


def test_damaged_or_foreign_result_is_ignored(tmp_path):
    job = make_job()
    folder = prepare_folder(tmp_path, job)
    for content in ("", "{", "[]", json.dumps({"job_digest": job_digest(job), "outcome": {"colour": 1}})):
        (folder / "result.json").write_text(content)
        assert read_result(tmp_path, job) is None


def test_result_whose_unit_scores_are_missing_is_ignored(tmp_path):
    job, outcome = make_job(), Outcome(status="done", units_path="units.arrow")
    folder = prepare_folder(tmp_path, job)
    write_result(tmp_path, job, outcome)
    assert read_result(tmp_path, job) is None
    (folder / "units.arrow").write_bytes(b"x")
    assert read_units(tmp_path, job, read_result(tmp_path, job)) == b"x"


def test_samples_come_back_as_they_were_written(tmp_path):
    job, outcome = make_job(), Outcome(status="done", samples_path="samples.arrow")
    folder = prepare_folder(tmp_path, job)
    write_result(tmp_path, job, outcome)
    assert read_result(tmp_path, job) is None, "what the result promises is not there yet"
    samples = (
        Sample("7", "image/png", b"\x89PNG", "a red square", {"kind": "image", "seed": 1}),
        Sample("confusion matrix", "application/json", b"{}"),
    )
    write_samples(folder / "samples.arrow", samples)
    found = read_samples(tmp_path, job, read_result(tmp_path, job))
    assert [(s.number, s.unit, s.prompt, s.data, s.notes) for s in found] == [
        (0, "7", "a red square", b"\x89PNG", {"kind": "image", "seed": 1}),
        (1, "confusion matrix", None, b"{}", {}),
    ]


def test_weights_of_a_stored_run_are_kept_within_the_room_given(tmp_path, fresh_cache, monkeypatch):
    for name in ("old", "new"):
        job = make_job(id=name)
        (prepare_folder(tmp_path, job) / "weights.safetensors").write_bytes(b"w" * 600)
        monkeypatch.setenv("BENCH_KEEP_WEIGHTS_GB", "1e-6")
        keep_weights(tmp_path, job)
        if name == "old":
            os.utime(weights_path("old"), (1, 1))
    assert weights_path("new").read_bytes() == b"w" * 600
    assert not weights_path("old").exists(), "1000 bytes hold one of the two"


def test_weights_of_a_trial_are_not_kept(tmp_path, fresh_cache):
    job = make_job(kind="trial")
    (prepare_folder(tmp_path, job) / "weights.safetensors").write_bytes(b"w")
    keep_weights(tmp_path, job)
    assert not weights_path(job.id).exists()


def test_folder_keeps_a_checkpoint_of_the_same_job_and_drops_one_of_another(tmp_path):
    folder = prepare_folder(tmp_path, make_job())
    (folder / "checkpoint").touch()
    assert (prepare_folder(tmp_path, make_job(threads=2)) / "checkpoint").exists()
    assert not (prepare_folder(tmp_path, make_job(seed=1)) / "checkpoint").exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 1e-300, 0.1 + 0.2])
def test_events_carry_every_number_unchanged(number):
    point = CurvePoint(epoch=1, values={"loss": number})
    event = EVENT.validate_json(EpochDone(job="a", point=point).model_dump_json())
    assert repr(event.point.values["loss"]) == repr(number)
    finished = Finished(job="a", outcome=Outcome(status="done", value=number, curve=[point]))
    assert repr(EVENT.validate_json(finished.model_dump_json()).outcome.value) == repr(number)
