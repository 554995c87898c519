"""The briefs' fidelity checks of the general recommenders: switches, invariances and what each batch trains."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.data.types import Modality
from bench.methods.base import Needs, PairBatch
from bench.methods.layers.histories import Histories
from bench.methods.recommendation.befa import BeFA
from bench.methods.recommendation.ld4mrec import collaborative_signal
from bench.methods.registry import METHODS
from bench.testing.recommendation import build, default_config, small_world

NEW = ("bm3", "diffmm", "diffrec", "grcn", "lattice", "ld4mrec", "mmgcn", "slmrec")


def made(name, data=None, *, dtype=torch.float64, wrap=None, **settings):
    data = data or small_world()
    entry = {"method": "befa", "wrap": {"method": name}} if wrap else {"method": name}
    config = default_config(entry)
    (config["wrapped"] if wrap else config).update(settings)
    return build(entry, data, config=config, dtype=dtype)


def pairs(data, n=64, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(data.train), size=n)
    parts = (data.train.users[rows], data.train.items[rows], rng.integers(data.n_items, size=n))
    return PairBatch(*(torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in parts))


def wake_blocks(method):
    """LD4MRec's blocks begin as the identity, through which their conditions get no gradient."""
    for block in (*method.behaviour_blocks, *method.preference_blocks):
        torch.nn.init.normal_(block.second.weight)


def scores(method):
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        return method.score(torch.arange(method.n_users))


@pytest.mark.parametrize("name", [name for name in NEW if METHODS.get(name).needs != Needs()])
def test_any_number_of_modalities_from_what_is_needed_on(name):
    data = small_world()
    vectors = np.random.default_rng(0).normal(size=(data.n_items, 7)).astype(np.float32)
    info = data.modalities["text"].info._replace(dim=7)
    three = {**data.modalities, "audio": Modality(info, vectors)}
    least = METHODS.get(name).needs.at_least
    for count in (least, 3):
        chosen = dict(list(three.items())[:count])
        found = scores(made(name, dataclasses.replace(data, modalities=chosen, digest=f"{count}-modalities")))
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", [name for name in NEW if name != "diffrec"])
def test_the_adapter_takes_every_method_that_consumes_content(name):
    assert BeFA.compatible(METHODS.get(name)) is None
    data = small_world()
    method = made(name, data, wrap=True)
    batch = pairs(data)
    if name == "ld4mrec":
        batch = method.wrapped.batch_of(torch.arange(9))
        wake_blocks(method.wrapped)
    method.loss(batch).total.backward()
    for key, parameter in method.adapters.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), key


def test_diffrec_consumes_no_content():
    assert BeFA.compatible(METHODS.get("diffrec")) is not None


def test_lattice_trains_its_features_on_the_first_batch_of_an_epoch_alone():
    data = small_world()
    method = made("lattice", data)
    for epoch in (1, 2):
        method.begin_epoch(epoch, torch.Generator())
        for number in range(3):
            method.zero_grad()
            method.loss(pairs(data, seed=number)).total.backward()
            assert (method.content.raw["image"].grad is not None) is (number == 0)
            assert method.items.grad is not None


def test_lattice_learned_graph_keeps_k_entries_per_modality_with_the_item_itself():
    data = small_world()
    method = made("lattice", data, k=5, original=0.0)
    learned = method.learn_graph()
    dense = torch.zeros(data.n_items, data.n_items, dtype=torch.float64)
    dense[learned.pattern.rows, learned.pattern.indices.long()] = learned.weights.detach()
    kept = (dense > 0).sum(1)
    assert kept.min() >= 5 and kept.max() <= 10
    assert (dense.diagonal() > 0).all()


def test_lattice_stays_finite_where_near_items_have_negative_cosines():
    data = small_world(items=6, groups=2)
    rng = np.random.default_rng(0)
    signed = {
        name: Modality(modality.info, rng.normal(size=modality.features.shape).astype(np.float32))
        for name, modality in data.modalities.items()
    }
    method = made("lattice", dataclasses.replace(data, modalities=signed, digest="signed"), k=6)
    method.begin_epoch(1, torch.Generator())
    total = method.loss(pairs(data)).total
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters() if parameter.grad is not None)


def test_mmgcn_trains_ids_and_preferences_only_when_told_to_and_saves_them_anyway():
    frozen, trained = made("mmgcn"), made("mmgcn", register_embeddings=True)
    for name in ("users", "items", "towers.image.preference", "towers.text.preference"):
        assert not dict(frozen.named_parameters())[name].requires_grad
        assert dict(trained.named_parameters())[name].requires_grad
        assert name in frozen.state_dict()


