"""Graphs over the clips of a video, and that their coming changed no identity of other graphs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.graph import compile as compiling
from bench.graph.clips import ClipGraph
from bench.graph.compile import compile_view, source_digest, view_digest
from bench.graph.stages import (
    STAGES,
    Bipartite,
    Merge,
    RowNorm,
    StageError,
    SymNorm,
    parse_pipeline,
    parse_stage,
    pipeline_to_yaml,
)
from bench.testing import recommendation, vqa

QUICK = settings(max_examples=15, deadline=None)


class Videos:
    """What a clip graph reads of a dataset."""

    def __init__(self, n_clips):
        self.n_clips, self.digest, self.name = n_clips, "", "videos"


def dense(*pipeline, n_clips=5):
    return compile_view(pipeline, Videos(n_clips)).view.dense()


@QUICK
@given(st.integers(1, 9), st.one_of(st.none(), st.integers(1, 12)), st.booleans())
def test_clips_within_the_window_are_neighbours(n_clips, window, self_loop):
    matrix = dense(ClipGraph(window, self_loop), n_clips=n_clips)
    for row in range(n_clips):
        for column in range(n_clips):
            near = window is None or abs(row - column) <= window
            assert matrix[row, column] == float(near and (self_loop or row != column))


def test_the_default_is_the_complete_graph():
    view = compile_view((ClipGraph(),), vqa.small_world(train=4, valid=4)).view
    assert view.shape == (4, 4)
    assert torch.equal(view.dense(), torch.ones(4, 4, dtype=torch.float64))


def test_other_stages_follow_and_merge():
    assert torch.equal(dense(ClipGraph(), RowNorm()), torch.full((5, 5), 0.2, dtype=torch.float64))
    merged = dense(Merge(((ClipGraph(1),), (ClipGraph(),)), (2.0, 1.0)))
    assert merged[0].tolist() == [3.0, 3.0, 1.0, 1.0, 1.0]


@QUICK
@given(st.one_of(st.none(), st.integers(1, 99)), st.booleans())
def test_a_clip_graph_survives_yaml(window, self_loop):
    pipeline = (ClipGraph(window, self_loop), RowNorm())
    assert parse_pipeline(yaml.safe_load(yaml.safe_dump(pipeline_to_yaml(pipeline)))) == pipeline


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "2"])
def test_a_bad_window_is_refused(window):
    with pytest.raises(StageError, match="window must be a whole number from 1"):
        parse_stage({"clip_graph": {"window": window}})
    with pytest.raises(StageError, match="self_loop must be true or false"):
        parse_stage({"clip_graph": {"self_loop": 1}})


def test_graphs_over_other_nodes_are_refused_with_both_names():
    with pytest.raises(UserError, match="is over clips, but 'small-world' has users and items"):
        compile_view((ClipGraph(),), recommendation.small_world())
    with pytest.raises(UserError, match=r"is over users\+items, but 'small-world' has clips"):
        compile_view((Bipartite(),), vqa.small_world(train=4, valid=4))


def test_identities_of_graphs_without_clips_are_what_they_were():
    """The formula before there were clips: dataset, stages, and the code of five modules."""
    code = hashlib.sha256()
    for module in ("stages", "transforms", "knn", "weights", "view"):
        code.update(source_digest(compiling._source(f"bench.graph.{module}")).encode())
    pipeline = (Bipartite(), SymNorm(1e-7))
    content = {"dataset": "d", "stages": pipeline_to_yaml(pipeline), "code": code.hexdigest()}
    assert view_digest(pipeline, "d") == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_code_of_clip_graphs_counts_for_clip_graphs_alone(monkeypatch):
    nested = Merge(((ClipGraph(),), (ClipGraph(2),)), (1.0, 1.0))
    pipelines = [(ClipGraph(),), (nested, RowNorm()), (Bipartite(),)]
    before = [view_digest(pipeline, "d") for pipeline in pipelines]
    source = compiling._source
    for module in ("bench.graph.clips", "bench.graph.clip_transforms"):
        with monkeypatch.context() as patch:
            patch.setattr(compiling, "_source", lambda name, m=module: source(name) + "\nx = 1\n" * (name == m))
            compiling._code_digest.cache_clear()
            after = [view_digest(pipeline, "d") for pipeline in pipelines]
        assert [new == old for new, old in zip(after, before, strict=True)] == [False, False, True]
    compiling._code_digest.cache_clear()
    assert [view_digest(pipeline, "d") for pipeline in pipelines] == before


def test_importing_the_stages_imports_neither_torch_nor_dgl():
    code = "import sys; from bench.graph import clips; print(len(clips.STAGES), {'torch', 'dgl'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"{len(STAGES)} set()"
