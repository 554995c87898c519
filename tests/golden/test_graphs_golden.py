"""Compiled graphs against those recorded from the authors' code, in float64."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.graph.compile import compile_view
from bench.graph.propagate import symmetric_norm
from bench.graph.stages import KNN, Bipartite, DropEdges, Merge, SymNorm
from bench.graph.view import View

ROOT = Path(os.environ.get("BENCH_GOLDEN", "")) / "recommendation"
pytestmark = pytest.mark.skipif(
    not os.environ.get("BENCH_GOLDEN") or not ROOT.is_dir(), reason="$BENCH_GOLDEN/recommendation is absent"
)


def recorded(name):
    return np.load(ROOT / f"{name}.npz", allow_pickle=False)


@pytest.fixture(scope="module")
def data():
    arrays = recorded("dataset")

    def rows(split):
        return Interactions(arrays[split][:, 0].astype(np.int32), arrays[split][:, 1].astype(np.int32))

    def modality(name):
        features = arrays[name]
        return Modality(ModalityInfo("features", features.shape[1], None), features)

    return RecommendationData(
        name="golden",
        n_users=60,
        n_items=40,
        train=rows("train"),
        valid=rows("valid"),
        modalities={"image": modality("image_feat"), "text": modality("text_feat")},
    )


def assert_same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("file", "key", "eps"),
    [("mgcn", "norm_adj", 0.0), ("lightgcn", "norm_adj_matrix", 1e-7), ("freedom", "norm_adj", 1e-7)],
)
def test_user_item_graph_equals_the_recorded_one(data, file, key, eps):
    view = compile_view((Bipartite(), SymNorm(eps=eps)), data).view
    assert_same(view.dense().numpy(), recorded(file)[f"graph/{key}"])


def test_mgcn_user_item_block_equals_the_recorded_one(data):
    view = compile_view((Bipartite(), SymNorm()), data).view.block(slice(0, 60), slice(60, 100))
    assert_same(view.dense().numpy(), recorded("mgcn")["graph/R"])


@pytest.mark.parametrize("modality", ["image", "text"])
def test_mgcn_item_graph_equals_the_recorded_one(data, modality):
    view = compile_view((KNN(modality, k=10), SymNorm()), data).view
    assert_same(view.dense().numpy(), recorded("mgcn")[f"graph/{modality}_original_adj"])
    assert (view.indptr.diff() == 10).all()


def test_freedom_item_graph_equals_the_recorded_one(data):
    parts = tuple((KNN(name, k=10, weighted=False), SymNorm(eps=1e-7)) for name in ("image", "text"))
    view = compile_view((Merge(parts=parts, weights=(0.1, 0.9)),), data).view
    assert_same(view.dense().numpy(), recorded("freedom")["graph/mm_adj"])


def test_freedom_masked_graph_equals_the_recorded_one():
    golden = recorded("freedom")
    users, items = torch.from_numpy(golden["graph/kept_edges"])
    values = symmetric_norm(users, items, torch.ones(79, dtype=torch.float64), (60, 40), 1e-7, bipartite=True)
    rows, cols = torch.cat([users, items + 60]), torch.cat([items + 60, users])
    view = View.from_edges(rows, cols, values.repeat(2), (100, 100))
    assert_same(view.dense().numpy(), golden["graph/masked_adj"])


def test_freedom_sampling_weights_equal_the_recorded_ones():
    golden = recorded("freedom")
    users, items = torch.from_numpy(golden["graph/edge_list"])
    weights = symmetric_norm(users, items, torch.ones(400, dtype=torch.float64), (60, 40), 1e-7, bipartite=True)
    assert_same(weights.numpy(), golden["graph/edge_sampling_weight"])


def test_drop_edges_keeps_the_recorded_number_of_pairs(data):
    kept = compile_view((Bipartite(), DropEdges(keep=1 - 0.8)), data).view
    assert kept.n_edges == 2 * recorded("freedom")["graph/kept_edges"].shape[1]
