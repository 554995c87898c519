"""SASRec's optimiser, GRU4Rec's first weights and DreamRec's diffusion, against hand-written loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from pydantic import ValidationError

from bench.errors import SpecError
from bench.methods.layers.beta_schedules import BetaSchedule, ScheduledDiffusion
from bench.methods.layers.sequences import RecurrentEncoder, full_cross_entropy
from bench.methods.registry import METHODS
from bench.methods.sequential_recommender import SequenceBatch
from bench.spec.check import validate_spec
from bench.tasks.sequential import TASK
from bench.testing.sequential import build, fit, small_world
from bench.training.loop import Settings, train
from bench.training.optimise import Optimisers

F64 = torch.float64
DREAM = {"dim": 8, "steps": 6, "dropout": 0.0}


def betas_of(method) -> tuple[float, float]:
    """Returns the decay rates of the optimiser that training would build."""
    optimisers = Optimisers(method, method.config, 1, Fabric(accelerator="cpu", devices=1))
    (group,) = optimisers.state()[""]["param_groups"]
    assert len(group["params"]) == len(list(method.parameters())) and group["weight_decay"] == 0.25
    assert group["lr"] == 0.125
    return tuple(group["betas"])


@pytest.mark.parametrize(("variant", "betas"), [("pmixer", (0.9, 0.98)), ("recbole", (0.9, 0.999))])
def test_sasrec_trains_with_the_decay_rates_of_the_code_it_follows(variant, betas):
    config = {"dim": 8, "variant": variant, "lr": 0.125, "weight_decay": 0.25}
    assert betas_of(build("sasrec", small_world(), config=config)) == betas


def test_only_the_first_gru_layer_is_xavier_and_the_rest_is_torchs_default():
    """Xavier-uniform over (3 h, d) is bounded by √(6 / (3 h + d)), torch's defaults by 1 / √h."""
    torch.manual_seed(0)
    dim, hidden = 8, 512
    encoder = RecurrentEncoder(dim, hidden, layers=2, dropout=0.0)
    default = 1 / math.sqrt(hidden)
    bounds = {
        encoder.gru.weight_ih_l0: math.sqrt(6 / (3 * hidden + dim)),
        encoder.gru.weight_hh_l0: math.sqrt(6 / (3 * hidden + hidden)),
        encoder.gru.weight_ih_l1: default,
        encoder.gru.weight_hh_l1: default,
        encoder.dense.weight: default,
        encoder.dense.bias: default,
    }
    for parameter, bound in bounds.items():
        assert 0.9 * bound < parameter.abs().max().item() <= bound


@pytest.mark.parametrize("padding", [True, False])
def test_cross_entropy_counts_the_padding_row_only_where_told(padding):
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, 3, 4, generator=generator, dtype=F64, requires_grad=True)
    table = torch.randn(6, 4, generator=generator, dtype=F64, requires_grad=True)
    targets = torch.tensor([[0, 2, 5], [1, 1, 3]])
    loss = full_cross_entropy(states, targets, table, padding=padding)
    gradients = torch.autograd.grad(loss, (states, table))
    total = []
    for row in range(2):
        for place in range(3):
            if targets[row, place]:
                logits = table[0 if padding else 1 :] @ states[row, place]
                total.append(logits.exp().sum().log() - table[targets[row, place]] @ states[row, place])
    naive = sum(total) / 5
    torch.testing.assert_close(loss, naive)
    for found, expected in zip(gradients, torch.autograd.grad(naive, (states, table)), strict=True):
        torch.testing.assert_close(found, expected)
    assert bool(gradients[1][0].any()) is padding


