"""AMR and DeepStyle against their formulas written out row by row, and the optimiser that AMR was published with."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from training_kills import train_until_killed

from bench.data.types import Modality, ModalityInfo
from bench.methods.base import Context, GradientConfig, Group, Loss, Method, PairBatch
from bench.methods.layers.visual import add_content, read_modalities, visual_clusters
from bench.tasks.recommendation import TASK
from bench.testing.cold_start import ColdStartContract
from bench.testing.recommendation import CPU, build, default_config, fit, small_world
from bench.training.loop import Settings, train
from bench.training.optimise import Optimisers


def made(name, data=None, *, dtype=torch.float64, **settings):
    config = default_config({"method": name}) | settings
    return build({"method": name}, data or small_world(), config=config, dtype=dtype)


def one_world(data):
    """The small world with its images alone."""
    return dataclasses.replace(data, modalities={"image": data.modalities["image"]}, digest="image-alone")


# Item 4 is the positive of one row and the negative of another, item 9 occurs twice on one side.
BATCH = PairBatch(torch.tensor([0, 1, 2, 0]), torch.tensor([4, 9, 9, 7]), torch.tensor([5, 4, 11, 5]))


def softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


def rows_of(*tables):
    return [table.detach().numpy() for table in tables]


def hand_delta(method, batch):
    """ε Γ / ‖Γ‖ item by item: Γ_i sums ∓σ(s⁻ − s⁺) Φ p_u over the rows in which the item is positive or negative."""
    users, items, projection, features = rows_of(method.users, method.items, method.projection, method.features)
    gradient = np.zeros_like(features)
    for user, pos, neg in zip(*(column.tolist() for column in batch), strict=True):
        scores = {item: users[user] @ (items[item] + features[item] @ projection) for item in (pos, neg)}
        slope = 1 / (1 + math.exp(scores[pos] - scores[neg]))
        gradient[pos] -= slope * (projection @ users[user])
        gradient[neg] += slope * (projection @ users[user])
    norms = np.linalg.norm(gradient, axis=1, keepdims=True)
    return method.config.epsilon * np.divide(gradient, norms, out=np.zeros_like(gradient), where=norms > 0)


def woken(name, **settings):
    """A method whose tables are far from 0, so that no term is too small to matter."""
    method = made(name, one_world(small_world()), dim=5, **settings)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.5)
    return method


def test_amr_scales_features_by_their_largest_entry_and_adds_them_to_the_item():
    data = one_world(small_world())
    method = made("amr", data, dim=5)
    raw = data.modalities["image"].features.astype(np.float64)
    np.testing.assert_allclose(method.features.numpy(), raw / np.abs(raw).max())
    users, items, projection = rows_of(method.users, method.items, method.projection)
    expected = users[3] @ (items[8] + (raw[8] / np.abs(raw).max()) @ projection)
    assert method.score(torch.tensor([3]))[0, 8].item() == pytest.approx(expected, rel=1e-12)
    assert np.abs(users).max() <= 0.02 and users.std() == pytest.approx(0.0088, abs=0.001)


def test_amr_moves_features_along_the_gradient_summed_over_the_batch():
    method = woken("amr", epsilon=0.3)
    rows = torch.cat([BATCH.pos, BATCH.neg]).unique()
    expected = hand_delta(method, BATCH)
    found = {}

    def keep(ranking, features, own=method.perturbation):
        found["delta"] = own(ranking, features)
        return found["delta"]

    method.perturbation = keep
    method.loss(BATCH)
    np.testing.assert_allclose(found["delta"].numpy(), expected[rows.numpy()], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found["delta"], axis=1), 0.3)
    assert not found["delta"].requires_grad


def hand_amr(method, batch, delta):
    config = method.config
    users, items, projection, features = rows_of(method.users, method.items, method.projection, method.features)
    sums = dict.fromkeys(("bpr", "adversarial", "reg"), 0.0)
    for user, pos, neg in zip(*(column.tolist() for column in batch), strict=True):
        plain = {item: items[item] + features[item] @ projection for item in (pos, neg)}
        moved = {item: items[item] + (features[item] + delta[item]) @ projection for item in (pos, neg)}
        sums["bpr"] += softplus(users[user] @ plain[neg] - users[user] @ plain[pos])
        sums["adversarial"] += softplus(users[user] @ moved[neg] - users[user] @ moved[pos])
        sums["reg"] += config.user_reg * (users[user] ** 2).sum()
        sums["reg"] += config.item_reg * ((plain[pos] ** 2).sum() + (plain[neg] ** 2).sum())
    sums["reg"] += config.projection_reg * (projection**2).sum()
    return sums


def test_amr_loss_is_the_sum_of_its_terms_row_by_row():
    method = woken("amr", epsilon=0.3, adversary=0.7, user_reg=0.2, item_reg=0.05, projection_reg=0.01)
    expected = hand_amr(method, BATCH, hand_delta(method, BATCH))
    loss = method.loss(BATCH)
    for name, value in expected.items():
        assert loss.parts[name].item() == pytest.approx(value, rel=1e-10)
    total = expected["bpr"] + 0.7 * expected["adversarial"] + expected["reg"]
    assert loss.total.item() == pytest.approx(total, rel=1e-10)
    assert expected["adversarial"] > expected["bpr"]


def test_amr_differentiates_its_loss_with_the_perturbation_held_still():
    method = woken("amr", epsilon=0.5)
    delta = hand_delta(method, BATCH)
    loss = method.loss(BATCH)
    loss.total.backward()

    def total(shifted):
        with torch.no_grad():
            method.projection[2, 3] += shifted
            sums = hand_amr(method, BATCH, delta)
            method.projection[2, 3] -= shifted
        return sums["bpr"] + sums["adversarial"] + sums["reg"]

    slope = (total(1e-5) - total(-1e-5)) / 2e-5
    assert method.projection.grad[2, 3].item() == pytest.approx(slope, rel=1e-6)


def test_amr_meets_its_adversary_after_the_plain_epochs():
    data = small_world()
    method = made("amr", data, plain_epochs=2, batch_size=64, dtype=torch.float32)
    curve = fit(method, data, epochs=4).curve
    assert ["loss/adversarial" in point.values for point in curve] == [False, False, True, True]


def test_amr_takes_one_adagrad_step_with_a_step_size_for_each_table():
    data = small_world()
    settings = {"lr": 0.3, "item_lr": 0.02, "projection_lr": 0.005, "batch_size": 10_000, "epsilon": 0.2}
    method, copy = (made("amr", data, **settings) for _ in range(2))
    batches = []

    class Kept:
        batches = staticmethod(lambda *args, **kwargs: keep(TASK.batches(*args, **kwargs)))
        validate = TASK.validate

    def keep(source):
        batches.append(next(iter(source.epoch())))
        source.epoch = lambda: iter(batches)
        return source

    one = Settings(epochs=1, patience=None, select="recall@5", maximize=True, metrics=("recall@5",), seed=0)
    train(method, data, Kept(), one, device=CPU)
    copy.loss(batches[0]).total.backward()
    for name, rate in {"users": 0.3, "items": 0.02, "projection": 0.005}.items():
        start = getattr(copy, name)
        expected = start - rate * start.grad / (0.1 + start.grad**2).sqrt()
        torch.testing.assert_close(getattr(method, name).data, expected.detach(), rtol=1e-9, atol=1e-12)


class Pair(Method):
    """Two weights of one optimiser, the first with a step size of its own."""

    def __init__(self, adagrad=None):
        super().__init__(GradientConfig(), Context(None))
        self.config = GradientConfig()
        self.a, self.b = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
        self.adagrad = adagrad

    def groups(self):
        return {"": Group([self.a, self.b], lr=0.01, rates=(0.2,), adagrad=self.adagrad)}

    def loss(self, batch):
        return Loss((self.a - 3).square().sum() + (self.b - 3).square().sum())


class Scripted:
    """A task with one empty batch an epoch."""

    def batches(self, data, **kwargs):
        return type("One", (), {"epoch": lambda self: iter([None])})()

    def validate(self, method, data, metrics):
        return {"recall@5": float(method.a.detach())}


def test_parameters_past_the_given_step_sizes_take_the_groups():
    method = Pair()
    one = Settings(epochs=1, patience=None, select="recall@5", maximize=True, metrics=("recall@5",), seed=0)
    train(method, None, Scripted(), one, device=CPU)
    assert [method.a.item(), method.b.item()] == pytest.approx([0.2, 0.01])


def test_the_weights_of_an_adapter_join_the_optimiser_of_the_method_it_wraps():
    entry = {"method": "befa", "wrap": {"method": "amr"}}
    method = build(entry, small_world())
    group = method.groups()[""]
    own = {id(parameter) for parameter in method.adapters.parameters()}
    assert [id(parameter) in own for parameter in group.parameters] == [False] * 3 + [True] * len(own)
    optimisers = Optimisers(method, method.wrapped.config, 1, __import__("lightning_fabric").Fabric(accelerator="cpu"))
    rates = [one["lr"] for one in optimisers.state()[""]["param_groups"]]
    assert rates == [1e-2, 1e-2, 1e-2] + [1e-2] * len(own)


def test_a_training_with_adagrad_resumes_with_its_sums(tmp_path):
    def going(path=None):
        return Settings(
            epochs=4,
            patience=None,
            select="recall@5",
            maximize=True,
            metrics=("recall@5",),
            seed=0,
            checkpoint=path,
            checkpoint_every_s=0.0,
        )

    whole, rest = Pair(0.1), Pair(0.1)
    train(whole, None, Scripted(), going(), device=CPU)
    path = tmp_path / "c.safetensors"
    train_until_killed(Pair(0.1), None, Scripted(), going(path), epoch=3)
    train(rest, None, Scripted(), going(path), device=CPU)
    assert torch.equal(rest.a, whole.a) and torch.equal(rest.b, whole.b)
    assert not torch.equal(whole.a, whole.b)


def test_deepstyle_score_is_the_style_without_its_category_plus_the_id():
    method = woken("deepstyle", categories=4)
    users, items, categories, weight = rows_of(method.users, method.items, method.categories, method.project.weight)
    features, category = method.features.numpy(), method.category.numpy()
    scores = method.score(torch.arange(60))
    for user, item in ((0, 0), (7, 21), (59, 39)):
        expected = 0.0
        for k in range(5):
            style = sum(weight[k, d] * features[item, d] for d in range(24)) - categories[category[item], k]
            expected += users[user, k] * (style + items[item, k])
        assert scores[user, item].item() == pytest.approx(expected, rel=1e-10)


def test_deepstyle_loss_is_its_terms_row_by_row():
    method = woken("deepstyle", categories=4, reg=0.3)
    found = method.represent()
    users, items = rows_of(found.users, found.items)
    ranking, squares = 0.0, np.zeros(3)
    for user, pos, neg in zip(*(column.tolist() for column in BATCH), strict=True):
        margin = users[user] @ items[pos] - users[user] @ items[neg]
        ranking -= math.log(1e-10 + 1 / (1 + math.exp(-margin))) / 4
        squares += [(users[user] ** 2).sum(), (items[pos] ** 2).sum(), (items[neg] ** 2).sum()]
    loss = method.loss(BATCH)
    assert loss.parts["bpr"].item() == pytest.approx(ranking, rel=1e-10)
    assert loss.parts["reg"].item() == pytest.approx(np.sqrt(squares).sum() / 4, rel=1e-10)
    assert loss.total.item() == pytest.approx(ranking + 0.3 * np.sqrt(squares).sum() / 4, rel=1e-10)


def test_one_category_changes_no_ranking_and_many_do():
    one, many = (woken("deepstyle", categories=count, reg=0.0) for count in (1, 4))
    for method, moves in ((one, False), (many, True)):
        method.loss(BATCH).total.backward()
        assert bool((method.categories.grad.abs() > 1e-12).any()) is moves
        before = method.score(torch.arange(60)).argsort(dim=1)
        with torch.no_grad():
            method.categories.normal_()
        method.begin_scoring()
        assert torch.equal(method.score(torch.arange(60)).argsort(dim=1), before) is not moves


def test_categories_find_the_groups_of_the_features():
    data = one_world(small_world())
    found = made("deepstyle", data, categories=4).category.numpy()
    groups = np.arange(40) % 4
    assert len(set(zip(groups.tolist(), found.tolist(), strict=True))) == 4 and len(set(found.tolist())) == 4


def test_items_without_a_training_row_do_not_move_the_clusters():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(60, 6)))
    fitted = torch.arange(60) < 40
    moved = features.clone()
    moved[40:] = torch.from_numpy(rng.normal(size=(20, 6)))
    moved[59] = 7.0 * features[3]
    before, after = (visual_clusters(table, fitted, 5) for table in (features, moved))
    assert torch.equal(before[:40], after[:40]) and not torch.equal(before[40:], after[40:])
    assert after[59] == after[3]


@pytest.mark.parametrize(
    ("features", "groups"), [(torch.zeros(9, 3), 1), (torch.ones(9, 3), 1), (torch.eye(3)[torch.arange(9) % 3], 3)]
)
def test_there_are_no_more_clusters_than_distinct_vectors(features, groups):
    found = visual_clusters(features, torch.ones(9, dtype=torch.bool), 5)
    assert len(found.unique()) == groups and found.max() < 5


@pytest.mark.parametrize("name", ["amr", "deepstyle"])
def test_image_alone_is_read_when_told_so_and_there_is_one(name):
    data = small_world()
    info = ModalityInfo("features", 12, None)
    other = Modality(info, np.random.default_rng(9).normal(size=(40, 12)).astype(np.float32))
    changed = dataclasses.replace(data, modalities={**data.modalities, "text": other}, digest="other-text")
    image = [made(name, world, content="image").features for world in (data, changed)]
    both = [made(name, world, content="all").features for world in (data, changed)]
    assert torch.equal(*image) and image[0].shape[1] == 24
    assert not torch.equal(*both) and both[0].shape[1] == 36
    assert read_modalities(("audio", "text"), "image") == ("audio", "text")


def test_content_is_added_to_the_first_columns_alone():
    items, content = torch.arange(12.0).reshape(2, 6), torch.ones(2, 2)
    assert add_content(items, content).tolist() == [[1, 2, 2, 3, 4, 5], [7, 8, 8, 9, 10, 11]]


class TestAMROnColdItems(ColdStartContract):
    method = "amr"


class TestDeepStyleOnColdItems(ColdStartContract):
    method = "deepstyle"
