"""Every gate in the repository has a baseline that can judge it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.baseline import read_baseline
from bench.analysis.gate import insensitive
from bench.analysis.summary import metric_direction
from bench.spec.check import validate_spec

FOLDER = Path(__file__).parents[2] / "specs" / "gate"
SPECS = sorted(FOLDER.glob("*.yaml"))
FAMILIES = {"classification", "generation", "recommendation", "vqa"}


def test_all_families_have_a_gate():
    assert {path.stem for path in SPECS} == FAMILIES
    assert {path.stem for path in FOLDER.glob("*.json")} == FAMILIES


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_baseline_holds_the_cells_and_metrics_of_its_spec(path):
    spec = validate_spec(path).spec
    baseline = read_baseline(path.with_suffix(".json"))
    assert baseline.spec == spec.name
    expected = {
        (experiment.task, dataset.dataset, entry.label): set(experiment.metrics)
        for experiment in spec.experiments
        for dataset in experiment.datasets
        for method in experiment.methods
        for entry in method.entries()
    }
    assert {(cell.task, cell.dataset, cell.method): set(cell.metrics) for cell in baseline.cells} == expected
    assert all(metric_direction(name) for cell in baseline.cells for name in cell.metrics)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_baseline_knows_the_noise_well_enough_to_close(path):
    baseline = read_baseline(path.with_suffix(".json"))
    assert all(len(cell.seeds) >= 10 for cell in baseline.cells)
    (budget,) = validate_spec(path).spec.budgets.values()
    wide = {metric for _, metric, _ in insensitive(baseline, len(budget.seeds))}
    assert not wide


def test_what_is_learnt_is_far_above_chance():
    cells = {cell.method: cell for cell in read_baseline(FOLDER / "classification.json").cells}
    assert all(cell.metrics["top5"].mean > 2 * 5 / 18 for cell in cells.values())
    cells = {cell.method: cell for cell in read_baseline(FOLDER / "vqa.json").cells}
    assert all(cell.metrics["accuracy[direction]"].mean > 1.5 / 4 for cell in cells.values())
    cells = {cell.method: cell for cell in read_baseline(FOLDER / "generation.json").cells}
    score = "manipulation_precision[tiny-3-100]"
    assert cells["channel_affine"].metrics[score].mean > cells["no_edit"].metrics[score].mean
