"""A spec against the world: what `check` accepts, what it asks of plugins, and that broken plugins stay local."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import model_validator
from spec_world import MGCN, BeFA, fake_world

from bench.errors import PluginError, SpecError
from bench.methods.base import Recommender, RecommenderAdapter
from bench.spec.check import World, check_spec, validate_spec, world_problems
from bench.spec.config import MethodConfig
from bench.spec.loader import parse_spec


def text_of(methods, datasets="[baby]", more=""):
    return (
        "version: 1\nname: x\nexperiments:\n  - task: recommendation\n"
        f"    datasets: {datasets}\n    methods: {methods}\n    metrics: [recall@20]\n    select: recall@20\n{more}"
    )


def loaded(methods, datasets="[baby]", more=""):
    return parse_spec(text_of(methods, datasets, more))


@pytest.mark.parametrize(
    ("methods", "datasets"),
    [
        ("[mostpop, mgcn, lightgcn]", "[baby, tiktok]"),
        ("[{method: befa, wrap: all}]", "[tiktok]"),
        ("[mostpop]", "[baby-twin@0.05, baby-twin]"),
        ("[mostpop]", "[{dataset: baby, protocol: mmrec-tv-v1}, baby]"),
        ("[{method: mgcn, set: {contrast: 1, hops: [1, 2]}}]", "[baby]"),
        ("[{method: mgcn, space: {dim: [8, 16], contrast: {uniform: [0, 1]}, ui_layers: {int: [1, 4]}}}]", "[baby]"),
        ("[{method: mgcn, space: {train_features: [true, false]}}, mgcn]", "[baby]"),
        ("[{method: mgcn, views: {image: [{knn: {modality: image, k: 5}}, sym_norm]}}]", "[baby]"),
        ("[{method: befa, wrap: mgcn}, {method: befa, set: {width: 2}, wrap: mgcn}]", "[baby]"),
    ],
)
def test_what_fits_is_accepted(methods, datasets):
    check_spec(loaded(methods, datasets), fake_world())


def test_a_method_that_fits_one_dataset_of_two_is_no_error():
    assert (
        world_problems(loaded("[mgcn]", "[tiktok, baby]").spec, loaded("[mgcn]", "[tiktok, baby]").tree, fake_world())
        == []
    )


def test_an_unknown_dataset_does_not_make_methods_unfit_too():
    with pytest.raises(SpecError) as caught:
        check_spec(loaded("[mgcn]", "[tiktok, babyy]"), fake_world())
    assert len(caught.value.problems) == 1


class Listed(RecommenderAdapter):
    """An adapter that names what it wraps."""

    adapts = frozenset({"bpr"})
    compatible = None


class Generous(RecommenderAdapter):
    """An adapter that says nothing about what it wraps."""


def test_an_adapter_may_name_what_it_wraps_or_say_why_not_or_wrap_all():
    world = fake_world()
    world.methods.add("listed", Listed)
    world.methods.add("generous", Generous)
    assert world.compatible("listed", "recommendation") == ["bpr"]
    assert world.compatible("befa", "recommendation") == ["freedom", "mgcn", "vbpr"]
    assert world.why_not_wrapped("listed", "mgcn") == "it wraps bpr"
    assert world.why_not_wrapped("befa", "generous") == "it is an adapter itself"
    assert world.why_not_wrapped("befa", "resnet") == "they share no task"
    assert set(world.compatible("generous", "recommendation")) == set(world.methods.names()) - {
        "befa", "listed", "generous", "resnet",
    }  # fmt: skip


def test_a_broken_plugin_is_reported_where_it_is_named_and_harms_nobody_else():
    world = fake_world()
    world.methods.register("broken", "no_such_module_anywhere:X", owner="some-plugin")
    check_spec(loaded("[mostpop]"), world)
    with pytest.warns(UserWarning, match="some-plugin"):
        check_spec(loaded("[{method: befa, wrap: all}]"), world)
    with pytest.raises(SpecError, match=r"spec.yaml:6:15: .* of some-plugin cannot be loaded"):
        check_spec(loaded("[broken]"), world)
    with pytest.raises(PluginError):
        world.methods.get("broken")


def test_a_method_without_modalities_needs_nothing():
    world = fake_world()

    class Bare(Recommender):
        pass

    world.methods.add("bare", Bare)
    check_spec(loaded("[bare]", "[tiktok]"), world)


def test_problems_of_form_and_of_content_come_together(tmp_path):
    path = tmp_path / "both.yaml"
    text = text_of("[mostpopp, {method: mgcn, sett: 1}]")
    path.write_text(text.replace("name: x", "nam: x"), "utf-8")
    with pytest.raises(SpecError) as caught:
        validate_spec(path, fake_world())
    assert [problem.path for problem in caught.value.problems] == ["spec", "nam", "experiments[0].methods[1].sett"]
    path.write_text(text, "utf-8")
    with pytest.raises(SpecError) as caught:
        validate_spec(path, fake_world())
    assert [problem.path for problem in caught.value.problems] == [
        "experiments[0].methods[0]",
        "experiments[0].methods[1].sett",
    ]


def test_the_default_world_is_the_registries():
    world = World.default()
    assert {"mostpop", "lightgcn", "mgcn", "befa"} <= set(world.methods.names())
    assert "baby" in world.datasets.names()
    assert "recommendation" in world.tasks.names()
    assert BeFA.compatible(MGCN) is None


def test_loading_a_spec_loads_no_torch():
    code = "import sys, bench.spec.loader, bench.spec.check, bench.spec.expand; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_rule_between_the_fields_of_a_config_is_reported_at_set():
    class Config(MethodConfig):
        low: int = 1
        high: int = 2

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError(f"`low <= high` must hold, but got {self.low} > {self.high}")
            return self

    class Ruled(Recommender):
        pass

    Ruled.Config = Config
    world = fake_world()
    world.methods.add("ruled", Ruled)
    with pytest.raises(SpecError, match=r"spec.yaml:6:36: .*set: `low <= high` must hold, but got 3 > 2\."):
        check_spec(loaded("[{method: ruled, set: {low: 3}}]"), world)
