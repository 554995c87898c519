"""The committed gate of recommendation closes after each planted fault and stays open for other seeds. Minutes long."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC, BASELINE = "specs/gate/recommendation.yaml", "specs/gate/recommendation.json"

pytestmark = pytest.mark.slow


class Fault(NamedTuple):
    """A change of one file, and a method that must be seen to suffer."""

    file: str
    old: str
    new: str
    method: str


FAULTS = {
    "negative sampling that hits positives": Fault(
        "bench/tasks/recommendation.py",
        "open_rows = open_rows[self.pairs[place] == code]",
        "open_rows = open_rows[(self.pairs[place] != code) & (torch.rand(open_rows.shape) < 0.99)]",
        "bpr",
    ),
    "evaluation that forgets the mask": Fault(
        "bench/tasks/recommendation.py",
        "return _score(method, dataset.test(), masked, metrics)",
        "return _score(method, dataset.test(), [data.valid], metrics)",
        "ease",
    ),
    "a propagation without normalisation": Fault(
        "bench/graph/weights.py",
        "return values * (left[rows.long()] * right[cols.long()])",
        "return values",
        "lightgcn",
    ),
    "a dropped loss term": Fault(
        "bench/methods/recommendation/bpr.py",
        "Loss(ranking + self.config.reg * reg,",
        "Loss(ranking,",
        "bpr",
    ),
    "a halved learning rate": Fault(
        "bench/training/optimise.py",
        "Group(trainable, config.lr,",
        "Group(trainable, config.lr / 2,",
        "mgcn",
    ),
}


def gate(project: Path, folder: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    """Runs the gate of a project folder; returns the exit code and, by method and metric, the verdicts."""
    environment = os.environ | {
        "PYTHONPATH": str(project),
        "BENCH_DATA": "",
        "BENCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "bench.cli", "gate", SPEC, "--baseline", BASELINE, "--json", *arguments]
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, 3), result.stderr
    verdicts = json.loads(result.stdout)["verdicts"]
    return result.returncode, {f"{v['method']} {v['metric']}": v["verdict"] for v in verdicts}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_closes_the_gate_and_the_right_cell_is_named(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    for part in ("bench", "specs"):
        shutil.copytree(ROOT / part, tmp_path / "project" / part, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "project" / fault.file
    text = file.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    code, verdicts = gate(tmp_path / "project", tmp_path)
    regressed = {cell.partition(" ")[0] for cell, verdict in verdicts.items() if verdict == "regress"}
    assert code == 3, verdicts
    assert fault.method in regressed


def test_ten_runs_with_other_seeds_leave_the_gate_open(tmp_path: Path) -> None:
    closed = []
    for number in range(10):
        seeds = [str(100 + 3 * number + i) for i in range(3)]
        code, verdicts = gate(ROOT, tmp_path, "--seed", *seeds)
        if code:
            closed.append({cell: verdict for cell, verdict in verdicts.items() if verdict == "regress"})
    assert closed == []
