"""A researcher's path: plan, run, run again, report, show, repeat one run. Small real training in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from bench.cli.app import build

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: journey
experiments:
  - task: recommendation
    datasets: [baby-twin@0.02]
    methods:
      - mostpop
      - {method: lightgcn, set: {dim: 8, batch_size: 512}}
      - {method: befa, wrap: [{method: mgcn, set: {dim: 8, batch_size: 512}}]}
    metrics: [recall@20, ndcg@20]
    select: recall@20
budgets:
  tiny: {trials: 1, epochs: 2, seeds: [0, 1]}
"""


class Journey:
    """A folder with a spec, a store, and a way to call `bench` there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "results.db")
        self.spec = folder / "journey.yaml"
        self.spec.write_text(SPEC, encoding="utf-8")

    def bench(self, *arguments: str, code: int = 0) -> str:
        environment = {
            "BENCH_STORE": self.store,
            "BENCH_DATA": "",
            "BENCH_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        result = CliRunner().invoke(build(), list(arguments), env=environment)
        assert result.exit_code == code, result.output + str(result.exception)
        return result.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.bench(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    made = Journey(tmp_path_factory.mktemp("journey"))
    before = made.json("plan", str(made.spec))
    assert {cell["status"] for cell in before["cells"]} == {"todo"}
    made.bench("run", str(made.spec), "--quiet")
    return made


def metrics_of(report: Any) -> dict[str, dict[str, float]]:
    return {cell["fingerprint"]: cell["metrics"] for cell in report["cells"]}


def test_planning_alone_makes_no_store(tmp_path: Path) -> None:
    fresh = Journey(tmp_path)
    fresh.bench("plan", str(fresh.spec))
    assert not (tmp_path / "results.db").exists()


def test_a_second_run_computes_nothing_and_prints_the_same_table(journey: Journey) -> None:
    first = journey.bench("run", str(journey.spec), "--quiet")
    again = journey.json("run", str(journey.spec))
    assert again["counts"] == {"cells": 6, "computed": 0, "done": 6}
    assert not any(cell["computed"] for cell in again["cells"])
    plan = journey.json("plan", str(journey.spec))
    assert {cell["status"] for cell in plan["cells"]} == {"stored"}
    assert plan["counts"]["jobs"] == 0
    assert first.splitlines()[:-1] == journey.bench("run", str(journey.spec), "--quiet").splitlines()[:-1]


def test_the_final_table_has_the_promised_form(journey: Journey) -> None:
    title, header, *rows = journey.bench("run", str(journey.spec), "--quiet").splitlines()
    assert title.startswith("journey · recommendation · baby-twin@0.02 (mmrec-v1: train masked, all items ranked")
    assert "generated data" in title
    assert "budget tiny: 1 trial, 2 epochs" in title
    assert header.split() == ("method recall@20 ±95 % ndcg@20 ±95 % seeds best epoch s/epoch trials status".split())
    assert {row.split()[0] for row in rows[:3]} == {"mostpop", "lightgcn", "befa[mgcn]"}
    assert all(row.endswith("done") for row in rows[:3])
    closing = rows[-1]
    assert closing.startswith("6 cells: 6 done (6 from the store) · ")
    assert f"stored in {journey.store}" in closing
    assert closing.endswith("`streamlit run leaderboard/app.py`")


def test_only_and_seed_narrow_a_run(journey: Journey) -> None:
    arguments = ("run", str(journey.spec), "--only", "mostpop", "befa", "--seed", "1")
    cells = journey.json(*arguments)["cells"]
    assert {(cell["method"], cell["seed"], cell["computed"]) for cell in cells} == {
        ("mostpop", 1, False),
        ("befa[mgcn]", 1, False),
    }


@pytest.mark.parametrize("form", ["text", "md", "csv", "tex", "json"])
def test_reports_agree_with_the_run(journey: Journey, form: str) -> None:
    text = journey.bench("report", "--format", form, "--method", "lightgcn")
    run = journey.json("run", str(journey.spec), "--only", "lightgcn")
    (row,) = run["tables"][0]["rows"]
    mean = row["scores"]["recall@20"]["mean"]
    assert (repr(mean) if form in ("csv", "json") else f"{mean:.4f}") in text


def test_an_exported_run_is_its_own_recipe(journey: Journey) -> None:
    shown = journey.json("show", "befa[mgcn]:baby-twin@0.02:1")["run"]
    recipe = journey.folder / "again.yaml"
    recipe.write_text(journey.bench("export-spec", shown["fingerprint"][:12]), encoding="utf-8")
    assert json.loads(journey.bench("validate", str(recipe), "--json"))[0]["valid"]
    (cell,) = journey.json("run", str(recipe), "--store", str(journey.folder / "again.db"))["cells"]
    assert cell["metrics"] == shown["metrics"]
    assert cell["seed"] == 1


def test_a_changed_setting_is_named_and_other_cells_are_kept(journey: Journey) -> None:
    changed = journey.folder / "changed.yaml"
    changed.write_text(SPEC.replace("{method: lightgcn, set: {dim: 8,", "{method: lightgcn, set: {dim: 4,"), "utf-8")
    cells = journey.json("plan", str(changed))["cells"]
    assert {(cell["method"], cell["status"]) for cell in cells} == {
        ("mostpop", "stored"),
        ("befa[mgcn]", "stored"),
        ("lightgcn", "older"),
    }
    assert {field for cell in cells for field in cell["changed"]} == {"config.dim"}
    assert "config.dim" in journey.bench("plan", str(changed))


def test_status_counts_the_cells(journey: Journey) -> None:
    assert journey.json("status")["runs"]["done"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "huge"], "unknown budget 'huge'"),
        (["--only", "lightgnc"], "Did you mean 'lightgcn'?"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--device", "cuda:99"], "cuda"),
        (["--jobs", "0"], "--jobs"),
        (["--store", "nowhere/results.db"], "folder that does not exist"),
    ],
)
def test_a_wrong_argument_is_one_message_and_makes_no_store(
    tmp_path: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    environment = {"BENCH_DATA": "", "BENCH_CACHE": str(tmp_path / "cache")}
    result = CliRunner().invoke(build(), ["run", str(spec), *arguments], env=environment)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "results.db").exists()


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, journey: Journey) -> None:
    environment = os.environ | {
        "BENCH_DATA": "",
        "BENCH_CACHE": str(journey.folder / "cache"),
        "BENCH_STORE": str(tmp_path / "results.db"),
        "OMP_NUM_THREADS": "1",
    }
    arguments = ["run", str(journey.spec), "--only", "mostpop", "lightgcn", "--jobs", "1"]
    command = [sys.executable, "-c", "from bench.cli import main; main()", *arguments]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stderr is not None
        deadline = time.monotonic() + 120
        for line in run.stderr:
            if ("mostpop" in line and "started" in line) or time.monotonic() > deadline:
                break
        run.send_signal(signal.SIGKILL)
        run.stderr.read()
    again = CliRunner().invoke(build(), [*arguments, "--json"], env=environment)
    assert again.exit_code == 0, again.output
    report = json.loads(again.stdout)
    assert report["counts"]["done"] == 4
    assert report["counts"]["computed"] == 2
    assert metrics_of(report) == metrics_of(journey.json(*arguments))


def test_a_cell_that_fails_harms_no_other_and_says_why(journey: Journey) -> None:
    spec = journey.folder / "failing.yaml"
    methods = "[mostpop, {method: bpr, set: {dim: 8, lr: 1.0e+30}}]"
    spec.write_text(
        "version: 1\nname: failing\nexperiments:\n"
        f"  - {{task: recommendation, datasets: [baby-twin@0.02, baby], methods: {methods},\n"
        "     metrics: [recall@20], select: recall@20}\n"
        "budgets: {tiny: {trials: 0, epochs: 2}}\n",
        encoding="utf-8",
    )
    store = ("--store", str(journey.folder / "failing.db"))
    text = journey.bench("run", str(spec), "--quiet", *store, code=1)
    cells = {
        (cell["method"], cell["dataset"]): cell for cell in journey.json("run", str(spec), *store, code=1)["cells"]
    }
    assert cells["mostpop", "baby-twin@0.02"]["status"] == "done"
    assert cells["bpr", "baby-twin@0.02"]["status"] == "diverged"
    assert cells["bpr", "baby"]["status"] == "failed"
    assert "bpr on baby-twin@0.02, seed 0: diverged: " in text
    assert "mostpop on baby, seed 0: failed: " in text
    assert f"`bench show {cells['bpr', 'baby-twin@0.02']['fingerprint'][:12]}" in text
    assert "4 cells: 1 done, 1 diverged, 2 failed" in text


def test_data_that_is_nowhere_is_the_users_error(journey: Journey) -> None:
    spec = journey.folder / "nowhere.yaml"
    spec.write_text(SPEC.replace("baby-twin@0.02", "baby"), encoding="utf-8")
    assert journey.bench("run", str(spec), "--store", str(journey.folder / "nowhere.db"), code=2) == ""
