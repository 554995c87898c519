"""The shipped specs of general recommendation: they are valid, and no method of the package is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.methods.registry import METHODS
from bench.spec.check import validate_spec
from bench.spec.expand import expand

SPECS = Path(bench.__file__).parent.parent / "specs"
GENERAL = {
    name
    for name, cls in METHODS.items()
    if "recommendation" in cls.tasks and not cls.adapter and cls.__module__.startswith("bench.methods.recommendation.")
}
BUDGETS = ("small", "reference", "full")
pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="an installed package has no specs beside it")


def labels(name: str, dataset: str) -> list[str]:
    grid = expand(validate_spec(SPECS / name).spec, budget="small").grid
    return [entry.method.label for entry in grid if entry.dataset.dataset == dataset]


@pytest.mark.parametrize("name", ["baby_all.yaml", "tiktok_all.yaml", "befa_all.yaml"])
def test_every_budget_is_there_and_reference_runs_the_defaults(name: str) -> None:
    spec = validate_spec(SPECS / name).spec
    assert tuple(spec.budgets) == BUDGETS
    assert spec.budgets["reference"].trials == 0 and len(spec.budgets["reference"].seeds) >= 3
    assert spec.budgets["full"].trials >= 20 and len(spec.budgets["full"].seeds) >= 5


@pytest.mark.parametrize(("name", "dataset"), [("baby_all.yaml", "baby"), ("tiktok_all.yaml", "tiktok")])
def test_all_means_every_general_method(name: str, dataset: str) -> None:
    # `mgcn_lite` is what BeFA's authors put their adapter into, and stands beside it in befa_all.
    assert {label for label in labels(name, dataset) if "[" not in label} == GENERAL - {"mgcn_lite"}


@pytest.mark.parametrize("dataset", ["baby", "tiktok", "scenes-items"])
def test_befa_stands_beside_every_backbone_it_wraps(dataset: str) -> None:
    found = labels("befa_all.yaml", dataset)
    bare = [label for label in found if "[" not in label]
    assert sorted(label for label in found if "[" in label) == sorted(f"befa[{name}]" for name in bare)
    assert {"mgcn_lite", "lattice", "bm3", "vbpr", "diffmm"} <= set(bare)
