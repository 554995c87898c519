"""`bench gate` with real training in real processes: open on what did not change, closed on a broken method."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli import gate
from bench.cli.app import BenchGroup
from bench.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: small_gate
experiments:
  - task: recommendation
    datasets: [baby-twin@0.02]
    methods:
      - {method: ease, set: {l2: EASE_L2}}
      - {method: lightgcn, set: {dim: 8, batch_size: 512, lr: 0.02}}
    metrics: [recall@20]
    select: recall@20
budgets:
  tiny: {trials: 0, epochs: 2, patience: null, seeds: [0, 1, 2]}
"""

app = typer.Typer(cls=BenchGroup)
app.command("gate", cls=gate.COMMAND)(gate.command)


@app.command("other")
def _other() -> None:
    """A second verb, so that the first keeps its name."""


class Gate:
    """A folder with a spec, a store and a baseline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "results.db")
        self.baseline = folder / "baseline.json"

    def run(self, *arguments: str, l2: str = "250.0", code: int = 0) -> Any:
        spec = self.folder / "gate.yaml"
        spec.write_text(SPEC.replace("EASE_L2", l2), encoding="utf-8")
        environment = {
            "BENCH_STORE": str(self.folder / "never.db"),
            "BENCH_DATA": "",
            "BENCH_CACHE": str(self.folder / "cache"),
            "GITHUB_STEP_SUMMARY": "",
            "OMP_NUM_THREADS": "1",
        }
        words = ["gate", str(spec), "--baseline", str(self.baseline), "--json", *arguments]
        result = CliRunner().invoke(app, words, env=environment)
        assert result.exit_code == code, result.output + repr(result.exception)
        return json.loads(result.stdout)

    def outcomes(self, answer: Any) -> dict[str, str]:
        return {verdict["method"]: verdict["verdict"] for verdict in answer["verdicts"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    gate = Gate(tmp_path_factory.mktemp("gate"))
    answer = gate.run("--update", "--store", gate.store)
    assert (answer["changed"], answer["cells"]) == (True, 2)
    return gate


def test_the_store_is_read_and_nothing_is_run_again(made: Gate) -> None:
    answer = made.run("--store", made.store)
    assert answer["computed"] == 0
    assert made.outcomes(answer) == {"ease": "pass", "lightgcn": "pass"}


def test_without_a_store_all_is_run_anew_twice_the_same_to_the_last_bit(made: Gate) -> None:
    answer = made.run()
    assert answer["computed"] == 6
    assert {verdict["reason"] for verdict in answer["verdicts"]} == {"the same scores on every unit"}
    before = made.baseline.read_bytes()
    assert made.run("--update", "--store", made.store)["changed"] is False
    assert made.baseline.read_bytes() == before
    assert not (made.folder / "never.db").exists()


def test_a_broken_method_closes_the_gate_and_what_mends_it_is_no_failure(made: Gate) -> None:
    answer = made.run("--store", made.store, l2="1e9", code=3)
    assert made.outcomes(answer) == {"ease": "regress", "lightgcn": "pass"}
    broken = Gate(made.folder)
    broken.baseline = made.folder / "broken.json"
    broken.run("--update", "--store", made.store, l2="1e9")
    assert made.outcomes(broken.run("--store", made.store)) == {"ease": "improve", "lightgcn": "pass"}


def test_other_effort_and_a_missing_cell_are_unknown(made: Gate) -> None:
    value = json.loads(made.baseline.read_text(encoding="utf-8"))
    ease, lightgcn = value["cells"]
    lightgcn["effort"] = "0 trials, 9 epochs, no early stop"
    ease["method"] = "ease_of_old"
    other = Gate(made.folder)
    other.baseline = made.folder / "other.json"
    other.baseline.write_text(json.dumps(value), encoding="utf-8")
    answer = other.run("--store", made.store, code=1)
    reasons = {verdict["method"]: verdict["reason"] for verdict in answer["verdicts"]}
    assert set(other.outcomes(answer).values()) == {"unknown"}
    assert reasons["ease_of_old"] == "the new runs lack this cell"
    assert reasons["lightgcn"].startswith("other effort")
    with Store.open(made.store, read_only=True) as store:
        assert {run.status for run in store.runs()} == {"done"}
