import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_kills import train_until_killed

from bench.errors import DeviceError, DivergedError
from bench.methods.base import Context, GradientConfig, Group, Loss, Method, ScheduledConfig
from bench.spec.fingerprint import FINGERPRINT_VERSION
from bench.tasks.recommendation import TASK
from bench.testing.recommendation import build, default_config, fit, small_world
from bench.training.build import resolve_device
from bench.training.loop import Settings, train
from bench.training.optimise import step_size_factor
from bench.training.seeds import component_seed

CPU = torch.device("cpu")
CURVE = Path(__file__).parents[1] / "assets" / "curves" / f"lightgcn_v{FINGERPRINT_VERSION}.json"


class Counter(Method):
    """A method whose one weight grows by about lr each step."""

    def __init__(self, lr: float = 0.1, bad_from: int | None = None) -> None:
        super().__init__(GradientConfig(lr=lr), Context(None))
        self.config = GradientConfig(lr=lr)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.taken, self.bad_from = 0, bad_from

    def loss(self, batch):
        self.taken += 1
        bad = self.bad_from is not None and self.taken >= self.bad_from
        return Loss(-self.weight.sum() * (float("nan") if bad else 1.0))


class Scripted:
    """A task whose validation values are written down beforehand."""

    def __init__(self, values):
        self.values, self.asked = list(values), 0

    def batches(self, data, **_):
        return self

    def epoch(self):
        yield None

    def validate(self, method, data, metrics):
        self.asked += 1
        return {"m": self.values[min(self.asked, len(self.values)) - 1]}


def settings(**changes):
    base = {"epochs": 50, "patience": None, "select": "m", "maximize": True, "metrics": ("m",), "seed": 0}
    return Settings(**base | changes)


def test_training_stops_when_the_epochs_since_the_best_exceed_patience():
    task = Scripted([0.1, 0.3, 0.2])
    result = train(Counter(), None, task, settings(patience=4), device=CPU)
    assert (result.best_epoch, result.epochs) == (2, 2 + 4 + 1)


def test_selection_compares_at_full_precision():
    task = Scripted([0.5, 0.5 + 1e-12, 0.5 + 1e-12])
    assert train(Counter(), None, task, settings(epochs=3), device=CPU).best_epoch == 2


def test_a_metric_to_minimise_is_minimised():
    task = Scripted([3.0, 1.0, 2.0])
    assert train(Counter(), None, task, settings(epochs=3, maximize=False), device=CPU).best_epoch == 2


def test_the_best_epochs_weights_are_kept():
    method = Counter()
    train(method, None, Scripted([0.1, 0.9, 0.2, 0.3]), settings(epochs=4), device=CPU)
    once, _ = Counter(), train
    train(once, None, Scripted([0.1, 0.9]), settings(epochs=2), device=CPU)
    assert torch.equal(method.weight, once.weight)


def test_a_loss_that_is_not_finite_is_divergence_and_names_the_epoch():
    with pytest.raises(DivergedError, match="epoch 3") as caught:
        train(Counter(bad_from=3), None, Scripted([0.1]), settings(), device=CPU)
    assert caught.value.epoch == 3


def test_the_caller_can_stop_a_training():
    result = train(Counter(), None, Scripted([0.1]), settings(), device=CPU, on_epoch=lambda p: p.epoch < 5)
    assert result.stopped
    assert result.epochs == 5


@pytest.mark.parametrize("name", ["lightgcn", "freedom"])
def test_a_killed_training_goes_on_as_if_it_had_not_stopped(name, tmp_path):
    data = small_world()
    entry = {"method": name}
    config = default_config(entry) | {"batch_size": 64}
    whole_settings = Settings(epochs=8, patience=None, select="recall@5", maximize=True, metrics=("recall@5",), seed=1)
    whole = build(entry, data, config=config, seed=1)
    expected = train(whole, data, TASK, whole_settings, device=CPU)
    path = tmp_path / "checkpoint.safetensors"
    saving = Settings(**vars(whole_settings) | {"checkpoint": path, "checkpoint_every_s": 0.0})
    train_until_killed(build(entry, data, config=config, seed=1), data, TASK, saving, epoch=5)
    assert path.is_file()
    torch.manual_seed(12345)
    resumed = build(entry, data, config=config, seed=99)
    seen = []
    found = train(resumed, data, TASK, saving, device=CPU, on_epoch=lambda p: not seen.append(p.epoch))
    assert seen == list(range(1, 9))
    assert (found.best_epoch, found.value, found.epochs) == (expected.best_epoch, expected.value, 8)
    for key, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[key]), key


