"""From a file to a spec: extends, positions, round trips, and nothing but SpecError on bad input."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from spec_world import fake_world

from bench.errors import SpecError
from bench.spec.check import validate_spec
from bench.spec.loader import load_spec, parse_spec, to_yaml, written
from bench.spec.models import Spec
from bench.spec.schema import schema
from bench.spec.space import Choices, IntRange, Log, Uniform

SPECS = Path(__file__).parents[2] / "specs"
FULL = """\
version: 1
name: full
experiments:
  - task: recommendation
    datasets: [baby, {dataset: sports, protocol: mmrec-tv-v1}]
    methods:
      - mostpop
      - {method: itemknn, space: {k: [10, 20]}}
      - method: mgcn
        set: {dim: 32, hops: [1, 2]}
        space: {contrast: {log: [1e-4, 0.1]}, ui_layers: {int: [1, 3]}, lr: {uniform: [0.001, 0.1]}}
        views: {ui: [bipartite, {sym_norm: {eps: 1e-7}}]}
      - {method: befa, wrap: [vbpr, {method: mgcn, set: {dim: 16}}]}
      - {method: befa, set: {width: 2}, wrap: all}
      - {method: befa, set: {width: 4}, wrap: mgcn}
    metrics: [recall@10, recall@20]
    select: recall@20
    protocol: mmrec-v1
    fallback: twin
search: {sampler: random, pruner: none, seed: 3, parallel_trials: 2}
budgets:
  tiny: {epochs: 1, patience: null, timeout_s: 10}
