from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bench.cli.app import build

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", "")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def invoke(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(build(), ["data", *arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result.stdout if code == 0 else result.stderr


def test_list_says_what_is_here_and_what_to_do_about_the_rest() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("list", "--json"))}
    assert not rows["baby"]["present"]
    text = invoke("list")
    assert "its twin is baby-twin" in text
    assert "baby-twin (generated)" in text


def test_made_data_is_found_and_described(tmp_path: Path) -> None:
    made = json.loads(invoke("make", "baby-twin", "--scale", "0.02", "--json"))
    assert made["dataset"] == "baby-twin@0.02"
    assert made["path"].startswith(str(tmp_path / "cache"))
    rows = {row["name"]: row for row in json.loads(invoke("list", "--json"))}
    assert rows["baby-twin@0.02"]["present"]
    described = json.loads(invoke("info", "baby-twin@0.02", "--json"))
    assert described["card"]["generated"]
    assert described["read"]["sizes"]["users"] > 0
    assert "split_fingerprint" in described["read"]["notes"]
    assert "digest" in invoke("info", "baby-twin@0.02")


def test_info_on_data_that_is_not_here_shows_the_card() -> None:
    text = invoke("info", "baby")
    assert "Amazon Baby" in text
    assert "nowhere on this machine" in text
    assert json.loads(invoke("info", "baby", "--json"))["read"] == {}


def test_info_names_what_is_wrong_with_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "baby"
    folder.mkdir(parents=True)
    (folder / "baby.inter").write_text("userID\titemID\n0\tx\n", encoding="utf-8")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    assert "baby.inter" in json.loads(invoke("info", "baby", "--json"))["read"]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "babyy"], "Did you mean 'baby'?"),
        (["make", "baby"], "real data"),
        (["make", "baby", "--scale", "0.5"], "real data"),
        (["make", "baby-twin", "--scale", "1000"], "1000"),
        (["get", "baby-twin"], "generated"),
        (["get", "nothing"], "unknown dataset 'nothing'"),
    ],
)
def test_what_cannot_be_had_is_the_users_error(arguments: list[str], message: str) -> None:
    assert message in invoke(*arguments, code=2)
