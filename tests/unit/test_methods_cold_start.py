from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.types import Modality, ModalityInfo
from bench.methods.base import Context
from bench.methods.cold_start.content_knn import ContentKNN
from bench.methods.cold_start.dropoutnet import CLIP, DropoutNet
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch
from bench.methods.layers.wmf import weighted_factors
from bench.testing.cold_start import scores_of, small_world


def dense_history(data):
    matrix = np.zeros((data.n_users, data.n_items))
    matrix[data.train.users, data.train.items] = 1.0
    return matrix


def two_modalities(data):
    text = np.random.default_rng(5).normal(size=(data.n_items, 7)).astype(np.float32)
    text[9] = text[data.warm].mean(axis=0)  # an item without content of its own
    modality = Modality(ModalityInfo("features", 7, None), text)
    return replace(data, modalities={**data.modalities, "text": modality})


@pytest.mark.parametrize(("k", "centre"), [(3, True), (5, False), (100, True)])
def test_content_knn_sums_cosines_to_what_the_user_took(k, centre):
    data = two_modalities(small_world())
    method = ContentKNN(ContentKNN.Config(k=k, centre=centre), Context(data, {}, torch.float64))
    method.fit()
    similar = np.zeros((data.n_items, data.n_items))
    for modality in data.modalities.values():
        vectors = modality.features.astype(np.float64)
        vectors = vectors - vectors[data.warm].mean(axis=0) if centre else vectors
        for i in range(data.n_items):
            for j in range(data.n_items):
                lengths = np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j])
                similar[i, j] += vectors[i] @ vectors[j] / lengths / 2 if lengths > 1e-5 else 0.0
    expected = np.zeros((data.n_users, data.n_items))
    history = dense_history(data)
    for i in range(data.n_items):
        others = [j for j in range(data.n_items) if data.warm[j] and j != i]
        nearest = sorted(others, key=lambda j, i=i: -similar[i, j])[:k]
        for j in nearest:
            expected[:, i] += history[:, j] * max(similar[i, j], 0.0)
    assert scores_of(method).numpy() == pytest.approx(expected, abs=1e-5)


def test_content_knn_has_no_cold_neighbours_and_never_the_item_itself():
    data = small_world()
    method = ContentKNN(ContentKNN.Config(k=8), Context(data))
    method.fit()
    kept = method.similarities > 0
    assert data.warm[method.neighbours[kept].numpy()].all()
    assert not (method.neighbours == torch.arange(data.n_items)[:, None])[kept].any()


def test_weighted_factors_equal_dense_alternating_least_squares():
    data = small_world()
    history = dense_history(data)
    dim, alpha, reg = 5, 7.0, 2.0
    found = weighted_factors(
        Histories.of(data),
        data.n_items,
        dim=dim,
        confidence=alpha,
        reg=reg,
        iterations=3,
        generator=torch.Generator().manual_seed(4),
        dtype=torch.float64,
    )
    start = torch.randn(data.n_items, dim, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    items, users = 0.01 * start.numpy(), np.zeros((data.n_users, dim))
    for _ in range(3):
        for rows, other, matrix in ((users, items, history), (items, users, history.T)):
            for row in range(len(rows)):
                weights = np.diag(1.0 + alpha * matrix[row])
                rows[row] = np.linalg.solve(
                    other.T @ weights @ other + reg * np.eye(dim), other.T @ weights @ matrix[row]
                )
    assert found.users.numpy() == pytest.approx(users, abs=1e-9)
    assert found.items.numpy() == pytest.approx(items, abs=1e-9)
    assert (found.items[~data.warm] == 0).all(), "an item nobody took has no preference vector"


def trained_inputs(**config):
    data = small_world()
    method = DropoutNet(DropoutNet.Config(dim=6, hidden=16, **config), Context(data, {}, torch.float64))
    method.begin_epoch(1, torch.Generator().manual_seed(0))
    return data, method


def test_preference_inputs_are_standardised_over_what_is_known_and_zero_for_cold_items():
    data, method = trained_inputs()
    inputs = method._standardised_factors()
    raw = method.item_factors[data.warm]
    expected = ((raw - raw.mean(0)) / raw.std(0, correction=0)).clamp(-CLIP, CLIP)
    torch.testing.assert_close(inputs.items[data.warm], expected)
    assert (inputs.items[~data.warm] == 0).all()


def test_a_cold_item_is_scored_by_its_content_alone():
    data, method = trained_inputs()
    before = scores_of(method)
    with torch.no_grad():
        method.item_factors[~torch.from_numpy(data.warm)] = 100.0
    assert torch.equal(scores_of(method), before)
    with torch.no_grad():
        method.content[~torch.from_numpy(data.warm)] *= -1.0
    after = scores_of(method)
    assert torch.equal(after[:, data.warm], before[:, data.warm])
    assert not torch.isclose(after[:, ~data.warm], before[:, ~data.warm], atol=0.0).any()


def test_pairs_are_a_users_best_warm_items_and_random_warm_ones():
    data, method = trained_inputs(best=4, pairs=10)
    users, items = method._pairs(torch.tensor([3, 8]))
    assert users.tolist() == [3] * 20 + [8] * 20
    assert data.warm[items.numpy()].all()
    scores = (method.user_factors @ method.item_factors.T).numpy()
    for place, user in ((0, 3), (20, 8)):
        best = sorted(np.flatnonzero(data.warm), key=lambda item, user=user: -scores[user, item])[:4]
        assert set(items[place : place + 10].tolist()) <= set(best)
        assert not set(items[place + 10 : place + 20].tolist()) <= set(best)


@pytest.mark.parametrize(("share", "dropped"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_the_share_of_rows_that_lose_their_preference_is_exact(share, dropped):
    _, method = trained_inputs(dropout=share)
    rows = method._with_zeros(torch.ones(40, 3, dtype=torch.float64))
    assert int((rows == 0).all(1).sum()) == dropped and int((rows == 1).all(1).sum()) == 40 - dropped


def test_the_loss_is_the_squared_distance_to_the_factorisation():
    data, method = trained_inputs(dropout=0.0, pairs=4)
    method.eval()
    histories = Histories.of(data)
    torch.manual_seed(1)
    loss = method.loss(HistoryBatch(torch.arange(5), histories.select(torch.arange(5)))).total
    torch.manual_seed(1)
    users, items = method._pairs(torch.arange(5))
    made, wanted = scores_of(method), method.user_factors @ method.item_factors.T
    torch.testing.assert_close(loss, (made[users, items] - wanted[users, items]).square().mean())


def test_factors_are_computed_once_and_kept_with_the_weights():
    data, method = trained_inputs()
    kept = method.item_factors.clone()
    method.begin_epoch(2, torch.Generator().manual_seed(99))
    assert torch.equal(method.item_factors, kept)
    fresh = DropoutNet(method.config, Context(data, {}, torch.float64))
    fresh.load_state_dict(method.state_dict())
    fresh.begin_epoch(5, torch.Generator().manual_seed(99))
    assert torch.equal(fresh.item_factors, kept) and bool(fresh.factorised)
