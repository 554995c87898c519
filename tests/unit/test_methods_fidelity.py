"""The briefs' cheap fidelity checks: counts, invariances and switches of the paper methods."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.graph.compile import compile_view
from bench.graph.view import View
from bench.methods.base import Context, PairBatch
from bench.methods.layers.losses import info_nce
from bench.methods.recommendation.befa import FeatureAdapter
from bench.methods.recommendation.mgcn import MGCN
from bench.methods.recommendation.vbpr import VBPR
from bench.testing.recommendation import build, default_config, small_world


def batch_of(data, n=64, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(data.train), size=n)
    users, pos = data.train.users[rows], data.train.items[rows]
    neg = rng.integers(data.n_items, size=n)
    return PairBatch(*(torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in (users, pos, neg)))


def scores(method, data):
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        return method.score(torch.arange(data.n_users))


def test_mgcn_has_the_published_number_of_parameters_on_baby():
    users, items = 19_445, 7_050
    one = Interactions(np.zeros(1, np.int32), np.zeros(1, np.int32))
    modalities = {
        name: Modality(ModalityInfo("features", dim, None), np.zeros((items, dim), np.float32))
        for name, dim in (("image", 4096), ("text", 384))
    }
    data = RecommendationData("baby", users, items, one, one, modalities, "")
    edge = torch.zeros(1, dtype=torch.int64)
    nodes = View.from_edges(edge, edge, torch.ones(1), (users + items, users + items))
    item_graph = View.from_edges(edge, edge, torch.ones(1), (items, items))
    method = MGCN(MGCN.Config(), Context(data, {"ui": nodes, "image": item_graph, "text": item_graph}))
    assert sum(parameter.numel() for parameter in method.parameters()) == 33_587_392
    frozen = MGCN(
        MGCN.Config(train_features=False), Context(data, {"ui": nodes, "image": item_graph, "text": item_graph})
    )
    trainable = sum(parameter.numel() for parameter in frozen.parameters() if parameter.requires_grad)
    assert trainable == 33_587_392 - 31_584_000


def test_every_row_of_mgcns_item_graphs_has_k_entries_with_the_item_itself():
    data = small_world()
    infos = {name: modality.info for name, modality in data.modalities.items()}
    pipelines = MGCN.views(MGCN.Config(k=6), infos)
    for name in data.modalities:
        view = compile_view(pipelines[name], data).view
        assert (view.indptr.diff() == 6).all()
        assert ((view.rows == view.indices).view(data.n_items, 6).sum(1) == 1).all()


def test_swapping_modalities_with_the_same_vectors_leaves_mgcns_scores():
    data = small_world()
    text = data.modalities["text"]
    data = dataclasses.replace(data, modalities={"image": text, "text": text}, digest="same-vectors")
    method = build({"method": "mgcn"}, data, dtype=torch.float64)
    before = scores(method, data)
    state = {key: value.clone() for key, value in method.state_dict().items()}
    swapped = {
        key.replace("image", "*").replace("text", "image").replace("*", "text"): value for key, value in state.items()
    }
    method.load_state_dict(swapped)
    torch.testing.assert_close(scores(method, data), before, rtol=1e-12, atol=1e-14)


def test_mgcns_fuser_divides_by_what_its_switch_says():
    data = small_world()
    config = default_config({"method": "mgcn"})
    code = build({"method": "mgcn"}, data, config=config | {"divide_all": True})
    paper = build({"method": "mgcn"}, data, config=config | {"divide_all": False})
    paper.load_state_dict(code.state_dict())
    behaviour = torch.randn(100, 64)
    modalities = [torch.randn(100, 64), torch.randn(100, 64)]
    # With E_s the shared part and S the gated sum, the code gives (S + E_s) / 3 and the other reading S / 2 + E_s.
    by_code, by_paper = code.fuse(modalities, behaviour), paper.fuse(modalities, behaviour)
    weights = torch.softmax(torch.cat([code.query(nodes) for nodes in modalities], 1), 1)
    shared = weights[:, :1] * modalities[0] + weights[:, 1:] * modalities[1]
    torch.testing.assert_close(by_paper, (3 * by_code - shared) / 2 + shared)


def test_frozen_features_get_no_gradient_and_trained_ones_do():
    data = small_world()
    for name in ("mgcn", "freedom"):
        config = default_config({"method": name})
        for trained in (True, False):
            method = build({"method": name}, data, config=config | {"train_features": trained})
            method.loss(batch_of(data)).total.backward()
            assert (method.content.raw["image"].grad is not None) is trained


def test_training_never_writes_to_the_data():
    data = small_world()
    before = {name: modality.features.copy() for name, modality in data.modalities.items()}
    method = build({"method": "mgcn"}, data)
    with torch.no_grad():
        method.content.raw["image"].add_(1.0)
    for name, modality in data.modalities.items():
        np.testing.assert_array_equal(modality.features, before[name])


def test_before_training_the_adapters_gate_is_strictly_between_0_and_1():
    """In training it may reach 1 in float32: test_befa_gates."""
    adapter = FeatureAdapter(8, 2, 0.5, torch.float64)
    gate = adapter(10 * torch.randn(500, 8, dtype=torch.float64))
    assert 0 < gate.min() < gate.max() < 1


def test_the_adapter_multiplies_by_the_item_embedding_unless_told_not_to():
    data = small_world()
    entry = {"method": "befa", "wrap": {"method": "vbpr"}}
    method = build(entry, data).eval()
    bare = build(entry, data, config=default_config(entry) | {"id_product": False}).eval()
    projected, items = torch.randn(5, 64), torch.randn(5, 64)
    gate = bare.adapt("content", projected, items)
    torch.testing.assert_close(method.adapt("content", projected, items), items * gate)


def test_mgcn_drops_its_purifier_under_the_adapter():
    data = small_world()
    adapted = build({"method": "befa", "wrap": {"method": "mgcn"}}, data)
    assert not [name for name, _ in adapted.named_parameters() if "gates" in name]
    adapted.loss(batch_of(data)).total.backward()
    assert all(parameter.grad is not None for parameter in adapted.parameters())


def test_freedom_trains_on_the_kept_share_of_edges_and_scores_on_all():
    data = small_world()
    method = build({"method": "freedom"}, data)
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for epoch in (1, 2):
        method.begin_epoch(epoch, generator)
        graphs.append(method.training_graph)
        assert method.training_graph.n_edges == 2 * int(len(data.train_pairs) * (1.0 - 0.8))
    assert not torch.equal(graphs[0].indices, graphs[1].indices)
    assert method.graph.n_edges == 2 * len(data.train_pairs)


@pytest.mark.parametrize("name", ["vbpr", "freedom", "mgcn"])
def test_a_loss_over_the_batchs_rows_equals_the_one_over_all_rows(name):
    """Only the rows of the batch are projected or fused; scores of everything give the same ranking loss."""
    data = small_world()
    method = build({"method": name}, data, dtype=torch.float64).train()
    batch = batch_of(data)
    part = method.loss(batch).parts["bpr"]
    users, items = method.represent()
    difference = (users[batch.users] * (items[batch.pos] - items[batch.neg])).sum(1)
    shifted = -torch.log(1e-10 + torch.sigmoid(difference)).mean()
    expected = shifted if name == "vbpr" else -F.logsigmoid(difference).mean()
    torch.testing.assert_close(part, expected, rtol=1e-12, atol=0)


def test_vbpr_takes_all_modalities_through_one_projection():
    data = small_world()
    method = VBPR(VBPR.Config(), Context(data))
    assert method.project.in_features == 24 + 12
    assert method.represent().users.shape == (data.n_users, 128)


@given(st.integers(1, 12), st.integers(1, 20), st.sampled_from([0.05, 0.2, 1.0]), st.integers(0, 2**31))
def test_contrastive_loss_equals_cross_entropy_over_repeated_rows(nodes, batch, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    a, p = (torch.randn(nodes, 5, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    rows = torch.randint(nodes, (batch,), generator=generator)
    logits = F.normalize(a[rows]) @ F.normalize(p[rows]).T / temperature
    expected = F.cross_entropy(logits, torch.arange(batch))
    found = info_nce(a, p, rows, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(found, [a, p]), torch.autograd.grad(expected, [a, p]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-11)
