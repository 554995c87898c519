"""Identity: canonical JSON, fingerprints, differences, and the digest of source code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import PluginError
from bench.spec.fingerprint import (
    FINGERPRINT_VERSION,
    CellIdentity,
    canonical_json,
    differences,
    explain_difference,
    fingerprint,
    source_digest,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value):
    """Returns an equal value whose mappings are in reverse order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=50)
@given(JSON)
def test_canonical_json_reads_back_equal_and_is_its_own_canonical_form(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@settings(deadline=None, max_examples=50)
@given(JSON)
def test_a_fingerprint_does_not_depend_on_key_order(value):
    assert fingerprint(value) == fingerprint(shuffled(value))


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, min_size=1, max_size=4), st.data())
def test_a_fingerprint_changes_with_any_field_and_the_difference_names_it(value, data):
    key = data.draw(st.sampled_from(sorted(value)))
    changed = {**value, key: data.draw(JSON)}
    same = canonical_json(changed[key]) == canonical_json(value[key])
    assert (fingerprint(changed) == fingerprint(value)) is same
    explained = explain_difference(value, changed)
    assert bool(explained) is not same
    assert all(path == key or path.startswith(f"{key}.") for path in explained)


@settings(deadline=None, max_examples=50)
@given(JSON, JSON)
def test_equal_fingerprints_mean_equal_json(left, right):
    assert (fingerprint(left) == fingerprint(right)) == (canonical_json(left) == canonical_json(right))


def test_numbers_are_normalised():
    assert canonical_json([1.0, -0.0, 1e22, 0.1, 1e-7]) == "[1,0,10000000000000000000000,0.1,1e-07]"
    assert fingerprint({"lr": 1}) == fingerprint({"lr": 1.0})
    assert fingerprint({"on": True}) != fingerprint({"on": 1})
    assert fingerprint((1, 2)) == fingerprint([1, 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_has_no_fingerprint(value):
    with pytest.raises(ValueError, match="finite"):
        canonical_json({"a": [value]})


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1, 2}}, b"x", object()])
def test_what_json_cannot_hold_has_no_fingerprint(value):
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_known_fingerprint_stays_what_it_is():
    """Changing this value makes every stored result look old: raise FINGERPRINT_VERSION on purpose instead."""
    assert fingerprint({"b": [1, 2.5], "a": None}) == "e57f5d37865437a82e1108bafb4e5213"


IDENTITY = {
    "task": "recommendation",
    "protocol": "mmrec-v1",
    "dataset_digest": "d" * 64,
    "method": "befa[mgcn]",
    "method_digest": "m" * 32,
    "config": {"width": 1, "wrapped": {"lr": 0.001, "dim": 64}},
    "space": {"width": {"choices": [1, 2]}},
    "search": {"sampler": "tpe", "seed": 0},
    "views": {"ui": "v" * 64},
    "budget": {"trials": 2, "epochs": 3, "patience": 20, "trial_epochs": None},
    "select": "recall@20",
    "precision": "32-true",
    "seed": 0,
}


def cell(**changes):
    return CellIdentity(**{**IDENTITY, **changes})


@pytest.mark.parametrize("name", sorted(IDENTITY))
def test_every_field_of_a_cell_is_part_of_its_fingerprint(name):
    changed = {"other": 1} if isinstance(IDENTITY[name], dict) and name != "views" else {"ui": "x"}
    value = changed if isinstance(IDENTITY[name], dict) else 7 if name == "seed" else "other"
    assert cell(**{name: value}).fingerprint != cell().fingerprint
    assert {path.split(".")[0] for path in explain_difference(cell(), cell(**{name: value}))} == {name}


def test_cells_that_differ_in_their_seed_share_a_study():
    assert cell(seed=1).study == cell().study
    assert cell(seed=1).study.fingerprint == cell().study.fingerprint != cell().fingerprint
    assert "seed" not in cell().study.model_dump()
    assert cell().version == FINGERPRINT_VERSION


def test_a_stored_identity_reads_back_to_the_same_fingerprint():
    stored = json.loads(json.dumps(cell().model_dump(mode="json")))
    assert CellIdentity(**stored).fingerprint == cell().fingerprint
    assert explain_difference(stored, cell()) == []


