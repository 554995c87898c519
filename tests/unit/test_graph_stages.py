"""Stages: what they accept, what they refuse, and how they are written."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.types import ModalityInfo
from bench.errors import UserError
from bench.graph.stages import (
    KNN,
    STAGES,
    Bipartite,
    DropEdges,
    Merge,
    Neighbours,
    RowNorm,
    SelfLoops,
    StageError,
    SymNorm,
    check_pipeline,
    item_graph,
    parse_pipeline,
    parse_stage,
    pipeline_to_yaml,
)

QUICK = settings(max_examples=50, deadline=None)
names = st.text("abcdefgh_", min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
item_sources = st.one_of(
    st.builds(KNN, names, k=st.integers(1, 50), weighted=st.booleans(), self_loop=st.booleans()),
    st.builds(Neighbours, names, self_loop=st.booleans()),
)
changes = st.one_of(
    st.builds(SymNorm, eps=st.floats(0, 1)),
    st.builds(RowNorm),
    st.builds(SelfLoops),
    st.builds(DropEdges, keep=st.floats(0.01, 1), seed=st.integers(0, 99)),
)


def pipelines(sources):
    return st.builds(lambda head, tail: (head, *tail), sources, st.lists(changes, max_size=3))


@st.composite
def merges(draw):
    parts = draw(st.lists(pipelines(item_sources), min_size=1, max_size=3))
    return Merge(parts=tuple(parts), weights=tuple(draw(finite) for _ in parts))


@QUICK
@given(pipelines(st.one_of(st.builds(Bipartite), item_sources, merges())))
def test_a_pipeline_survives_yaml(pipeline):
    text = yaml.safe_dump(pipeline_to_yaml(pipeline))
    assert parse_pipeline(yaml.safe_load(text)) == pipeline


@pytest.mark.parametrize(
    ("raw", "stage"),
    [
        ("bipartite", Bipartite()),
        ("sym_norm", SymNorm()),
        ({"sym_norm": None}, SymNorm()),
        ({"sym_norm": {"eps": 1e-7}}, SymNorm(eps=1e-7)),
        ({"knn": {"modality": "image"}}, KNN("image")),
        ({"drop_edges": {"keep": 1}}, DropEdges(keep=1)),
        (RowNorm(), RowNorm()),
    ],
)
def test_short_forms_are_read(raw, stage):
    assert parse_stage(raw) == stage


def test_a_stage_with_defaults_only_is_written_as_its_name():
    assert SymNorm().to_yaml() == "sym_norm"
    assert KNN("image").to_yaml() == {"knn": {"modality": "image", "k": 10, "weighted": True, "self_loop": True}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("sym_nrm", "unknown stage 'sym_nrm'. Did you mean 'sym_norm'"),
        (3, "a stage is a name"),
        (None, "a stage is a name"),
        ({"knn": {"modality": "a"}, "sym_norm": None}, "a stage is a name"),
        ({3: {}}, "unknown stage 3"),
        ({"knn": {"modalty": "a"}}, "no parameter 'modalty'. Did you mean 'modality'"),
        ({"knn": {3: "a"}}, "no parameter 3"),
        ({"bipartite": {"k": 1}}, "Its parameters: none"),
        ({"knn": "image"}, "must be a mapping"),
        ({"knn": ["image"]}, "must be a mapping"),
        ("knn", "'knn' needs 'modality'"),
        ({"knn": {"modality": ""}}, "modality must be a name"),
        ({"knn": {"modality": 3}}, "modality must be a name"),
        ({"knn": {"modality": "a", "k": 0}}, "k must be a whole number from 1"),
        ({"knn": {"modality": "a", "k": 2.0}}, "k must be a whole number"),
        ({"knn": {"modality": "a", "k": True}}, "k must be a whole number"),
        ({"knn": {"modality": "a", "weighted": "yes"}}, "weighted must be true or false"),
        ({"neighbours": {"modality": "a", "self_loop": 1}}, "self_loop must be true or false"),
        ({"sym_norm": {"eps": -1}}, "eps must be a finite number from 0"),
        ({"sym_norm": {"eps": "1e-7"}}, "eps must be a finite number"),
        ({"sym_norm": {"eps": float("nan")}}, "eps must be a finite number"),
        ({"sym_norm": {"eps": True}}, "eps must be a finite number"),
        ("drop_edges", "needs 'keep'"),
        ({"drop_edges": {"keep": 0.0}}, "0 < keep <= 1"),
        ({"drop_edges": {"keep": 1.5}}, "0 < keep <= 1"),
        ({"drop_edges": {"keep": 0.5, "seed": -1}}, "seed must be a whole number from 0"),
        ("merge", "needs 'parts', 'weights'"),
        ({"merge": {"parts": "knn", "weights": [1]}}, "parts must be a list"),
        ({"merge": {"parts": [["bipartite"]], "weights": 1}}, "weights must be a list"),
        ({"merge": {"parts": [], "weights": []}}, "at least one part"),
        ({"merge": {"parts": [["bipartite"]], "weights": [1, 2]}}, "1 parts and 2 weights"),
        ({"merge": {"parts": [["bipartite"]], "weights": ["a"]}}, "weights must be a finite number"),
        ({"merge": {"parts": ["bipartite"], "weights": [1]}}, "a pipeline is a list"),
        ({"merge": {"parts": [["sym_norm"]], "weights": [1]}}, "first stage must make the graph"),
        (
            {"merge": {"parts": [["bipartite"], [{"knn": {"modality": "a"}}]], "weights": [1, 1]}},
            "parts over the same nodes, but they are over items and users",
        ),
    ],
)
def test_a_malformed_stage_is_refused_with_its_reason(raw, message):
    with pytest.raises(StageError) as caught:
        parse_stage(raw)
    assert message in str(caught.value)
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "at least one stage"),
        (["sym_norm"], "first stage must make the graph"),
        (["bipartite", "bipartite"], "only a pipeline's first stage"),
        ("bipartite", "a pipeline is a list"),
        ({"bipartite": None}, "a pipeline is a list"),
        (None, "a pipeline is a list"),
    ],
)
def test_a_malformed_pipeline_is_refused_with_its_reason(raw, message):
    with pytest.raises(StageError, match=message):
        parse_pipeline(raw)


def test_nodes_of_a_pipeline_are_those_of_its_source():
    assert check_pipeline((Bipartite(), SymNorm())) == "users+items"
    assert check_pipeline((Merge(parts=((KNN("a"),), (Neighbours("b"),)), weights=(0.1, 0.9)),)) == "items"


def test_item_graph_follows_what_is_published():
    raw = ModalityInfo("features", 8, None)
    lists = ModalityInfo("neighbours", 64, "spectral64(neighbours)")
    assert item_graph("image", raw, k=5, weighted=False) == (KNN("image", k=5, weighted=False),)
    assert item_graph("image", lists, k=5) == (Neighbours("image"),)


def test_stages_are_hashable_values():
    assert len({KNN("a"), KNN("a"), KNN("b"), Merge(parts=[[KNN("a")]], weights=[1.0])}) == 3


def test_every_stage_says_what_it_does():
    assert all(len(stage.__doc__.split()) > 8 for stage in STAGES.values())


def test_declaring_stages_loads_neither_torch_nor_dgl():
    code = "import sys, bench.graph.stages; sys.exit(bool({'torch', 'dgl'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
