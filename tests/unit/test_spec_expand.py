"""From a spec to its grid: budgets, seeds, wrapped methods, what is fixed and what is searched."""

from __future__ import annotations

import pytest
from spec_world import METHOD_CLASSES, fake_world

from bench.errors import UserError
from bench.spec.expand import choose_budget, expand, resolve_method
from bench.spec.loader import parse_spec
from bench.spec.models import MethodEntry
from bench.spec.space import Choices, Log

TEXT = """\
version: 1
name: grid
experiments:
  - task: recommendation
    datasets: [baby, {dataset: tiktok, protocol: diffmm-v1}]
    protocol: mmrec-tv-v1
    methods:
      - mostpop
      - {method: befa, set: {width: 2}, wrap: [vbpr, {method: mgcn, set: {dim: 16}}]}
    metrics: [recall@20]
    select: recall@20
"""
CONFIGS = {name: method.Config for name, method in METHOD_CLASSES.items()}


def grid(text=TEXT, **options):
    return expand(parse_spec(text).spec, world=fake_world(), **options)


def test_the_grid_is_datasets_by_methods_in_the_order_of_the_spec():
    labels = [(entry.dataset.dataset, entry.method.label) for entry in grid().grid]
    methods = ["mostpop", "befa[vbpr]", "befa[mgcn]"]
    assert labels == [(dataset, method) for dataset in ("baby", "tiktok") for method in methods]


def test_a_dataset_without_a_protocol_takes_the_experiments():
    assert [entry.dataset.protocol for entry in grid().grid][::3] == ["mmrec-tv-v1", "diffmm-v1"]


def test_wrap_all_means_every_compatible_method_of_the_task():
    text = TEXT.replace("[vbpr, {method: mgcn, set: {dim: 16}}]", "all")
    assert [entry.method.label for entry in grid(text).grid][:4] == [
        "mostpop",
        "befa[freedom]",
        "befa[mgcn]",
        "befa[vbpr]",
    ]
    assert all(entry.method.set == {"width": 2} for entry in grid(text).grid[1:4])


def test_auto_is_full_with_a_gpu_and_small_without():
    assert grid(gpu=True).budget.name == "full"
    assert grid(gpu=False).budget.name == "small"
    assert "no GPU" in grid(gpu=False).reason


def test_auto_is_the_only_budget():
    assert grid(TEXT + "budgets: {tiny: {epochs: 1}}\n", gpu=True).budget.name == "tiny"


def test_a_budget_may_be_named_in_the_spec_or_on_the_command_line():
    spec = parse_spec(TEXT + "budget: full\n").spec
    assert choose_budget(spec, budget=None, gpu=False) == ("full", "named in the spec")
    assert choose_budget(spec, budget="small", gpu=True) == ("small", "asked for on the command line")
    with pytest.raises(UserError, match="Did you mean 'small'"):
        choose_budget(spec, budget="smal", gpu=True)


def test_seeds_may_be_replaced_and_are_checked():
    assert grid(seeds=(7, 8)).budget.seeds == (7, 8)
    for seeds in ((), (1, 1), (-1,), (2**32,)):
        with pytest.raises(UserError, match="seeds must be distinct"):
            grid(seeds=seeds)


@pytest.mark.parametrize(
    ("only", "labels"),
    [
        ({"befa"}, ["befa[vbpr]", "befa[mgcn]"]),
        ({"befa[mgcn]"}, ["befa[mgcn]"]),
        ({"mostpop", "befa[vbpr]"}, ["mostpop", "befa[vbpr]"]),
    ],
)
def test_only_keeps_methods_by_name_or_label(only, labels):
    assert [entry.method.label for entry in grid(only=only).grid] == labels * 2


def test_only_refuses_a_method_that_is_not_in_the_spec():
    with pytest.raises(UserError, match=r"'mostpopp' is not in this spec\. Did you mean 'mostpop'"):
        grid(only={"mostpopp"})


def test_set_leaves_the_space_and_space_replaces_field_by_field():
    entry = MethodEntry(method="mgcn", set={"contrast": 0.5}, space={"ui_layers": Choices(1, 2), "dim": Choices(8, 16)})
    config, space = resolve_method(entry, CONFIGS)
    assert config["contrast"] == 0.5
    assert config["dim"] == 64
    assert space == {"lr": Choices(1e-4, 5e-4, 1e-3, 5e-3), "ui_layers": Choices(1, 2), "dim": Choices(8, 16)}


def test_an_adapter_holds_the_wrapped_methods_configuration_and_space():
    wrapped = MethodEntry(method="mgcn", set={"lr": 0.1, "ui_layers": 1})
    config, space = resolve_method(MethodEntry(method="befa", set={"enabled": False}, wrap=wrapped), CONFIGS)
    assert config["enabled"] is False
    assert config["wrapped"]["lr"] == 0.1
    assert space == {"width": Choices(1, 2, 4), "wrapped.contrast": Log(1e-3, 1e-1)}


def test_a_method_is_spoken_of_with_what_the_spec_fixes():
    assert MethodEntry(method="mgcn").spoken == "mgcn"
    wrapped = MethodEntry(method="mgcn", set={"ui_layers": 1})
    assert MethodEntry(method="befa", set={"width": 2}, wrap=wrapped).spoken == "befa[mgcn] (width=2, ui_layers=1)"


def test_auto_on_the_command_line_needs_the_budget_it_stands_for():
    spec = parse_spec(TEXT + "budgets: {tiny: {epochs: 1}, full: {epochs: 9}}\nbudget: tiny\n").spec
    assert choose_budget(spec, budget="auto", gpu=True)[0] == "full"
    with pytest.raises(UserError, match="needs a budget 'small' here"):
        choose_budget(spec, budget="auto", gpu=False)
