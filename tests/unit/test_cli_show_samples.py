"""`bench show RUN --samples DIR` writes what a run left to look at."""

from __future__ import annotations

import json

from sample_factories import grid_records
from typer.testing import CliRunner

from bench.cli.app import build

runner = CliRunner()


def invoke(*words):
    return runner.invoke(build(), list(map(str, words)))


def test_images_and_drawings_are_written_and_named(sampled, tmp_path):
    found = invoke("show", "a1a1", "--store", sampled, "--samples", tmp_path / "out")
    assert found.exit_code == 0
    assert found.stdout.split() == [
        str(tmp_path / "out" / name) for name in ("000-images-by-caption.png", "001-images-by-caption-prompts.json")
    ]
    assert (tmp_path / "out" / "000-images-by-caption.png").read_bytes() == grid_records(seed=1)[0].data


def test_json_names_the_files(sampled, tmp_path):
    found = invoke("show", "a4a4", "--store", sampled, "--samples", tmp_path, "--json")
    names = [name.rpartition("/")[2] for name in json.loads(found.stdout)["files"]]
    assert names == [
        "000-accuracy-by-type.json", "000-accuracy-by-type.png", "001-reasoning-q1.json", "001-reasoning-q1.png",
    ]  # fmt: skip


def test_a_run_that_left_nothing_is_an_error_and_no_folder(sampled, tmp_path):
    found = invoke("show", "a7a7", "--store", sampled, "--samples", tmp_path / "out")
    assert found.exit_code == 2
    assert "left nothing to look at" in found.output and not (tmp_path / "out").exists()