def test_a_damaged_checkpoint_is_ignored(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    result = train(Counter(), None, Scripted([0.1]), settings(epochs=2, checkpoint=path), device=CPU)
    assert result.epochs == 2


def test_the_step_size_follows_its_schedule():
    method = Counter(lr=1.0)
    method.config = GradientConfig(lr=1.0, lr_gamma=0.5, lr_period=1.0)
    train(method, None, Scripted([0.1, 0.2, 0.3]), settings(epochs=3), device=CPU)
    # Adam's first steps on a constant gradient have the length of the step size: 1 + 1/2 + 1/4.
    assert method.weight.item() == pytest.approx(1.75, rel=1e-5)


def test_components_draw_from_different_streams():
    seeds = {component_seed(seed, name) for seed in range(50) for name in ("init", "batches", "method", "global")}
    assert len(seeds) == 200


def test_the_loop_still_computes_what_its_version_says():
    """A change of this curve changes every result: raise FINGERPRINT_VERSION and record a new one."""
    data = small_world()
    method = build({"method": "lightgcn"}, data, config=default_config({"method": "lightgcn"}) | {"batch_size": 64})
    result = fit(method, data, epochs=6)
    found = [[point.values["loss"], point.values["valid/recall@5"]] for point in result.curve]
    np.testing.assert_allclose(found, json.loads(CURVE.read_text()), rtol=1e-4)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99", "tpu:0"])
def test_an_unknown_device_is_a_user_error(name):
    with pytest.raises(DeviceError, match="device"):
        resolve_device(name)


class Duel(Method):
    """Two weights trained in turn: `b` follows what `a` has become within the same batch."""

    def __init__(self) -> None:
        super().__init__(GradientConfig(), Context(None))
        self.config = GradientConfig()
        self.a = torch.nn.Parameter(torch.zeros(1))
        self.b = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def groups(self):
        return {"a": Group([self.a], lr=0.1, betas=(0.0, 0.9)), "b": Group([self.b], lr=0.01)}

    def steps(self, batch):
        yield "a", Loss((self.a - 1).square().sum(), {"part": self.a.sum()})
        self.seen.append(self.a.item())
        yield "b", Loss((self.b - self.a).square().sum())


def test_alternating_optimisers_each_change_their_own_group_and_see_what_the_other_did():
    method = Duel()
    result = train(method, None, Scripted([0.1]), settings(epochs=1), device=CPU)
    assert method.seen == [pytest.approx(0.1)]
    assert float(method.b) == pytest.approx(0.01)
    assert {"loss/a", "loss/a/part", "loss/b"} <= set(result.curve[0].values)


def test_an_alternating_training_resumes_with_both_optimisers(tmp_path):
    whole = Duel()
    train(whole, None, Scripted([0.1, 0.2, 0.3, 0.4]), settings(epochs=4), device=CPU)
    path = tmp_path / "c.safetensors"
    saving = settings(epochs=4, checkpoint=path, checkpoint_every_s=0.0)
    train_until_killed(Duel(), None, Scripted([0.1, 0.2, 0.3, 0.4]), saving, epoch=3)
    rest = Duel()
    train(rest, None, Scripted([0.3, 0.4]), saving, device=CPU)
    assert torch.equal(rest.a, whole.a)
    assert torch.equal(rest.b, whole.b)


def test_a_step_for_a_group_that_does_not_exist_is_the_methods_error():
    class Lost(Duel):
        def steps(self, batch):
            yield "c", Loss(self.a.sum())

    with pytest.raises(TypeError, match=r"names the group 'c'; groups: \['a', 'b'\]"):
        train(Lost(), None, Scripted([0.1]), settings(epochs=1), device=CPU)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GradientConfig(lr_gamma=0.5, lr_period=10), [1.0, 0.5**0.1, 0.5]),
        (ScheduledConfig(schedule="step", lr_gamma=0.5, lr_period=10), [1.0, 1.0, 0.5]),
        (ScheduledConfig(schedule="cosine"), [1.0, 0.5 * (1 + np.cos(np.pi / 20)), 0.5]),
        (ScheduledConfig(warmup_epochs=3), [0.25, 0.5, 1.0]),
    ],
)
def test_every_kind_of_schedule_is_what_its_help_says(config, expected):
    factor = step_size_factor(config, epochs=20)
    assert [factor(epoch) for epoch in (0, 1, 10)] == pytest.approx(expected)


def test_clipping_bounds_the_gradient_that_adam_sees():
    class Steep(Counter):
        def __init__(self, clip):
            super().__init__()
            self.config = ScheduledConfig(lr=0.1, clip_norm=clip)
            self.norms = []

        def loss(self, batch):
            if self.weight.grad is not None:
                self.norms.append(float(self.weight.grad.norm()))
            return Loss(1000 * self.weight.sum())

    clipped, free = Steep(12.0), Steep(None)
    for method in (clipped, free):
        train(method, None, Scripted([0.1, 0.2]), settings(epochs=2), device=CPU)
    assert clipped.norms == [pytest.approx(12.0)]
    assert free.norms == [1000.0]
