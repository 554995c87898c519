"""Mixed precision: who trains in it, and that who cannot is refused before training, by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from typer.testing import CliRunner

from bench.cli.app import build as command_line
from bench.errors import UserError
from bench.methods.registry import METHODS
from bench.tasks.recommendation import TASK
from bench.testing.recommendation import build, default_config, small_world
from bench.training.loop import Settings, TrainResult, train
from bench.training.precision import _SINGLE_TYPE, MIXED, precision_problem

if TYPE_CHECKING:
    from pathlib import Path

LIMITED = ("lattice", "mgcn")
"""By default; `mgcn_lite` too once it is given a contrastive loss."""
TRAINED = [
    name for name, cls in METHODS.items() if "recommendation" in cls.tasks and not cls.adapter and not cls.closed_form
]
WRAPPED = [name for name in TRAINED if METHODS.get("befa").compatible(METHODS.get(name)) is None]
ENTRIES: list[dict[str, Any]] = [
    *({"method": name} for name in TRAINED),
    *({"method": "befa", "wrap": {"method": name}} for name in WRAPPED),
]
SPEC = """\
version: 1
name: halves
experiments:
  - task: recommendation
    datasets: [baby]
    methods:
      - {methods}
    metrics: [recall@20]
    select: recall@20
resources: {precision: PRECISION}
"""


def label(entry: dict[str, Any]) -> str:
    return f"{entry['method']}[{entry['wrap']['method']}]" if "wrap" in entry else str(entry["method"])


def innermost(entry: dict[str, Any]) -> str:
    return str(entry.get("wrap", entry)["method"])


def one_epoch(entry: dict[str, Any], precision: str, **inner: Any) -> tuple[TrainResult, bool]:
    """Trains; returns the result and whether a weight has changed."""
    config = default_config(entry)
    (config["wrapped"] if "wrap" in entry else config).update(inner)
    data = small_world()
    method = build(entry, data, config=config)
    before = {name: weight.detach().clone() for name, weight in method.named_parameters()}
    settings = Settings(
        epochs=1, patience=None, select="recall@5", maximize=True, metrics=("recall@5",), seed=0, precision=precision
    )
    result = train(method, data, TASK, settings, device=torch.device("cpu"))
    return result, any(not torch.equal(weight, before[name]) for name, weight in method.named_parameters())


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if innermost(entry) not in LIMITED], ids=label)
def test_the_other_general_methods_take_an_epoch_in_bfloat16(entry: dict[str, Any]) -> None:
    # Finite in the loop, or it would have stopped.
    result, changed = one_epoch(entry, "bf16-mixed")
    assert result.epochs == 1 and changed


@pytest.mark.parametrize("precision", sorted(MIXED))
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if innermost(entry) in LIMITED], ids=label)
def test_a_method_of_one_floating_type_is_refused_by_name_before_it_trains(
    entry: dict[str, Any], precision: str
) -> None:
    seen: list[object] = []
    method = build(entry, small_world())
    data = dataclasses.replace(small_world(), train=None)  # what would be trained on
    settings = Settings(
        epochs=1, patience=None, select="recall@5", maximize=True, metrics=("recall@5",), seed=0, precision=precision
    )
    with pytest.raises(UserError) as caught:
        train(method, data, TASK, settings, device=torch.device("cpu"), on_epoch=lambda point: not seen.append(point))
    assert not seen and caught.value.exit_code == 2
    text = str(caught.value)
    assert text.startswith(f"method '{label(entry)}' cannot train in {precision}: ") and "use 32-true" in text


@pytest.mark.parametrize("name", LIMITED)
def test_they_train_in_full_precision(name: str) -> None:
    assert one_epoch({"method": name}, "32-true")[1]
    for precision in ("32-true", "64-true"):
        assert precision_problem(name, METHODS.get(name), {"contrast": 0.01}, precision) is None


@pytest.mark.parametrize("name", LIMITED)
def test_without_the_refusal_torch_would_stop_in_the_middle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once this no longer fails, the method can be let in."""
    monkeypatch.setattr("bench.training.precision._SINGLE_TYPE", {})
    with pytest.raises(RuntimeError, match=r"same d?type"):
        one_epoch({"method": name}, "bf16-mixed")


def test_mgcns_limit_is_its_contrastive_loss() -> None:
    assert one_epoch({"method": "mgcn"}, "bf16-mixed", contrast=0.0)[1]
    assert one_epoch({"method": "befa", "wrap": {"method": "mgcn"}}, "bf16-mixed", contrast=0.0)[1]
    with pytest.raises(UserError, match=r"'mgcn_lite' cannot train in bf16-mixed.*set its contrast to 0"):
        one_epoch({"method": "mgcn_lite"}, "bf16-mixed", contrast=0.01)


def test_every_limited_class_exists_under_its_name() -> None:
    classes = [METHODS.get(name) for name in TRAINED]
    assert set(_SINGLE_TYPE) <= {f"{cls.__module__}.{cls.__qualname__}" for cls in classes}


def validated(folder: Path, methods: str, precision: str) -> tuple[int, list[str]]:
    path = folder / "halves.yaml"
    path.write_text(SPEC.replace("{methods}", methods).replace("PRECISION", precision), encoding="utf-8")
    done = CliRunner().invoke(command_line(), ["validate", str(path)])
    return done.exit_code, [line for line in done.stdout.splitlines() if "cannot train" in line]


@pytest.mark.parametrize(
    ("methods", "named"),
    [
        ("mgcn", ["mgcn"]),
        ("lattice", ["lattice"]),
        ("{method: befa, wrap: [vbpr, lattice, mgcn]}", ["befa[lattice]", "befa[mgcn]"]),
        ("{method: befa, wrap: all}", ["befa[lattice]", "befa[mgcn]"]),
        ("{method: mgcn_lite, space: {contrast: [0.01, 0.1]}}", ["mgcn_lite"]),
        ("{method: mgcn, set: {contrast: 0}}", []),
        ("freedom", []),
    ],
)
def test_a_spec_that_asks_for_it_is_not_valid(tmp_path: Path, methods: str, named: list[str]) -> None:
    code, lines = validated(tmp_path, methods, "bf16-mixed")
    assert code == (2 if named else 0)
    assert len(lines) == len(named)
    for line, name in zip(lines, named, strict=True):
        assert ":7:" in line and f"method '{name}' cannot train in bf16-mixed" in line and "use 32-true" in line
    assert validated(tmp_path, methods, "32-true") == (0, [])