def test_mmgcn_reduces_every_modality_to_d_under_an_adapter():
    bare, adapted = made("mmgcn"), made("mmgcn", wrap=True).wrapped
    assert [bare.towers[name].preference.shape[1] for name in ("image", "text")] == [256, 12]
    assert [adapted.towers[name].preference.shape[1] for name in ("image", "text")] == [64, 64]


def test_grcn_routing_changes_nothing_unless_users_hear_their_items():
    data = small_world()
    one, three = made("grcn", data, routing=1), made("grcn", data, routing=3)
    assert torch.equal(scores(one), scores(three))
    moved = [made("grcn", data, routing=steps, route_to_users=True) for steps in (1, 3)]
    assert not torch.allclose(scores(moved[0]), scores(moved[1]))
    assert not torch.allclose(scores(moved[0]), scores(one))


def test_negatives_play_no_part_in_bm3_and_slmrec():
    data = small_world()
    batch = pairs(data)
    for name in ("bm3", "slmrec"):
        method = made(name, data).eval()
        assert torch.equal(method.loss(batch).total, method.loss(batch._replace(neg=batch.neg.flip(0))).total)


def diffmm_epoch(method, data, epoch=1):
    method.train()
    method.begin_epoch(epoch, torch.Generator().manual_seed(epoch))
    names = []
    for number in range(2):
        for name, loss in method.steps(pairs(data, seed=number)):
            assert torch.isfinite(loss.total)
            names.append(name)
    return names


def test_diffmm_trains_its_denoisers_once_an_epoch_before_the_recommender():
    data = small_world()
    method = made("diffmm", data, batch_size=25, hidden=8)
    # 60 users in batches of 25, two modalities, then two batches of the recommender.
    assert diffmm_epoch(method, data) == ["denoise_image", "denoise_text"] * 3 + ["", ""]
    groups = method.groups()
    owned = [id(parameter) for group in groups.values() for parameter in group.parameters]
    assert sorted(owned) == sorted(id(parameter) for parameter in method.parameters())
    for view in method.modal_graphs.values():
        assert torch.isfinite(view.values).all()


def test_diffmm_scores_loaded_weights_on_the_graphs_saved_with_them():
    data = small_world()
    method = made("diffmm", data, hidden=8)
    diffmm_epoch(method, data)
    saved = {name: value.clone() for name, value in method.state_dict().items()}
    before = scores(method)
    diffmm_epoch(method, data, epoch=2)
    assert not torch.allclose(scores(method), before)
    method.load_state_dict(saved)
    torch.testing.assert_close(scores(method), before)


def test_diffmm_drops_the_share_of_edges_it_is_told_and_scales_the_rest():
    data = small_world()
    whole, half = (made("diffmm", data, hidden=8, keep_edges=keep) for keep in (1.0, 0.5))
    for method in (whole, half):
        diffmm_epoch(method, data)
    edges = [sum(view.n_edges for view in method.modal_graphs.values()) for method in (whole, half)]
    assert edges[1] / edges[0] == pytest.approx(0.5, abs=0.1)
    assert edges[0] == 2 * (2 * data.n_users + data.n_users + data.n_items)


def test_diffmm_refuses_a_training_that_never_reaches_its_denoisers():
    data = small_world()
    method = made("diffmm", data, hidden=8)
    method.begin_epoch(1, torch.Generator())
    method.loss(pairs(data))
    with pytest.raises(TypeError, match="steps"):
        method.begin_epoch(2, torch.Generator())


PLAIN = {"collaborative": False, "preference": False, "smoothing": 0.0, "noise_scale": 0.0, "steps": 1}


def test_ld4mrec_without_noise_conditions_and_softening_is_an_autoencoder():
    method = made("ld4mrec", **PLAIN).eval()
    batch = method.batch_of(torch.arange(20))
    clean = batch.dense(method.n_items, torch.float64)
    with torch.no_grad():
        # Step 0 and t_in begin as the same time.
        expected = F.mse_loss(scores(method)[:20], clean)
        torch.testing.assert_close(method.loss(batch).total, expected)


