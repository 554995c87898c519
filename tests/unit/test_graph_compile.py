"""Compiling pipelines with DGL, and the identity of what they make."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.errors import DataError, UserError
from bench.graph import compile as compiling
from bench.graph.compile import compile_view, source_digest, view_digest
from bench.graph.stages import (
    KNN,
    Bipartite,
    DropEdges,
    Merge,
    Neighbours,
    RowNorm,
    SelfLoops,
    StageError,
    SymNorm,
)

QUICK = settings(max_examples=25, deadline=None)
USERS, ITEMS = 12, 9


def make_data(seed=0, **changes):
    rng = np.random.default_rng(seed)
    rows = Interactions(rng.integers(0, USERS, 40).astype(np.int32), rng.integers(0, ITEMS, 40).astype(np.int32))
    features = rng.standard_normal((ITEMS, 4)).astype(np.float32)
    lists = np.array([[0, 1], [0, 2], [0, 2], [1, 1], [5, 0]], dtype=np.int32)
    modalities = {
        "image": Modality(ModalityInfo("features", 4, None), features),
        "text": Modality(ModalityInfo("neighbours", 4, "spectral4(neighbours)"), features, lists),
    }
    return RecommendationData("toy", USERS, ITEMS, rows, rows, modalities, **changes)


def dense(*pipeline, data=None):
    return compile_view(pipeline, data or make_data()).view.dense()


@QUICK
@given(st.integers(0, 999))
def test_bipartite_holds_both_directions_with_their_multiplicity(seed):
    data = make_data(seed)
    matrix = dense(Bipartite(), data=data)
    expected = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    for user, item in zip(data.train.users, data.train.items, strict=True):
        expected[user, item] += 1
    assert torch.equal(matrix[:USERS, USERS:], expected)
    assert torch.equal(matrix, matrix.T)
    assert not matrix[:USERS, :USERS].any()
    assert not matrix[USERS:, USERS:].any()


@QUICK
@given(st.integers(0, 999))
def test_normalisations_of_the_user_item_graph(seed):
    data = make_data(seed)
    plain, sym, row = (dense(Bipartite(), *rest, data=data) for rest in ((), (SymNorm(),), (RowNorm(),)))
    degree = plain.sum(1)
    assert torch.equal(sym, sym.T)
    safe = degree.clamp(min=1e-100)
    torch.testing.assert_close(sym, plain / (safe[:, None] * safe[None, :]).sqrt())
    torch.testing.assert_close(row.sum(1), (degree > 0).double())


def test_self_loops_are_set_not_added():
    matrix = dense(KNN("image", k=3), SelfLoops())
    assert matrix.diagonal().tolist() == [1.0] * ITEMS
    assert torch.equal(dense(Bipartite(), SelfLoops()), dense(Bipartite()) + torch.eye(USERS + ITEMS))


def test_neighbour_lists_are_edges_from_neighbour_to_item():
    matrix = dense(Neighbours("text", self_loop=False))
    assert matrix.nonzero().tolist() == [[0, 1], [0, 2], [5, 0]]
    assert torch.equal(dense(Neighbours("text")), matrix + torch.eye(ITEMS))


def test_merge_is_the_weighted_sum_of_its_parts():
    parts = ((KNN("image", k=3), SymNorm()), (Neighbours("text"), RowNorm()))
    merged = dense(Merge(parts=parts, weights=(0.25, 0.75)), SymNorm())
    total = 0.25 * dense(*parts[0]) + 0.75 * dense(*parts[1])
    root = total.sum(1).rsqrt()
    torch.testing.assert_close(merged, root[:, None] * total * root[None, :])


@pytest.mark.parametrize("source", [Bipartite(), KNN("image", k=4)])
def test_drop_edges_keeps_whole_pairs_and_their_weights(source):
    full, kept = dense(source), dense(source, DropEdges(keep=0.5, seed=3))
    pairs = torch.triu(full + full.T > 0).sum()
    stays = kept != 0
    assert torch.equal(kept[stays], full[stays])
    assert torch.triu((kept + kept.T) > 0).sum() == int(pairs * 0.5)
    both = (full > 0) & (full.T > 0)
    assert torch.equal(stays & both, stays.T & both)
    assert torch.equal(kept, dense(source, DropEdges(keep=0.5, seed=3)))
    assert not torch.equal(kept, dense(source, DropEdges(keep=0.5, seed=4)))
    assert torch.equal(dense(source, DropEdges(keep=1.0)), full)


def test_stages_run_as_dgl_transforms():
    from bench.graph import transforms

    composed = transforms.compose((Bipartite(), SymNorm()), make_data())
    assert isinstance(composed, transforms.dgl.transforms.Compose)
    assert all(isinstance(step, transforms.dgl.transforms.BaseTransform) for step in composed.transforms)
    assert repr(composed.transforms[1]) == "SymNorm(eps=0.0)"


def test_a_transform_leaves_the_graph_it_is_given_alone():
    from bench.graph import transforms

    data = make_data()
    graph = transforms.run((Bipartite(),), data)
    before = graph.edata["weight"].clone()
    for stage in (SymNorm(), RowNorm(), SelfLoops(), DropEdges(keep=0.5)):
        transforms.TRANSFORMS[type(stage)](stage, data)(graph)
        assert torch.equal(graph.edata["weight"], before)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (KNN("imag"), "needs modality 'imag', 'toy' has image, text. Did you mean 'image'"),
        (Neighbours("audio"), "needs modality 'audio'"),
        (Neighbours("image"), "comes with vectors, not with neighbour lists"),
    ],
)
def test_a_modality_that_is_not_there_is_named(stage, message):
    with pytest.raises(UserError, match=message):
        dense(stage)


def broken(**modality):
    data = make_data()
    changed = {**data.modalities, "text": dataclasses.replace(data.modalities["text"], **modality)}
    return dataclasses.replace(data, modalities=changed)


@pytest.mark.parametrize(
    ("stage", "data", "message"),
    [
        (KNN("text"), broken(features=np.ones((ITEMS + 1, 2), dtype=np.float32)), "one row per item"),
        (KNN("text"), broken(features=np.full((ITEMS, 2), np.nan, dtype=np.float32)), "must be finite"),
        (Neighbours("text"), broken(neighbours=np.array([[0, ITEMS]])), "outside"),
        (Neighbours("text"), broken(neighbours=np.array([[-1, 0]])), "outside"),
    ],
)
def test_content_that_does_not_fit_is_refused(stage, data, message):
    with pytest.raises(DataError, match=message):
        dense(stage, data=data)


def test_a_pipeline_out_of_order_is_refused_before_anything_runs():
    with pytest.raises(StageError):
        compile_view((SymNorm(),), make_data())
    with pytest.raises(StageError):
        view_digest((), "d")


def test_every_parameter_and_the_data_change_the_identity():
    pipelines = [
        (Bipartite(),),
        (Bipartite(), SymNorm()),
        (Bipartite(), SymNorm(eps=1e-7)),
        (KNN("image"),),
        (KNN("text"),),
        (KNN("image", k=9),),
        (KNN("image", weighted=False),),
        (KNN("image", self_loop=False),),
        (Merge(parts=((KNN("image"),),), weights=(0.1,)),),
        (Merge(parts=((KNN("image"),),), weights=(0.15,)),),
    ]
    digests = [view_digest(pipeline, data) for pipeline in pipelines for data in ("a", "b")]
    assert len(set(digests)) == 2 * len(pipelines)
    assert view_digest((KNN("image", k=10),), "a") == view_digest((KNN("image"),), "a")


def test_comments_docstrings_and_layout_do_not_change_the_identity_but_code_does():
    code = 'def f(x):\n    """Doc."""\n    return x + 1\n'
    same = '"""Module."""\ndef f(x):  # why\n\n    return (x\n            + 1)\n'
    assert source_digest(code) == source_digest(same)
    assert source_digest(code) != source_digest(code.replace("+ 1", "+ 2"))


def test_changed_code_changes_the_identity(monkeypatch):
    before = view_digest((Bipartite(),), "a")
    source = compiling._source
    monkeypatch.setattr(compiling, "_source", lambda module: source(module) + "\nx = 1\n")
    compiling._code_digest.cache_clear()
    changed = view_digest((Bipartite(),), "a")
    monkeypatch.undo()
    compiling._code_digest.cache_clear()
    assert changed != before == view_digest((Bipartite(),), "a")


def test_data_without_a_digest_is_not_kept(tmp_path):
    result = compile_view((Bipartite(),), make_data(), cache_dir=tmp_path)
    assert not result.cached
    assert not list(tmp_path.iterdir())


def test_weights_are_float64_and_fit_the_input_of_propagate():
    from bench.graph.propagate import propagate

    view = compile_view((Bipartite(), SymNorm()), make_data()).view
    assert view.values.dtype == torch.float64
    assert propagate(view, torch.ones(USERS + ITEMS, 2)).dtype == torch.float32