class TestSchedules:
    """The β of the authors' code, term by term."""

    @staticmethod
    def naive(kind: str, steps: int) -> list[float]:
        if kind == "linear":
            return [1e-4 + (0.02 - 1e-4) * t / (steps - 1) for t in range(steps)]
        if kind == "exp":
            places = [1 + 2 * steps * t / (steps - 1) for t in range(steps)]
            return [1 - math.exp(-0.1 / steps - place * 0.5 * (10 - 0.1) / steps**2) for place in places]
        bar = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
        return [min(max(1 - bar[t + 1] / bar[t], 1e-4), 0.9999) for t in range(steps)]

    @pytest.mark.parametrize("kind", ["exp", "cosine", "linear"])
    @pytest.mark.parametrize("steps", [2, 7, 500])
    def test_alpha_bar_is_the_product_of_one_minus_beta(self, kind: BetaSchedule, steps: int):
        alpha_bar = ScheduledDiffusion(steps, kind, F64).alpha_bar
        expected = np.cumprod([1.0, *(1 - beta for beta in self.naive(kind, steps))])
        np.testing.assert_allclose(alpha_bar.numpy(), expected, rtol=1e-9)

    @pytest.mark.parametrize("kind", ["exp", "cosine", "linear", "scaled_linear"])
    def test_two_thousand_steps_stay_positive_in_single_precision(self, kind: BetaSchedule):
        alpha_bar = ScheduledDiffusion(2000, kind, torch.float32).alpha_bar
        assert bool((alpha_bar > 0).all()) and bool((alpha_bar.diff() <= 0).all()) and alpha_bar[-1] < 0.01


def dream(**config):
    return build("dreamrec", small_world(), config=DREAM | config, dtype=F64).eval()


def denoised(method, noisy, condition, t: int):
    """x̂_0 of one row by the published formula: one linear layer on [x_t ; c ; τ(t)], τ an MLP on sinusoids."""
    half = len(noisy) // 2
    angles = [(t - 1) * 10_000 ** (-k / (half - 1)) for k in range(half)]
    waves = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=F64)
    first, _, second = method.denoise.time
    told = second.weight @ torch.nn.functional.gelu(first.weight @ waves + first.bias) + second.bias
    return method.denoise.layer.weight @ torch.cat([noisy, condition, told]) + method.denoise.layer.bias


def test_the_published_denoiser_is_one_linear_layer():
    method = dream()
    noisy, condition = torch.randn(3, 8, dtype=F64), torch.randn(3, 8, dtype=F64)
    t = torch.tensor([1, 4, 6])
    with torch.no_grad():
        found = method.denoise(noisy, condition, t)
        for row in range(3):
            torch.testing.assert_close(found[row], denoised(method, noisy[row], condition[row], int(t[row])))


def test_guidance_leads_away_from_the_answer_without_history():
    method = dream(guidance=3.0)
    noisy, states = torch.randn(4, 8, dtype=F64), torch.randn(4, 8, dtype=F64)
    t = torch.full((4,), 5)
    with torch.no_grad():
        told, untold = method.denoise(noisy, states, t), method.denoise(noisy, method.nothing.expand(4, -1), t)
        torch.testing.assert_close(method.guided(noisy, states, t), 4.0 * told - 3.0 * untold)
        assert not torch.allclose(told, untold)


@pytest.mark.parametrize("stochastic", [True, False])
@pytest.mark.parametrize("kind", ["exp", "cosine", "linear", "scaled_linear"])
def test_scores_are_those_of_a_hand_written_sampler(kind, stochastic):
    """x_T = ε_T; then the posterior mean, and √variance · ε at every step but the last."""
    method = dream(beta_schedule=kind, stochastic=stochastic, guidance=2.0, steps=6)
    beta = method.diffusion.alpha_bar
    with torch.no_grad():
        scores = method.score(torch.tensor([[1, 2, 3]]))[0]
        tokens = torch.tensor([[1, 2, 3]])
        state = method.encoder(method.items(tokens), tokens)[0, -1]
        x = method.noise[-1].clone()
        for t in range(6, 0, -1):
            clean = 3.0 * denoised(method, x, state, t) - 2.0 * denoised(method, x, method.nothing, t)
            now, before = float(beta[t]), float(beta[t - 1])
            b = 1 - now / before
            x = b * math.sqrt(before) / (1 - now) * clean + (1 - before) * math.sqrt(1 - b) / (1 - now) * x
            if stochastic and t > 1:
                x = x + math.sqrt(b * (1 - before) / (1 - now)) * method.noise[t - 2]
        torch.testing.assert_close(scores, method.items.weight[1:] @ x)