budget: tiny
resources: {gpus_per_job: 0.5, cpus_per_job: 2, precision: 64-true}
"""


def problems_of(text, **files):
    with pytest.raises(SpecError) as caught:
        parse_spec(text, **files)
    return caught.value.problems


def test_a_full_spec_is_read_and_fits_the_world(tmp_path):
    path = tmp_path / "full.yaml"
    path.write_text(FULL, "utf-8")
    spec = validate_spec(path, fake_world()).spec
    mgcn = spec.experiments[0].methods[2]
    assert mgcn.space == {"contrast": Log(1e-4, 0.1), "ui_layers": IntRange(1, 3), "lr": Uniform(0.001, 0.1)}
    assert spec.experiments[0].methods[1].space == {"k": Choices(10, 20)}
    assert [entry.label for entry in spec.experiments[0].methods[3].entries()] == ["befa[vbpr]", "befa[mgcn]"]
    assert spec.budgets["tiny"].name == "tiny"


def test_a_spec_written_out_reads_back_the_same():
    spec = parse_spec(FULL).spec
    assert parse_spec(to_yaml(spec)).spec == spec
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_text_that_looks_like_a_number_stays_text_when_written_out():
    spec = parse_spec(
        FULL.replace("set: {dim: 32, hops: [1, 2]}", "set: {a: '1e-4', b: 'no', c: '0o7', d: '1', e: ~}")
    ).spec
    assert parse_spec(to_yaml(spec)).spec == spec


def test_short_forms_are_written_short():
    assert written(parse_spec(FULL).spec)["experiments"][0]["methods"][0] == "mostpop"


def test_a_spec_is_frozen():
    with pytest.raises(ValidationError):
        parse_spec(FULL).spec.name = "other"


def test_locate_finds_keys_and_values():
    loaded = parse_spec(FULL, name="full.yaml")
    assert str(loaded.locate(("experiments", 0, "methods", 2, "set", "dim"))) == "full.yaml:10:20"
    assert str(loaded.locate(("experiments", 0, "methods", 2, "set", "dim"), key=True)) == "full.yaml:10:15"
    assert str(loaded.locate(("experiments", 0, "methods", 0, "method"))) == "full.yaml:7:9"
    assert str(loaded.locate(())) == "full.yaml:1:1"


def test_a_spec_extends_others_and_wins_over_them(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.yaml").write_text(
        "extends: two.yaml\nbudgets: {tiny: {epochs: 7, trials: 1}}\n", "utf-8"
    )
    (tmp_path / "parts" / "two.yaml").write_text(FULL.replace("name: full", "name: base"), "utf-8")
    own = tmp_path / "own.yaml"
    own.write_text("extends: parts/one.yaml\nname: own\nbudgets: {tiny: {trials: 5}}\n", "utf-8")
    loaded = load_spec(own)
    assert loaded.spec.name == "own"
    budget = loaded.spec.budgets["tiny"]
    assert (budget.epochs, budget.trials, budget.patience) == (7, 5, None)
    assert [path.name for path in loaded.files] == ["own.yaml", "one.yaml", "two.yaml"]
    assert loaded.locate(("budgets", "tiny", "epochs")).file == str(tmp_path / "parts" / "one.yaml")
    assert loaded.text.startswith("extends:")


def test_a_list_of_extended_specs_is_laid_over_in_order(tmp_path):
    (tmp_path / "one.yaml").write_text(FULL, "utf-8")
    (tmp_path / "two.yaml").write_text("budgets: {tiny: {epochs: 9}}\n", "utf-8")
    loaded = parse_spec("extends: [one.yaml, two.yaml]", folder=tmp_path)
    assert loaded.spec.budgets["tiny"].epochs == 9


def test_the_same_file_may_be_extended_by_two_but_not_by_itself(tmp_path):
    (tmp_path / "base.yaml").write_text(FULL, "utf-8")
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("extends: base.yaml\n", "utf-8")
    assert parse_spec("extends: [a.yaml, b.yaml]", folder=tmp_path).spec.name == "full"
    (tmp_path / "x.yaml").write_text("extends: y.yaml\n", "utf-8")
    (tmp_path / "y.yaml").write_text("extends: x.yaml\n", "utf-8")
    with pytest.raises(SpecError, match="extends itself"):
        load_spec(tmp_path / "x.yaml")


def test_the_number_of_extended_files_is_bounded(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n", "utf-8")
    with pytest.raises(SpecError, match="at most 15 files"):
        load_spec(tmp_path / "0.yaml")


def test_a_missing_file_a_folder_and_a_huge_file_are_one_clear_error_each(tmp_path):
    (tmp_path / "baby_all.yaml").write_text(FULL, "utf-8")
    with pytest.raises(SpecError, match=r"there is no file .*Did you mean 'baby_all.yaml'\?"):
        load_spec(tmp_path / "baby_al.yaml")
    with pytest.raises(SpecError, match="Is a directory"):
        load_spec(tmp_path)
    (tmp_path / "huge.yaml").write_text("# " + "x" * 300_000, "utf-8")
    with pytest.raises(SpecError, match="larger than 256 KiB"):
        load_spec(tmp_path / "huge.yaml")


def test_keys_that_start_with_x_hold_anchors_and_mean_nothing():
    text = FULL.replace("name: full", "name: full\nx-shared: &shared {epochs: 4}").replace(
        "tiny: {epochs: 1,", "tiny: {<<: *shared,"
    )
    assert parse_spec(text).spec.budgets["tiny"].epochs == 4


def test_a_byte_order_mark_is_no_problem(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.encode())
    assert load_spec(path).spec.name == "full"


def test_budgets_have_defaults():
    text = FULL[: FULL.index("budgets:")]
    assert set(parse_spec(text).spec.budgets) == {"small", "full"}


def test_list_indices_in_paths_are_those_of_the_file_even_after_invalid_items():
    text = FULL.replace("- mostpop", "- 3").replace("{dim: 32, hops: [1, 2]}", "{lr: 1}")
    assert [problem.path for problem in problems_of(text)] == [
        "experiments[0].methods[0]",
        "experiments[0].methods[2].space.lr",
    ]


def test_problems_are_machine_readable():
    problem = problems_of("version: 1\nnam: x\n", name="p.yaml")[-1]
    assert problem.to_dict() == {
        "file": "p.yaml",
        "line": 2,
        "column": 1,
        "path": "nam",
        "message": problem.message,
    }


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300))
def test_no_text_crashes_the_loader(text):
    try:
        parse_spec(text)
    except SpecError as error:
        assert str(error)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["baby", "mgcn", "all", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["method", "wrap", "set", "space", "log", "name", "epochs"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        ("name",),
        ("experiments",),
        ("experiments", 0, "datasets", 0),
        ("experiments", 0, "methods"),
        ("experiments", 0, "methods", 2),
        ("experiments", 0, "methods", 2, "space"),
        ("experiments", 0, "methods", 2, "views"),
        ("experiments", 0, "methods", 3, "wrap"),
        ("experiments", 0, "metrics"),
        ("experiments", 0, "select"),
        ("search",),
        ("budgets",),
        ("budgets", "tiny"),
        ("budgets", "tiny", "seeds"),
        ("budget",),
        ("resources", "precision"),
        ("extends",),
    ]
)
WORLD = fake_world()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3))
def test_no_value_anywhere_crashes_the_loader_or_the_check(tmp_path_factory, changes):
    raw = written(parse_spec(FULL).spec)
    for keys, value in changes:
        target = raw
        for key in keys[:-1]:
            target = target[key] if isinstance(target, (dict, list)) and _has(target, key) else {}
        if isinstance(target, dict) or (isinstance(target, list) and _has(target, keys[-1])):
            target[keys[-1]] = value
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_text(json.dumps(raw), "utf-8")
    try:
        validate_spec(path, WORLD)
    except SpecError as error:
        assert error.problems


def _has(container, key):
    return key in container if isinstance(container, dict) else isinstance(key, int) and key < len(container)


def test_the_shipped_schema_is_current():
    assert json.loads((SPECS / "schema.json").read_text("utf-8")) == schema(), (
        "regenerate it: bench schema > specs/schema.json"
    )


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_specs_fit_the_world_the_schema_and_carry_the_modeline(path):
    loaded = validate_spec(path)
    assert loaded.text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    jsonschema.validate(written(loaded.spec), schema())
    assert parse_spec(to_yaml(loaded.spec)).spec == loaded.spec


def test_the_schema_accepts_what_the_loader_accepts_and_refuses_misspelt_keys():
    raw = written(parse_spec(FULL).spec)
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(raw, schema())
    jsonschema.validate({**raw, "extends": ["a.yaml"], "x-anchors": [1]}, schema())
    jsonschema.validate({"extends": "a.yaml"}, schema())
    for broken in ({**raw, "experimets": []}, {**raw, "version": 2}, {"version": 1, "name": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())