def ld4mrec_overlap(*, updates=150, **settings):
    """Mean share of the five best unseen items on which one pass and all T reverse steps agree."""
    data = small_world()
    unsoftened = {"collaborative": False, "preference": False, "smoothing": 0.0, "hidden": 64}
    method = made("ld4mrec", data, dtype=torch.float32, noise_max=0.99, **unsoftened, **settings)
    everyone = method.batch_of(torch.arange(data.n_users))
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    torch.manual_seed(0)
    for _ in range(updates):
        optimiser.zero_grad()
        method.train().loss(everyone).total.backward()
        optimiser.step()
    taken = everyone.dense(data.n_items, torch.bool)
    best = []
    for steps in (1, method.config.steps + 1):  # more than 1 asks for reverse steps, of which there are T at most
        method.config = method.config.model_copy(update={"inference_steps": steps})
        best.append(scores(method).masked_fill(taken, -torch.inf).topk(5, dim=1).indices)
    return (best[0][:, :, None] == best[1][:, None, :]).any(2).float().mean().item()


def test_ld4mrec_trained_in_one_step_ranks_in_one_pass_as_by_that_step_once_noise_vanishes():
    # By chance, five of about thirty unseen items agree to a sixth.
    found = [ld4mrec_overlap(steps=1, noise_min=0.99, noise_scale=scale) for scale in (1.0, 1e-4)]
    assert found[0] < 0.6 and found[1] > 0.95


def test_ld4mrec_trained_in_several_steps_ranks_much_alike_in_one_pass_but_not_the_same_without_noise():
    trained, untrained = (ld4mrec_overlap(steps=5, noise_min=0.2, noise_scale=1e-4, updates=n) for n in (150, 0))
    assert untrained < 0.55 < 0.75 < trained < 0.96


def test_ld4mrec_reverse_steps_keep_their_weights_as_noise_vanishes():
    """Why T > 1 does not become one pass: the mean of q(x_{t-1} | x_t, x_0) depends on a_{t-1} / a_t, not on s."""
    levels = np.linspace(0.2, 0.99, 5)
    share = levels[:-1] / levels[1:]
    for scale in (1e-4, 1e-8):
        schedule = made("ld4mrec", steps=5, noise_min=0.2, noise_max=0.99, noise_scale=scale).schedule
        np.testing.assert_allclose(schedule.back.numpy(), [0.0, *share], atol=2 * scale + 1e-7)
        np.testing.assert_allclose(schedule.keep.numpy(), [1.0, *(1 - share)], atol=2 * scale + 1e-7)


def test_ld4mrec_takes_at_most_the_steps_it_was_trained_with():
    data = small_world()
    found = {}
    for steps in (1, 2, 5, 9):
        method = made("ld4mrec", data, steps=5, inference_steps=steps)
        found[steps] = scores(method)
    assert torch.equal(found[5], found[9])
    assert not torch.allclose(found[2], found[5]) and not torch.allclose(found[1], found[5])


def test_ld4mrec_conditions_follow_their_formulas():
    data = small_world()
    method = made("ld4mrec", data, rank=5)
    matrix = Histories.of(data).matrix(data.n_items).toarray()
    left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    signal = collaborative_signal(data, 5).numpy()
    np.testing.assert_allclose(np.abs(signal), np.abs(left[:, :5] * np.sqrt(values[:5])), atol=1e-8)
    np.testing.assert_allclose(signal @ signal.T, left[:, :5] * values[:5] @ left[:, :5].T, atol=1e-8)
    assert collaborative_signal(data, 500).shape == (data.n_users, data.n_items - 1)
    degree = np.maximum(matrix.sum(0), 1)
    shares = matrix / np.sqrt(matrix.sum(1, keepdims=True) * degree)
    expected = 0.0
    for name, modality in data.modalities.items():
        unit = F.normalize(torch.from_numpy(modality.features).double())
        expected = expected + 0.5 * method.project[name](torch.from_numpy(shares) @ unit)
    batch = method.batch_of(torch.arange(data.n_users))
    torch.testing.assert_close(method.preferences(batch), expected)


def test_ld4mrec_softens_the_share_of_rows_it_is_told():
    clean = (torch.rand(4000, 5, dtype=torch.float64) < 0.5).double()
    for entries in (False, True):
        method = made("ld4mrec", soften=0.3, smoothing=0.1, soften_entries=entries)
        changed = (method.target(clean) - clean).abs()
        assert set(changed.flatten().mul(1e6).round().unique().tolist()) == {0.0, 1e5}
        assert changed.gt(0).double().mean().item() == pytest.approx(0.3, abs=0.03)
        assert bool((changed.gt(0).sum(1) % 5 == 0).all()) is not entries


def test_ld4mrec_trains_its_observed_time():
    method = made("ld4mrec")
    torch.manual_seed(0)
    wake_blocks(method)
    method.loss(method.batch_of(torch.arange(60))).total.backward()
    assert bool(method.time_in.grad.any())