def test_fresh_noise_changes_the_scores_but_not_from_one_scoring_to_the_next():
    method = dream(stochastic=True)
    histories = torch.tensor([[0, 1, 2], [0, 0, 5], [7, 8, 9]])
    with torch.no_grad():
        torch.manual_seed(1)
        whole = method.score(histories)
        torch.manual_seed(2)
        again = method.score(histories)
        alone = torch.cat([method.score(row[None]) for row in histories])
        method.noise[:-1] = 0
        plain = method.score(histories)
    assert torch.equal(whole, again)
    torch.testing.assert_close(whole, alone)
    assert not torch.allclose(whole, plain)


def test_without_guidance_the_null_vector_is_never_asked():
    method = dream(guidance=0.0)
    with torch.no_grad():
        before = method.score(torch.tensor([[1, 2]]))
        method.nothing.add_(1.0)
        torch.testing.assert_close(method.score(torch.tensor([[1, 2]])), before)


def test_the_loss_is_the_mean_squared_error_of_every_wanted_place(monkeypatch):
    """Σ over places and components of (x_0 − x̂_0(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, c, t))², with drawn t, ε and null rows."""
    method = dream(null=0.5)
    inputs = torch.tensor([[0, 1, 2], [3, 4, 5]])
    targets = torch.tensor([[0, 2, 9], [4, 5, 6]])
    steps = torch.tensor([1, 6, 3, 2, 5])
    noise = torch.randn(5, 8, dtype=F64)
    drawn = torch.tensor([[0.1], [0.9], [0.49], [0.51], [0.0]], dtype=F64)
    monkeypatch.setattr(method.diffusion, "draw_steps", lambda count, power, device: steps)
    monkeypatch.setattr(torch, "randn_like", lambda like: noise)
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: drawn)
    with torch.no_grad():
        loss = method.loss(SequenceBatch(inputs, targets, torch.zeros_like(inputs))).total
        states = method.encoder(method.items(inputs), inputs)
        places = [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
        total = 0.0
        for k, (row, place) in enumerate(places):
            clean = method.items.weight[targets[row, place]]
            bar = float(method.diffusion.alpha_bar[steps[k]])
            noisy = math.sqrt(bar) * clean + math.sqrt(1 - bar) * noise[k]
            condition = method.nothing if float(drawn[k]) < 0.5 else states[row, place]
            total += float((denoised(method, noisy, condition, int(steps[k])) - clean).square().sum())
    assert loss.item() == pytest.approx(total / (5 * 8), rel=1e-12)


@pytest.mark.parametrize(("null", "silent"), [(1.0, True), (0.0, False)])
def test_a_hidden_history_gives_the_encoder_no_gradient(null, silent):
    method = dream(null=null)
    inputs, targets = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])
    method.loss(SequenceBatch(inputs, targets, torch.zeros_like(inputs))).total.backward()
    gradients = [parameter.grad for parameter in method.encoder.parameters()]
    assert all(gradient is None or not gradient.any() for gradient in gradients) is silent
    assert bool(method.nothing.grad.any()) is silent


@pytest.mark.parametrize("config", [{"denoiser": "mlp"}, {"stochastic": False}, {"beta_schedule": "cosine"}])
def test_every_switch_of_dreamrec_learns(config):
    data = small_world(users=100)
    values = {"dim": 32, "batch_size": 32, "lr": 5e-3, "steps": 10, "dropout": 0.0} | config
    losses = [point.values["loss"] for point in fit(build("dreamrec", data, config=values), data, epochs=6).curve]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("method", ["dreamrec", "mealrec"])
def test_a_diffusion_of_one_step_is_refused_where_it_is_written(method):
    with pytest.raises(ValidationError, match="steps"):
        METHODS.get(method).Config(steps=1)


SEQUENTIAL = [name for name, cls in METHODS.items() if "sequential" in cls.tasks and not cls.adapter]


