"""YAML to a tree with positions: scalars of YAML 1.2, anchors, merge keys, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.spec.problems import Position
from bench.spec.tree import MAX_DEPTH, MAX_NODES, find, merge, read_tree, to_plain, without


def plain(text):
    tree, problems = read_tree(text, "t.yaml")
    assert problems == []
    return to_plain(tree)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("=", "="),
        ("!!str 1e-4", "1e-4"),
        ("!!float '2'", 2.0),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written, value):
    tree, problems = read_tree(f"key: {written}", "t.yaml")
    got = to_plain(tree)["key"]
    assert problems == []
    assert (got, type(got)) == (value, type(value))


def test_every_key_and_value_knows_its_place():
    tree, _ = read_tree("a: 1\nb:\n  - x\n  - {c: 2}\n", "t.yaml")
    found = find(tree, ("b", 1, "c"))
    assert found.tree.position == Position("t.yaml", 4, 9)
    assert found.key == Position("t.yaml", 4, 6)
    assert find(tree, ("b", 0)).tree.position == Position("t.yaml", 3, 5)


def test_steps_that_a_short_form_leaves_out_are_passed_over():
    tree, _ = read_tree("methods: [mgcn]", "t.yaml")
    assert find(tree, ("methods", 0, "method")).steps == ("methods", 0)


def test_merge_keys_give_defaults_and_keep_the_anchors_places():
    tree, problems = read_tree("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  b: 5\n  <<: [*x, *y]\n", "t.yaml")
    assert problems == []
    assert to_plain(tree)["z"] == {"a": 1, "b": 5, "c": 4}
    assert find(tree, ("z", "a")).tree.position == Position("t.yaml", 1, 11)


def test_quoted_merge_key_is_an_ordinary_key():
    assert plain("a: {'<<': 1}") == {"a": {"<<": 1}}


def test_an_alias_may_be_used_many_times():
    assert plain("a: &a [1, 2]\nb: *a\nc: [*a, *a]\n") == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "- a\n" * (MAX_NODES + 1),
        "a: &a {k: *a}",
        "&a a: &b [*b]",
    ],
)
def test_size_depth_and_cycles_are_bounded(text):
    tree, problems = read_tree(text, "t.yaml")
    assert tree is None
    assert problems[-1].message.startswith("too much: ")


def test_aliases_that_nest_deeper_than_the_text_are_bounded():
    text = "x0: &x0 [1]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, MAX_DEPTH + 2))
    tree, problems = read_tree(text, "t.yaml")
    assert tree is None
    assert f"nested deeper than {MAX_DEPTH} levels" in problems[-1].message


@pytest.mark.parametrize(
    "text", ['"\\U11111111"', "%YAML 1." + "1" * 5000 + "\n--- a", 'a: "\\ud800"', "\x00", "a: \x85\ufffe"]
)
def test_what_trips_the_yaml_library_is_a_problem_and_no_crash(text):
    _, problems = read_tree(text, "t.yaml")
    assert problems


def test_merging_is_deep_for_mappings_and_replaces_lists():
    base, _ = read_tree("a: {x: 1, y: [1, 2]}\nb: 1\n", "base.yaml")
    own, _ = read_tree("a: {y: [3]}\nc: 2\n", "own.yaml")
    merged = merge(base, own)
    assert to_plain(merged) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 2}
    assert find(merged, ("a", "x")).tree.position.file == "base.yaml"
    assert find(merged, ("a", "y")).tree.position.file == "own.yaml"


def test_cutting_keeps_the_numbers_that_list_items_had():
    tree, _ = read_tree("a: [x, y, z]", "t.yaml")
    cut = without(without(tree, ("a", 0)), ("a", 0))
    assert to_plain(cut) == {"a": ["z"]}
    assert find(cut, ("a", 0)).path == ("a", 2)
    assert find(cut, ("a",)).tree.cut
    assert without(tree, ()) is None
    with pytest.raises(KeyError):
        without(tree, ("a", "b"))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_a_problem(text):
    tree, problems = read_tree(text, "t.yaml")
    assert tree is not None or problems


PIECES = st.sampled_from(
    [
        "a",
        "b: ",
        "- ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "!t ",
        "!!int ",
        "'",
        '"',
        "|",
        "? ",
        "#",
        "%",
        "---\n",
        "1",
        "~",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_arrangement_of_yaml_gives_a_tree_or_a_problem(text):
    tree, problems = read_tree(text, "t.yaml")
    assert tree is not None or problems
