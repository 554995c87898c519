from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bench.cli.app import build

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()

GOOD = """\
version: 1
name: good
experiments:
  - task: recommendation
    datasets: [baby]
    methods: [mostpop]
    metrics: [recall@20]
    select: recall@20
"""
BAD = GOOD.replace("mostpop", "mostpopp").replace("select: recall@20", "select: ndcg@20")


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("version: 1\nname: [\n", encoding="utf-8")
    return tmp_path


def test_a_valid_spec_says_so(specs: Path) -> None:
    result = runner.invoke(build(), ["validate", "good.yaml"])
    assert (result.exit_code, result.stdout) == (0, "good.yaml: valid\n")


def test_every_mistake_of_every_file_is_listed_with_its_place(specs: Path) -> None:
    result = runner.invoke(build(), ["validate", "bad.yaml", "good.yaml", "broken.yaml", "none.yaml"])
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert any(line.startswith("bad.yaml:6:15: ") and "Did you mean 'mostpop'?" in line for line in lines)
    assert any(line.startswith("bad.yaml:8:13: ") for line in lines)
    assert "bad.yaml: 2 problems" in lines
    assert "good.yaml: valid" in lines
    assert any(line.startswith("broken.yaml:") for line in lines)
    assert any("there is no file 'none.yaml'" in line for line in lines)


def test_machines_get_the_same_list(specs: Path) -> None:
    result = runner.invoke(build(), ["validate", "bad.yaml", "good.yaml", "--json"])
    assert result.exit_code == 2
    bad, good = json.loads(result.stdout)
    assert (good["valid"], good["problems"]) == (True, [])
    assert [(problem["line"], problem["column"]) for problem in bad["problems"]] == [(6, 15), (8, 13)]


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_spec_with_mistakes_is_not_run(specs: Path, verb: str) -> None:
    result = runner.invoke(build(), [verb, "bad.yaml", "--store", "results.db"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: 2 problems in the spec\nbad.yaml:6:15: ")
    assert not (specs / "results.db").exists()
