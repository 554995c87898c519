"""The shipped specs of the recommendation family: they are valid, and no method of the package is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bench
from bench.data.registry import DATASETS
from bench.data.types import ModalityInfo
from bench.methods.registry import METHODS
from bench.spec.check import validate_spec
from bench.spec.expand import expand

if TYPE_CHECKING:
    from bench.spec.expand import GridEntry
    from bench.spec.models import MethodEntry

SPECS = Path(bench.__file__).parent.parent / "specs"
GENERAL = {
    name
    for name, cls in METHODS.items()
    if "recommendation" in cls.tasks and not cls.adapter and cls.__module__.startswith("bench.methods.recommendation.")
}
FAMILY = {"recommendation", "cold_start", "sequential"}
"""Tasks of the family."""
QUICKSTART = "quickstart.yaml"
"""Looks at every family in small, with one budget of its own."""
BUDGETS = ("small", "reference", "full")


def specs_of_the_family() -> list[str]:
    """Names of the shipped specs that ask for one of the family's tasks."""
    wanted = re.compile(rf"^ *- task: ({'|'.join(sorted(FAMILY))})\b", re.MULTILINE)
    return sorted(path.name for path in SPECS.glob("*.yaml") if wanted.search(path.read_text("utf-8")))


FOUND = specs_of_the_family()
pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="an installed package has no specs beside it")


def labels(name: str, dataset: str) -> list[str]:
    grid = expand(validate_spec(SPECS / name).spec, budget="small").grid
    return [entry.method.label for entry in grid if entry.dataset.dataset == dataset]


def test_the_specs_of_the_family_are_found_by_what_they_ask() -> None:
    known = {"baby_all.yaml", "tiktok_all.yaml", "befa_all.yaml", "cold_start_all.yaml", QUICKSTART}
    claims = {"claims_sequential.yaml", "claims_ld4mrec.yaml", "claims_cierec.yaml"}
    assert known | claims | {"sequential_all.yaml"} <= set(FOUND)
    assert not {"vqa_all.yaml", "generation_all.yaml", "classification_all.yaml"} & set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_every_spec_is_valid_and_every_budget_gives_a_grid(name: str) -> None:
    spec = validate_spec(SPECS / name).spec
    asked = {choice.method for experiment in spec.experiments for choice in experiment.methods}
    for budget in spec.budgets:
        grid = expand(spec, budget=budget).grid
        assert {entry.method.method for entry in grid} == asked


@pytest.mark.parametrize("name", [name for name in FOUND if name != QUICKSTART])
def test_every_budget_is_there_and_reference_runs_the_defaults(name: str) -> None:
    spec = validate_spec(SPECS / name).spec
    more = {"patient"} if name == "befa_all.yaml" else set()
    assert set(spec.budgets) == set(BUDGETS) | more
    assert spec.budgets["reference"].trials == 0 and len(spec.budgets["reference"].seeds) >= 3
    assert spec.budgets["full"].trials >= 20 and len(spec.budgets["full"].seeds) >= 5


def test_the_patient_budget_is_the_reference_but_for_its_patience() -> None:
    budgets = validate_spec(SPECS / "befa_all.yaml").spec.budgets
    changed = {"name": "patient", "patience": 100}
    assert budgets["patient"] == budgets["reference"].model_copy(update=changed)


@pytest.mark.parametrize(("name", "dataset"), [("baby_all.yaml", "baby"), ("tiktok_all.yaml", "tiktok")])
def test_all_means_every_general_method(name: str, dataset: str) -> None:
    # `mgcn_lite` is what BeFA's authors put their adapter into, and stands beside it in befa_all.
    assert {label for label in labels(name, dataset) if "[" not in label} == GENERAL - {"mgcn_lite"}


@pytest.mark.parametrize("dataset", ["baby", "tiktok", "scenes-items"])
def test_befa_stands_beside_every_backbone_it_wraps(dataset: str) -> None:
    found = set(labels("befa_all.yaml", dataset))
    bare = {label for label in found if "[" not in label}
    assert {label for label in found if "[" in label} == {f"befa[{name}]" for name in bare}
    assert {"mgcn_lite", "lattice", "bm3", "vbpr", "diffmm"} <= bare


@pytest.mark.parametrize("dataset", ["baby", "tiktok", "scenes-items"])
def test_befas_variants_stand_beside_the_published_form(dataset: str) -> None:
    grid = expand(validate_spec(SPECS / "befa_all.yaml").spec, budget="small").grid
    entries = [entry.method for entry in grid if entry.dataset.dataset == dataset]
    plain = [entry.label for entry in entries if not any(part.set for part in entry.chain)]
    assert len(plain) == len(set(plain))
    without = [entry.label for entry in entries if entry.set == {"id_product": False}]
    assert without == ["befa[vbpr]", "befa[freedom]", "befa[mgcn]"] and set(without) <= set(plain)
    trained = [entry.label for entry in entries if entry.chain[-1].set == {"register_embeddings": True}]
    assert trained == ["mmgcn", "befa[mmgcn]"] and set(trained) <= set(plain)
    assert len(entries) == len(plain) + len(without) + len(trained)


