"""What is said or refused before any training, because scores could not be read or could not be had afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bench.data.dataset import open_dataset
from bench.errors import UserError
from bench.execution.jobs import Job
from bench.execution.plan import build_plan
from bench.execution.run_job import run_job
from bench.methods.registry import METHODS
from bench.spec.check import validate_spec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: edits
experiments:
  - task: image_editing
    datasets: [shapes-edits@0.01]
    methods: [{methods}]
    metrics: [l2]
    select: l2
budgets:
  small: {{trials: 0, epochs: 1, seeds: [0]}}
"""


def warnings_of(methods: str, folder: Path, **choices: Any) -> tuple[str, ...]:
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(methods=methods), encoding="utf-8")
    return build_plan(validate_spec(path), None, **choices).warnings


def test_edits_without_the_row_of_doing_nothing_are_warned_about_once(tmp_path: Path, fresh_cache: Path) -> None:
    (warning,) = warnings_of("denet, channel_affine", tmp_path)
    assert "lacks the row 'no_edit'" in warning and "add it to the methods" in warning
    assert warnings_of("no_edit, denet", tmp_path) == ()
    assert warnings_of("no_edit, denet", tmp_path, only={"denet"}) == (), "the user left it out on purpose"


@pytest.mark.parametrize(
    ("task", "dataset", "method", "config", "metrics", "message"),
    [
        (
            *("text_to_image", "shapes-captions@0.01", "dfgan", {"encoder": "tiny-1-2", "width": 4, "noise": 4}),
            *(["seconds_per_image", "clip_score[tiny-1-3]"], "dfgan was trained against the network 'tiny-1-3'"),
        ),
        (
            *("image_editing", "shapes-edits@0.01", "denet", {"encoder": "tiny-1-2", "width": 4}),
            *(["l2", "clip_score[tiny-1-3]"], "denet was trained against the network 'tiny-1-3'"),
        ),
        (
            *("story", "shapes-stories@0.02", "storyimager", {"channels": [8, 16], "heads": 2, "width": 16}),
            *(["given_exact[visualisation]"], "cannot select: in that mode no frame is given"),
        ),
        (
            *("story", "shapes-stories@0.02", "ar_story", {"channels": [8, 16], "heads": 2, "width": 16}),
            *(["given_exact[completion]"], "has no mode 'completion'"),
        ),
    ],
)
def test_a_metric_that_cannot_judge_a_method_ends_its_job_before_the_first_step(
    task: str,
    dataset: str,
    method: str,
    config: dict[str, Any],
    metrics: list[str],
    message: str,
    tmp_path: Path,
    fresh_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = METHODS.get(method)

    def step(*_: object) -> None:
        raise AssertionError("it was trained")

    monkeypatch.setattr(known, "steps", step)
    job = Job(
        id="f" * 32, kind="run", task=task, protocol="generated-v1", dataset=dataset,
        dataset_digest=open_dataset(dataset).digest, method={"method": method},
        config=known.Config(**config).model_dump(mode="json"), seed=0, device="cpu",
        budget={"epochs": 1, "patience": None}, select=metrics[0], metrics=metrics,
    )  # fmt: skip
    with pytest.raises(UserError, match=message):
        run_job(job, work_dir=tmp_path, on_epoch=lambda _: True)
