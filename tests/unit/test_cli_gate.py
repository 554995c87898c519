"""`bench gate` without training: arguments, files, exit codes; the cells come from a store made of records."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import typer
from store_factories import make_run
from typer.testing import CliRunner

from bench.cli import gate
from bench.cli.app import BenchGroup
from bench.store import Store, encode_units
from bench.store.records import UnitScores

if TYPE_CHECKING:
    from pathlib import Path

    from bench.store.records import RunRecord

app = typer.Typer(cls=BenchGroup)
app.command("gate", cls=gate.COMMAND)(gate.command)


@app.command("other")
def _other() -> None:
    """A second verb, so that the first keeps its name."""


class Budget(NamedTuple):
    name: str
    seeds: tuple[int, ...]


class Fake:
    """A plan and its report, as far as the gate looks at them."""

    def __init__(self, runs: list[RunRecord]) -> None:
        self.cells = [self] * 0
        self.cells = [type("Cell", (), {"record": run}) for run in runs]
        self.interrupted = False
        self.seconds, self.computed = 1.0, len(runs)
        entry = type("Entry", (), {"metrics": ("recall@20",)})
        spec = type("Spec", (), {"name": "demo", "budgets": {"small": Budget("small", (0, 1, 2))}})
        loaded = type("Loaded", (), {"spec": spec})
        self.plan = type("Plan", (), {"entries": [entry], "loaded": loaded, "budget": Budget("small", (0, 1, 2))})


class World:
    """A folder with a baseline, and what the next run of the spec will find."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.file = folder, folder / "gate.json"
        self.values: dict[str, tuple[float, ...]] = {}
        self.broken: list[RunRecord] = []
        self.interrupted = False
        monkeypatch.setattr(gate, "_execute", self.execute)
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def execute(self, spec: Path, store: Store, *_: Any, **__: Any) -> Fake:
        runs = []
        for method, values in self.values.items():
            for seed, value in enumerate(values):
                run = make_run(method, seed, metrics={"recall@20": value})
                arrow = encode_units(np.arange(40), {"recall@20": np.full(40, value)})
                store.put_run(run, UnitScores(run=run.fingerprint, arrow=arrow))
                runs.append(run)
        report = Fake([*runs, *self.broken])
        report.interrupted = self.interrupted
        return report

    def gate(self, *arguments: str, code: int = 0) -> str:
        words = ["gate", "spec.yaml", "--baseline", str(self.file), *arguments]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result.output


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.values = {"mgcn": (0.30, 0.31, 0.32), "bpr": (0.1, 0.1, 0.1)}
    assert "2 cells, written" in made.gate("--update")
    return made


def test_what_did_not_change_passes_twice_and_leaves_the_baseline_alone(world: World) -> None:
    before = world.file.read_bytes()
    assert world.gate() == world.gate()
    assert "2 cells, unchanged" in world.gate("--update")
    assert world.file.read_bytes() == before


def test_a_regression_exits_3_and_names_the_cell(world: World) -> None:
    world.values["mgcn"] = (0.01, 0.01, 0.01)
    text = world.gate(code=3)
    assert "| **regress** | baby | mgcn | recall@20 | 0.3100 | 0.0100 |" in text
    assert "gate demo: 1 regress, 1 pass" in text


def test_an_improvement_is_no_failure(world: World) -> None:
    world.values["bpr"] = (0.9, 0.9, 0.9)
    assert "| improve | baby | bpr |" in world.gate()


def test_a_missing_cell_is_unknown_and_no_pass(world: World) -> None:
    del world.values["bpr"]
    assert "| **unknown** | baby | bpr |" in world.gate(code=1)
    world.values["bpr"], world.values["new"] = (0.1,) * 3, (0.1,) * 3
    assert "the baseline lacks this cell" in world.gate(code=1)


def test_every_form_says_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.values["mgcn"] = (0.01, 0.01, 0.01)
    step, summary, junit = world.folder / "step.md", world.folder / "summary.md", world.folder / "junit.xml"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    step.write_text("before\n")
    text = world.gate("--summary", str(summary), "--junit", str(junit), code=3)
    assert summary.read_text() in text
    assert step.read_text() == f"before\n{summary.read_text()}"
    suite = ElementTree.fromstring(junit.read_text()).find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    result = CliRunner().invoke(app, ["gate", "spec.yaml", "--baseline", str(world.file), "--json"])
    assert json.loads(result.stdout)["counts"] == {"regress": 1, "unknown": 0, "improve": 0, "pass": 1}


def test_a_baseline_with_holes_is_not_written(world: World) -> None:
    before = world.file.read_bytes()
    world.broken = [make_run("lattice", 0, status="failed", error="boom\ntrace", metrics={})]
    text = world.gate("--update", code=1)
    assert "lattice on baby, seed 0: failed: boom" in text
    assert world.file.read_bytes() == before


def test_an_update_keeps_the_rule_that_a_person_set(world: World) -> None:
    value = json.loads(world.file.read_text())
    value["rule"]["floor"] = 0.02
    world.file.write_text(json.dumps(value))
    world.gate("--update")
    assert json.loads(world.file.read_text())["rule"] == {"alpha": 0.01, "floor": 0.02}


def test_an_update_warns_of_what_can_hardly_regress(world: World) -> None:
    world.values["mgcn"] = (0.1, 0.3, 0.5)
    assert "more than a quarter of the mean" in world.gate("--update")


def test_an_interrupted_gate_judges_nothing(world: World) -> None:
    world.interrupted = True
    assert "nothing was judged" in world.gate(code=130)
    assert "nothing was judged" in world.gate("--update", code=130)


def test_wrong_files_are_told_before_anything_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_execute", lambda *_, **__: pytest.fail("it ran"))
    assert "does not exist" in world.gate("--junit", str(world.folder / "no" / "x.xml"), code=2)
    assert "it is a folder" in world.gate("--summary", str(world.folder), code=2)
    world.file.write_text("{")
    assert "is no baseline" in world.gate(code=2)
    damaged = world.gate("--update", code=2)
    assert "is no baseline" in damaged and "remove it and make it anew" in damaged
    world.file.unlink()
    assert "there is no baseline" in world.gate(code=2)


def test_a_verdict_is_printed_and_counts_whatever_becomes_of_the_step_summary(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.values["mgcn"] = (0.01, 0.01, 0.01)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(world.folder / "no" / "step.md"))
    junit = world.folder / "junit.xml"
    text = world.gate("--junit", str(junit), code=3)
    assert "gate demo: 1 regress, 1 pass" in text
    assert "warning: $GITHUB_STEP_SUMMARY" in text
    assert 'failures="1"' in junit.read_text()