def of_task(task: str, package: str) -> set[str]:
    """Returns the methods of a package that do a task, adapters included."""
    home = f"bench.methods.{package}."
    return {name for name, cls in METHODS.items() if task in cls.tasks and cls.__module__.startswith(home)}


def test_cold_start_all_holds_every_method_made_for_cold_items() -> None:
    made = of_task("cold_start", "cold_start")
    grid = expand(validate_spec(SPECS / "cold_start_all.yaml").spec, budget="small").grid
    assert {"content_knn", "dropoutnet", "cierec"} <= made <= {entry.method.method for entry in grid}


def sequential_grid(name: str) -> tuple[GridEntry, ...]:
    return expand(validate_spec(SPECS / name).spec, budget="small").grid


def test_sequential_all_holds_every_sequential_method() -> None:
    made = of_task("sequential", "sequential")
    assert {"sasrec", "mealrec"} <= made == {entry.method.method for entry in sequential_grid("sequential_all.yaml")}


@pytest.mark.parametrize("name", ["sequential_all.yaml", "claims_sequential.yaml"])
def test_no_sequential_method_is_asked_for_where_its_content_is_missing(name: str) -> None:
    for entry in sequential_grid(name):
        card = DATASETS.get(entry.dataset.dataset)
        present = {what: ModalityInfo("clips", part.dim, None) for what, part in card.modalities.items()}
        assert METHODS.get(entry.method.method).needs.missing(card.name, present) is None


def test_mealrec_is_asked_for_wherever_items_have_frames() -> None:
    grid = sequential_grid("sequential_all.yaml")
    asked = {entry.dataset.dataset for entry in grid}
    framed = {name for name in asked if "frames" in DATASETS.get(name).modalities}
    assert framed == {entry.dataset.dataset for entry in grid if entry.method.method == "mealrec"}
    assert "instruments" in framed and "beauty" in asked - framed


@pytest.mark.parametrize("dataset", ["ml-100k", "microvideo-twin"])
def test_every_claim_of_mealrec_changes_one_setting_of_the_default(dataset: str) -> None:
    grid = [entry.method for entry in sequential_grid("claims_sequential.yaml") if entry.dataset.dataset == dataset]
    assert [entry.method for entry in grid if not entry.set] == ["sasrec", "gru4rec", "mealrec"]
    default = METHODS.get("mealrec").Config().model_dump()
    changes = [dict(entry.set) for entry in grid if entry.set]
    assert all(entry.method == "mealrec" for entry in grid if entry.set)
    assert all(len(change) == 1 and default[name] != change[name] for change in changes for name in change)
    wanted = {"condition_on_t": True, "temporal_guidance": False, "frame_order": "shuffled", "backbone": "gru4rec"}
    wanted |= {"tcd": False, "npd": False}
    assert {name: value for change in changes for name, value in change.items()} == wanted
    assert len(changes) == len(wanted)


def methods_of(name: str, dataset: str) -> list[MethodEntry]:
    grid = expand(validate_spec(SPECS / name).spec, budget="reference").grid
    return [entry.method for entry in grid if entry.dataset.dataset == dataset]


def test_ld4mrec_takes_one_step_and_all_steps_of_the_same_training() -> None:
    entries = methods_of("claims_ld4mrec.yaml", "tiktok")
    assert [entry.method for entry in entries if not entry.set] == ["diffrec", "ld4mrec"]
    default = METHODS.get("ld4mrec").Config().model_dump()
    assert [dict(entry.set) for entry in entries if entry.method == "diffrec"] == [{}, {"lr": default["lr"]}]
    trained: dict[int, set[int]] = {}
    for entry in entries:
        if entry.method == "ld4mrec" and not {"collaborative", "preference"} & set(entry.set):
            config = default | dict(entry.set)
            trained.setdefault(config["steps"], set()).add(config["inference_steps"])
    assert trained == {5: {1, 5}, 10: {1, 10}}
    assert [dict(entry.set) for entry in entries[-2:]] == [{"collaborative": False}, {"preference": False}]


@pytest.mark.parametrize("dataset", ["ml-100k-cold", "cold-twin@0.25"])
def test_cierec_and_each_part_taken_out_stand_beside_every_backbone(dataset: str) -> None:
    entries = methods_of("claims_cierec.yaml", dataset)
    bare = [entry.method for entry in entries if entry.wrap is None]
    assert bare == ["bpr", "vbpr", "deepstyle", "amr"]
    for change in ({}, {"inference": 0.0}, {"id_dropout": 0.0}):
        wrapped = [entry.wrap.method for entry in entries if entry.wrap is not None and dict(entry.set) == change]
        assert wrapped == bare
    assert len(entries) == 4 * len(bare)


@pytest.mark.parametrize(
    ("claims", "whole"), [("claims_ld4mrec.yaml", "tiktok_all.yaml"), ("claims_cierec.yaml", "cold_start_all.yaml")]
)
def test_claims_share_their_reference_budget_with_the_spec_of_the_family(claims: str, whole: str) -> None:
    budgets = [validate_spec(SPECS / name).spec.budgets["reference"] for name in (claims, whole)]
    assert budgets[0] == budgets[1]
