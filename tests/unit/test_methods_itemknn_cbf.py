"""ItemKNN-CBF against a hand-computed example and a dense computation, and what its definition makes of content."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.methods.base import Context
from bench.methods.recommendation.itemknn_cbf import ItemKNNCBF
from bench.testing.cold_start import small_world as cold_world
from bench.testing.recommendation import small_world


def world_of(pairs, n_users, *tables):
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    empty = Interactions(np.zeros(0, np.int32), np.zeros(0, np.int32))
    modalities = {}
    for name, table in zip(("image", "text", "audio"), tables, strict=False):
        rows = np.asarray(table, dtype=np.float32)
        modalities[name] = Modality(ModalityInfo("features", rows.shape[1], None), rows)
    return RecommendationData("made-up", n_users, len(tables[0]), Interactions(users, items), empty, modalities)


def fitted(data, *, dtype=torch.float64, **values):
    method = ItemKNNCBF(ItemKNNCBF.Config.with_values(values), Context(data, dtype=dtype))
    method.fit()
    method.begin_scoring()
    return method


def all_scores(method):
    return method.score(torch.arange(method.n_users)).numpy()


def dense_scores(data, k, shrink):
    """R · S with S dense: all similarities of a row, then all but the k best of it set to 0."""
    x = np.hstack([modality.features.astype(np.float64) for modality in data.modalities.values()])
    norms = np.sqrt((x**2).sum(1))
    under = np.outer(norms, norms) + shrink
    similar = np.divide(x @ x.T, under, out=np.zeros_like(under), where=under > 0)
    kept = np.argsort(-similar, axis=1, kind="stable")[:, :k]
    s = np.zeros_like(similar)
    np.put_along_axis(s, kept, np.take_along_axis(similar, kept, axis=1), axis=1)
    r = np.zeros((data.n_users, data.n_items))
    r[data.train.users, data.train.items] = 1.0
    return r @ s


# One-number images and texts: x = (3, 4), (6, 8), (0, 5), (4, -3); lengths 5, 10, 5, 5.
IMAGE, TEXT = [[3], [6], [0], [4]], [[4], [8], [5], [-3]]


def test_worked_example():
    # Products: ab 50, ac 20, ad 0, aa 25, bb 100, bc 40. With shrink 10: aa 25/35, ab 50/60, ac 20/35, bb 100/110.
    scores = all_scores(fitted(world_of([(0, 0), (1, 1), (2, 0), (2, 1)], 3, IMAGE, TEXT), k=2))
    a, b = [25 / 35, 50 / 60, 0, 0], [50 / 60, 100 / 110, 0, 0]
    assert scores == pytest.approx(np.array([a, b, np.add(a, b)]), abs=1e-12)


def test_neighbours_are_those_of_what_was_taken_not_of_what_is_recommended():
    # k = 1 without shrink: c's nearest is c; d's is d. b is nearest to a and a to b alike (1), so the lower id stays.
    scores = all_scores(fitted(world_of([(0, 0), (1, 1), (2, 2), (3, 3)], 4, IMAGE, TEXT), k=1, shrink=0.0))
    assert scores == pytest.approx(np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), abs=1e-12)
    # With k = 2, c's list holds a (.8, the lower id of a and b); nobody's list but c's and d's own holds c or d.
    two = all_scores(fitted(world_of([(0, 2), (1, 0)], 2, IMAGE, TEXT), k=2, shrink=0.0))
    assert two == pytest.approx(np.array([[0.8, 0, 1, 0], [1, 1, 0, 0]]), abs=1e-12)


def test_the_item_itself_takes_one_of_the_places():
    method = fitted(small_world(), k=5)
    own = (method.neighbours == torch.arange(method.n_items)[:, None]).sum(1)
    assert own.tolist() == [1] * method.n_items and bool((method.similarities != 0).all())


def test_the_modality_of_longer_vectors_decides():
    """Nothing is scaled: item 0 is like 1 by image, like 2 by text."""
    image, text = [[1, 0], [1, 0], [0, 1]], [[0, 1], [1, 0], [0, 1]]
    found = {}
    for factor in (0.1, 10.0):
        world = world_of([(0, 0)], 1, np.multiply(factor, image), text)
        scores = all_scores(fitted(world, k=3, shrink=0.0))[0]
        found[factor] = int(scores[1:].argmax()) + 1
    assert found == {0.1: 2, 10.0: 1}


@st.composite
def worlds(draw):
    """Small whole numbers, so that products are exact and ties are ties."""
    n_users, n_items, count = draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    cells = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    pairs = draw(st.lists(cells, min_size=1, max_size=20))
    numbers = st.lists(st.integers(-3, 3), min_size=2, max_size=2)
    tables = [draw(st.lists(numbers, min_size=n_items, max_size=n_items)) for _ in range(count)]
    return world_of(pairs, n_users, *tables)


@settings(max_examples=80)
@given(worlds(), st.integers(1, 12), st.sampled_from([0.0, 1.0, 10.0]))
def test_it_equals_the_dense_computation(data, k, shrink):
    """Items without content, repeated rows, negative similarities and fewer than k items included."""
    method = fitted(data, k=k, shrink=shrink)
    similar = np.sort(method.similarities.numpy(), axis=1)[:, ::-1]
    assert np.isfinite(similar).all() and similar.shape == (data.n_items, min(k, data.n_items))
    x = np.hstack([modality.features.astype(np.float64) for modality in data.modalities.values()])
    under = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1)) + shrink
    best = -np.sort(-np.divide(x @ x.T, under, out=np.zeros_like(under), where=under > 0), axis=1)
    np.testing.assert_allclose(similar, best[:, : similar.shape[1]], atol=1e-12)


def real_valued(users=40, items=300, seed=0):
    rng = np.random.default_rng(seed)
    pairs = np.stack(np.divmod(rng.choice(users * items, size=800, replace=False), items), axis=1)
    return world_of(pairs.tolist(), users, rng.normal(size=(items, 12)), 3 * rng.random((items, 5)))


@pytest.mark.parametrize(("k", "shrink"), [(10, 10.0), (50, 0.0), (1000, 100.0)])
def test_scores_equal_history_times_the_kept_similarities(k, shrink):
    data = real_valued()
    assert all_scores(fitted(data, k=k, shrink=shrink)) == pytest.approx(dense_scores(data, k, shrink), abs=1e-10)


def test_blocks_of_items_join_without_a_seam(monkeypatch):
    data = real_valued()
    whole = fitted(data)
    monkeypatch.setattr("bench.methods.recommendation.itemknn_cbf.BLOCK", 7)
    split = fitted(data)
    assert torch.equal(whole.neighbours, split.neighbours)
    np.testing.assert_allclose(all_scores(split), all_scores(whole), atol=1e-12)


def test_an_item_nobody_took_is_recommended_by_its_content():
    data = cold_world()
    scores = all_scores(fitted(data))
    taste = np.arange(data.n_items) % 4
    cold = ~data.warm
    own = np.array([row[cold & (taste == user % 4)].mean() for user, row in enumerate(scores)])
    others = np.array([row[cold & (taste != user % 4)].mean() for user, row in enumerate(scores)])
    assert (own > others).all()


def test_nothing_of_items_times_items_is_kept():
    method = fitted(small_world(users=61, items=43), k=7)
    assert [tuple(value.shape) for value in method.state_dict().values()] == [(43, 7), (43, 7)]
    assert method._matrix.nnz == 43 * 7


def test_a_dataset_without_content_is_refused_and_derived_vectors_are_read_as_by_every_method():
    assert "at least 1 modalities" in ItemKNNCBF.needs.missing("bare", {})
    derived = {"image": ModalityInfo("features", 64, "spectral64(neighbours)")}
    assert ItemKNNCBF.needs.missing("baby", derived) is None
    data = small_world()
    vectors = data.modalities["image"]
    relabelled = dataclasses.replace(
        data, modalities={"image": Modality(vectors.info._replace(derived="made"), vectors.features)}
    )
    alone = dataclasses.replace(data, modalities={"image": vectors})
    assert np.array_equal(all_scores(fitted(relabelled)), all_scores(fitted(alone)))


@pytest.mark.parametrize("values", [{"k": 0}, {"shrink": -1.0}])
def test_config_refuses_values_out_of_bounds(values):
    with pytest.raises(ValidationError):
        ItemKNNCBF.Config.with_values(values)


def test_the_search_space_holds_the_published_values():
    config = ItemKNNCBF.Config()
    assert (config.k, config.shrink) == (10, 10.0)
    assert all(domain.contains(getattr(config, name)) for name, domain in ItemKNNCBF.Config.space().items())
    assert set(ItemKNNCBF.Config.space()) == {"k", "shrink"}