def test_differences_say_what_was_and_what_is():
    other = cell(config={"width": 1, "wrapped": {"lr": 0.01, "dim": 64, "new": 1}}, views={})
    assert [tuple(difference) for difference in differences(cell(), other)] == [
        ("config.wrapped.lr", 0.001, 0.01),
        ("config.wrapped.new", None, 1),
        ("views.ui", "v" * 64, None),
    ]


METHOD = '''
"""A method."""
from plug.layers import tower  # shared
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from plug.typing_only import Thing

class M:
    """Docs."""
    dim = 64
    """More docs."""

    def score(self):
        return tower(self.dim)
'''


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """A third party's package with a method and a module it uses."""
    package = tmp_path / "plug"
    package.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    (package / "method.py").write_text(METHOD, "utf-8")
    (package / "layers.py").write_text("def tower(n):\n    return n\n", "utf-8")
    (package / "typing_only.py").write_text("Thing = int\n", "utf-8")
    (package / "unrelated.py").write_text("x = 1\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "plug"]:
        monkeypatch.delitem(sys.modules, name)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "plug"]:
        del sys.modules[name]


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("method.py", "# shared", "# used by many"),
        ("method.py", '"""Docs."""', '"""Other docs."""'),
        ("method.py", '    """More docs."""\n', ""),
        ("method.py", '"""A method."""', ""),
        ("method.py", "return tower(self.dim)", "return tower(\n            self.dim,\n        )"),
        ("method.py", "import Thing", "import Thing, Other"),
        ("typing_only.py", "int", "float"),
        ("unrelated.py", "1", "2"),
    ],
)
def test_words_layout_and_strangers_do_not_change_the_source_digest(plug, file, old, new):
    before = source_digest("plug.method")
    edit(plug / file, old, new)
    assert source_digest("plug.method") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("method.py", "64", "32"),
        ("method.py", "64", "64.0"),
        ("method.py", "tower(self.dim)", "tower(self.dim) + 0"),
        ("layers.py", "return n", "return n + 1"),
    ],
)
def test_code_of_a_method_and_of_what_it_imports_changes_the_source_digest(plug, file, old, new):
    before = source_digest("plug.method")
    edit(plug / file, old, new)
    assert source_digest("plug.method") != before


@pytest.mark.parametrize(
    "line",
    ["from .layers import tower", "from . import layers", "import plug.layers", "from plug import layers as tower"],
)
def test_every_way_to_import_is_followed(plug, line):
    edit(plug / "method.py", "from plug.layers import tower  # shared", line)
    before = source_digest("plug.method")
    edit(plug / "layers.py", "return n", "return -n")
    assert source_digest("plug.method") != before


def test_an_import_inside_a_function_is_followed(plug):
    edit(plug / "method.py", "        return tower(self.dim)", "        from plug.unrelated import x\n        return x")
    before = source_digest("plug.method")
    edit(plug / "unrelated.py", "1", "2")
    assert source_digest("plug.method") != before


def test_modules_that_import_each_other_end(plug):
    (plug / "layers.py").write_text("import plug.method\n\ndef tower(n):\n    return n\n", "utf-8")
    assert len(source_digest("plug.method")) == 32


def test_the_order_of_modules_does_not_matter_and_their_number_does(plug):
    assert source_digest("plug.method", "plug.unrelated") == source_digest("plug.unrelated", "plug.method")
    assert source_digest("plug.method", "plug.unrelated") != source_digest("plug.method")


def test_a_module_without_source_is_an_error():
    for name in ("no_such_module_anywhere", "no_such.module", "builtins"):
        with pytest.raises(PluginError, match="no Python source"):
            source_digest(name)


def test_taking_a_digest_of_a_built_in_method_runs_no_method_code():
    code = (
        "import sys\nfrom bench.spec.fingerprint import source_digest\n"
        "print(source_digest('bench.methods.recommendation.mostpop'), 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest, torch_loaded = result.stdout.split()
    assert digest == source_digest("bench.methods.recommendation.mostpop")
    assert torch_loaded == "False"
