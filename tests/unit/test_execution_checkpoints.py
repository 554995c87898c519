"""A cell's identity holds what a checkpoint is made of; its metrics name evaluators by content."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from bench.data import checkpoints
from bench.data.checkpoints import find_checkpoint
from bench.errors import DataError, UserError
from bench.execution.checkpoints import as_asked, check_unchanged, open_checkpoints
from bench.execution.plan import build_plan
from bench.execution.run_job import run_job
from bench.spec.check import validate_spec
from bench.spec.models import MethodEntry

if TYPE_CHECKING:
    from pathlib import Path

    from bench.execution.entries import Entry

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small CLIPs that differ in one weight, and a small ResNet."""
    root = tmp_path_factory.mktemp("models")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 60, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 1}
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**sizes, "image_size": 16, "patch_size": 8}, projection_dim=6
    )
    torch.manual_seed(0)
    clip = transformers.CLIPModel(config)
    clip.save_pretrained(root / "clip")
    with torch.no_grad():
        clip.logit_scale += 1.0
    clip.save_pretrained(root / "clip-other")
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(f"{a}{end}" for a in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")),
    ]
    for name in ("clip", "clip-other"):
        transformers.CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[]).save_pretrained(root / name)
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"}
    transformers.ResNetModel(transformers.ResNetConfig(**resnet)).save_pretrained(root / "resnet")
    return root


@pytest.fixture
def place(models: Path, tmp_path: Path, fresh_cache: Path) -> Path:
    shutil.copytree(models, tmp_path / "models")
    return tmp_path / "models"


def entries(
    tmp_path: Path,
    methods: list[Any],
    *,
    task: str = "text_to_image",
    dataset: str = "shapes-captions@0.01",
    metrics: tuple[str, ...] = ("seconds_per_image",),
    trials: int = 0,
) -> list[Entry]:
    spec = {
        "version": 1,
        "name": "checkpoints",
        "experiments": [
            {"task": task, "datasets": [dataset], "methods": methods, "metrics": list(metrics), "select": metrics[0]}
        ],
        "budgets": {"b": {"trials": trials, "epochs": 1, "seeds": [0]}},
        "budget": "b",
    }
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec))
    return list(build_plan(validate_spec(path), None, device="cpu").entries)


def dfgan(encoder: Path | str) -> dict[str, Any]:
    return {"method": "dfgan", "set": {"encoder": str(encoder)}}


def test_a_fingerprint_follows_the_content_and_not_the_path(place: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path) -> str:
        (entry,) = entries(tmp_path, [dfgan(folder)])
        assert entry.config["encoder"] == str(folder), "the job still knows where to look"
        assert str(folder) not in json.dumps(entry.study.model_dump(mode="json"))
        return entry.cell(0).fingerprint

    first = fingerprint(place / "clip")
    shutil.copytree(place / "clip", tmp_path / "moved" / "elsewhere")
    assert fingerprint(tmp_path / "moved" / "elsewhere") == first
    shutil.copy(place / "clip-other" / "model.safetensors", place / "clip" / "model.safetensors")
    assert fingerprint(place / "clip") != first


def test_an_encoder_that_is_trained_here_stays_as_it_is_written(tmp_path: Path, fresh_cache: Path) -> None:
    for name in ("tiny-1", "tiny-2-40"):
        (entry,) = entries(tmp_path, [dfgan(name)])
        assert entry.study.config["encoder"] == name and not entry.checkpoints


def test_a_wrapped_methods_checkpoint_counts_too(place: Path, tmp_path: Path) -> None:
    resnet = {"method": "resnet", "set": {"checkpoint": str(place / "resnet")}}
    bare, wrapped, scratch = entries(
        tmp_path,
        [resnet, {"method": "marnet", "wrap": [resnet]}, {"method": "resnet"}],
        task="classification",
        dataset="dishes@0.01",
        metrics=("top1",),
    )
    digest = f"sha256:{find_checkpoint(str(place / 'resnet')).digest}"
    assert bare.study.config["checkpoint"] == wrapped.study.config["wrapped"]["checkpoint"] == digest
    assert scratch.study.config["checkpoint"] is None


def test_choices_of_a_search_are_named_by_content(place: Path, tmp_path: Path) -> None:
    choices = ["tiny-1", str(place / "clip")]
    searched = {"method": "dfgan", "space": {"encoder": choices}}
    (entry,) = entries(tmp_path, [searched], trials=2)
    digest = find_checkpoint(str(place / "clip")).digest
    assert entry.study.space["encoder"] == {"choices": ["tiny-1", f"sha256:{digest}"]}
    assert entry.space["encoder"].values == tuple(choices)  # type: ignore[union-attr]