@pytest.mark.parametrize("method", SEQUENTIAL)
@pytest.mark.parametrize(
    "value", ["set: {length: 51}", "set: {length: 0}", "set: {length: -3}", "space: {length: [10, 51]}"]
)
def test_a_length_that_no_history_has_is_one_error_at_its_place(tmp_path, method, value):
    """A history shows 50 items: more would be the same model under another name, fewer than one none."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "version: 1\nname: s\nexperiments:\n  - task: sequential\n    datasets: [microvideo-twin]\n"
        f"    methods:\n      - {{method: {method}, {value}}}\n    metrics: [hit@10]\n    select: hit@10\n"
    )
    with pytest.raises(SpecError) as caught:
        validate_spec(path)
    (problem,) = str(caught.value).splitlines()
    wrong = "at most 50 is allowed" if "51" in value else "at least 1 is needed"
    assert problem.startswith(f"{path}:7:") and "length" in problem and problem.endswith(f"{wrong}."), problem


@pytest.mark.parametrize("method", SEQUENTIAL)
@pytest.mark.parametrize("length", [1, 50])
def test_the_shortest_and_the_longest_length_score(method, length):
    built = build(method, small_world(), config={"dim": 8, "length": length}).eval()
    with torch.no_grad():
        built.begin_scoring()
        scores = built.score(torch.tensor([[0, 1, 2], [0, 0, 4]]))
    assert scores.shape == (2, 24) and bool(torch.isfinite(scores).all())


MIXED = [
    *((name, {}) for name in SEQUENTIAL),
    ("sasrec", {"variant": "pmixer", "objective": "bce"}),
    ("gru4rec", {"layers": 2}),
    ("mealrec", {"backbone": "gru4rec"}),
    ("mealrec", {"backbone": "gru4rec", "temporal_guidance": False}),
    ("mealrec", {"backbone": "gru4rec", "npd": False, "tcd": False}),
    ("mealrec", {"condition_on_t": True, "guidance": 1.0}),
    ("dreamrec", {"denoiser": "mlp"}),
]


@pytest.mark.parametrize(("method", "config"), MIXED, ids=lambda part: str(part))
def test_an_epoch_in_mixed_precision_trains_and_stays_near_single(method, config):
    data = small_world()
    small = {"dim": 32, "batch_size": 32, "steps": 10, "dropout": 0.0}
    fields = METHODS.get(method).Config.model_fields
    values = {name: value for name, value in small.items() if name in fields} | config
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        built = build(method, data, config=values)
        before = {name: weight.detach().clone() for name, weight in built.named_parameters()}
        settings = Settings(
            epochs=1, patience=None, select="hit@3", maximize=True, metrics=("hit@3",), seed=0, precision=precision
        )
        result = train(built, data, TASK, settings, device=torch.device("cpu"))
        losses.append(result.curve[0].values["loss"])
        after = dict(built.named_parameters())
        assert all(weight.dtype == torch.float32 and bool(torch.isfinite(weight).all()) for weight in after.values())
        assert any(not torch.equal(after[name], before[name]) for name in before)
    assert math.isfinite(losses[1]) and losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[0] != losses[1], "mixed precision was not in force"


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_cross_entropy_of_half_precision_states_is_that_of_the_same_numbers_in_single(half):
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(2, 3, 4, generator=generator).to(half).requires_grad_()
    single = states.detach().float().requires_grad_()
    table = torch.randn(6, 4, generator=generator, requires_grad=True)
    targets = torch.tensor([[0, 2, 5], [1, 1, 3]])
    loss, expected = (full_cross_entropy(part, targets, table) for part in (states, single))
    assert torch.equal(loss, expected) and loss.dtype == torch.float32
    found, wanted = torch.autograd.grad(loss, (states, table)), torch.autograd.grad(expected, (single, table))
    assert found[0].dtype == half and torch.equal(found[0], wanted[0].to(half)) and torch.equal(found[1], wanted[1])


def test_the_published_settings_of_dreamrec_are_in_its_search_space():
    space = METHODS.get("dreamrec").Config.space()
    published = [
        {"lr": 1e-3, "steps": 500, "beta_schedule": "exp", "guidance": 2.0},
        {"lr": 5e-5, "steps": 2000, "beta_schedule": "cosine", "guidance": 2.0},
        {"lr": 1e-2, "steps": 500, "beta_schedule": "linear", "guidance": 4.0},
    ]
    assert all(space[name].contains(value) for setting in published for name, value in setting.items())