def test_evaluators_are_named_by_content_and_found_by_the_worker(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = entries(
        tmp_path, [{"method": "ddpm_t2i"}], metrics=(f"clip_score[{place / 'clip'}]", "fid[world-cnn-7]")
    )
    name = find_checkpoint(str(place / "clip")).name
    assert name.startswith("clip@")
    assert entry.metrics == (f"clip_score[{name}]", "fid[world-cnn-7]") and entry.study.select == entry.metrics[0]
    job = entry.job(id="f" * 32, kind="run", config=entry.config, seed=0)
    assert job.metrics == list(entry.metrics) and job.networks == {name: str(place / "clip")}
    monkeypatch.setattr(checkpoints, "_places", {})
    open_checkpoints(job)
    assert checkpoints.place_of(name) == str(place / "clip")
    shutil.copy(place / "clip-other" / "model.safetensors", place / "clip" / "model.safetensors")
    with pytest.raises(DataError, match="has changed since the plan"):
        open_checkpoints(job)


def test_a_copy_of_the_encoder_under_another_name_is_no_judge(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "clip", tmp_path / "another-name")
    judge = f"clip_score[{tmp_path / 'another-name'}]"
    (entry,) = entries(tmp_path, [dfgan(place / "clip")], metrics=("seconds_per_image", judge))
    job = entry.job(id="f" * 32, kind="run", config=entry.config, seed=0)
    with pytest.raises(UserError, match="another-name@"):
        run_job(job, work_dir=tmp_path, on_epoch=lambda _: True)


def test_a_run_stores_the_evaluator_with_its_digest(place: Path, tmp_path: Path) -> None:
    method = {
        "method": "ddpm_t2i",
        "set": {"channels": [8, 16], "heads": 2, "width": 16, "sampling_steps": 2},
    }
    (entry,) = entries(tmp_path, [method], metrics=(f"clip_score[{place / 'clip'}]",))
    job = entry.job(id="f" * 32, kind="run", config=entry.config, seed=0)
    outcome = run_job(job, work_dir=tmp_path, on_epoch=lambda _: True)
    name = f"clip_score[clip@{find_checkpoint(str(place / 'clip')).digest[:8]}]"
    assert set(outcome.metrics) == set(outcome.valid) == {name}
    assert abs(outcome.metrics[name]) <= 1


def test_inception_is_named_by_its_file(tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for number in range(2):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(bytes([number]))
        monkeypatch.setenv(checkpoints.INCEPTION_VARIABLE, str(file))
        (entry,) = entries(tmp_path, [{"method": "ddpm_t2i"}], metrics=("seconds_per_image", "fid[inception]"))
        names.append(entry.metrics[1])
    assert names[0] != names[1] and all(name.startswith("fid[inception@") for name in names)


@pytest.mark.parametrize(
    ("method", "metrics", "who"),
    [
        (dfgan("/nowhere/clip"), ("seconds_per_image",), "method dfgan"),
        ({"method": "ddpm_t2i"}, ("clip_score[/nowhere/clip]",), r"metric clip_score\[/nowhere/clip\]"),
    ],
)
def test_a_missing_folder_ends_the_planning(
    method: Any, metrics: tuple[str, ...], who: str, tmp_path: Path, fresh_cache: Path
) -> None:
    with pytest.raises(UserError, match=f"{who}: there is no checkpoint '/nowhere/clip'") as caught:
        entries(tmp_path, [method], metrics=metrics)
    assert caught.value.exit_code == 2


def test_a_run_is_repeated_from_where_its_evaluator_lay_and_refuses_another_encoder(
    place: Path, tmp_path: Path
) -> None:
    from store_factories import make_run

    from bench.cli.export_spec import spec_of

    (entry,) = entries(tmp_path, [dfgan(place / "clip-other")], metrics=(f"clip_score[{place / 'clip'}]",))
    run = make_run(
        fingerprint="f" * 32,
        method="dfgan",
        identity=entry.cell(0).model_dump(mode="json"),
        config=dict(entry.config),
        select=entry.select,
        metrics={entry.metrics[0]: 0.5, "seconds_per_image": 1.0},
        notes={"checkpoints": dict(entry.networks)},
    )
    (experiment,) = spec_of(run, {})["experiments"]
    assert experiment["metrics"] == [f"clip_score[{place / 'clip'}]", "seconds_per_image"]
    assert experiment["select"] == f"clip_score[{place / 'clip'}]"
    assert as_asked(run, "fid[world-cnn-7]") == "fid[world-cnn-7]"
    check_unchanged(run, MethodEntry(method="dfgan"))
    stat = (place / "clip-other" / "model.safetensors").stat()
    shutil.copy(place / "clip" / "model.safetensors", place / "clip-other" / "model.safetensors")
    os.utime(place / "clip-other" / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(DataError, match="has changed since run ffffffffffff"):
        check_unchanged(run, MethodEntry(method="dfgan"))
