from functools import partial

import pytest
import torch
from torch.nn import functional

from bench.errors import BenchError
from bench.methods.classification.marnet import layer_norm
from bench.methods.classifier import Classifier
from bench.methods.layers.alignment import same_class_targets, symmetric_info_nce
from bench.methods.layers.vector_diffusion import Denoiser, VectorDiffusion
from bench.methods.registry import METHODS
from bench.testing.classification import batch_of, build, fit, logits_of, small_config, small_world

F64 = torch.float64


def marnet(data, *, wrap="resnet", dtype=F64, seed=0, **changes):
    entry = {"method": "marnet", "wrap": {"method": wrap}}
    return build(entry, data, config=small_config(entry) | changes, dtype=dtype, seed=seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class TestDiffusion:
    def test_alpha_bar_falls_from_one_to_about_zero(self):
        for steps in (10, 50, 1000):
            alpha_bar = VectorDiffusion(steps, F64).alpha_bar
            assert alpha_bar.shape == (steps + 1,) and alpha_bar[0] == 1
            assert bool((alpha_bar.diff() < 0).all()) and 0 < alpha_bar[-1] < 1e-4

    def test_a_thousand_steps_are_those_of_the_paper(self):
        beta = torch.linspace(1e-4, 0.02, 1000, dtype=F64)
        torch.testing.assert_close(VectorDiffusion(1000, F64).alpha_bar[1:], (1 - beta).cumprod(0))

    def test_step_zero_is_the_clean_vector(self):
        diffusion = VectorDiffusion(20, F64)
        clean = normal(3, 5)
        assert diffusion.noised(clean, torch.zeros(3, dtype=torch.int64), normal(3, 5, seed=1)).equal(clean)

    def test_the_posterior_undoes_the_step_it_conditions_on(self):
        diffusion = VectorDiffusion(20, F64)
        clean, noisy = normal(3, 5), normal(3, 5, seed=1)
        first = diffusion.posterior(clean, noisy, torch.ones(3, dtype=torch.int64))
        torch.testing.assert_close(first.mean, clean)
        assert bool((first.variance == 0).all())

    def test_the_posterior_mean_keeps_the_forward_process(self):
        # Without noise s_t = √ᾱ_t s_0, and the mean of s_{t−1} must be √ᾱ_{t−1} s_0.
        diffusion = VectorDiffusion(20, F64)
        clean, t = normal(3, 5), torch.tensor([2, 9, 20])
        mean, variance = diffusion.posterior(clean, diffusion.noised(clean, t, torch.zeros_like(clean)), t)
        torch.testing.assert_close(mean, diffusion.alpha_bar[t - 1].sqrt()[:, None] * clean)
        # Var(s_{t−1}) = Var of the mean given s_0 + posterior variance = 1 − ᾱ_{t−1}.
        now, before = diffusion.alpha_bar[t], diffusion.alpha_bar[t - 1]
        slope = (now / before).sqrt() * (1 - before) / (1 - now)
        torch.testing.assert_close(slope**2 * (1 - now) + variance[:, 0], 1 - before)

    @pytest.mark.parametrize(("start", "steps"), [(20, 1), (20, 2), (20, 7), (20, 20), (20, 99), (10, 5), (1, 3)])
    def test_a_perfect_predictor_leads_to_the_clean_vector(self, start, steps):
        diffusion = VectorDiffusion(20, F64)
        clean, seen = normal(3, 5), []

        def perfect(noisy, t):
            seen.append(int(t[0]))
            return clean

        torch.testing.assert_close(diffusion.ddim(perfect, normal(3, 5, seed=1), start=start, steps=steps), clean)
        assert seen[0] == start and seen == sorted(set(seen), reverse=True) and len(seen) == min(start, steps)
        assert seen[-1] == 1 or steps == 1

    def test_intermediate_vectors_lie_on_the_forward_process(self):
        diffusion = VectorDiffusion(20, F64)
        clean, noise, seen = normal(3, 5), normal(3, 5, seed=1), []

        def perfect(noisy, t):
            seen.append((noisy, t))
            return clean

        start = diffusion.noised(clean, torch.full((3,), 20), noise)
        diffusion.ddim(perfect, start, start=20, steps=5)
        for noisy, t in seen:
            torch.testing.assert_close(noisy, diffusion.noised(clean, t, noise))

    def test_drawn_steps_are_in_range_and_lean_to_large_ones(self):
        diffusion = VectorDiffusion(50, F64)
        torch.manual_seed(0)
        means = []
        for power in (0.0, 1.0, 3.0):
            t = diffusion.draw_steps(4000, power, torch.device("cpu"))
            assert 1 <= int(t.min()) and int(t.max()) == 50
            means.append(t.double().mean().item() / 50)
        assert means == pytest.approx([0.51, 0.677, 0.81], abs=0.02)

    def test_fewer_than_two_steps_are_refused(self):
        with pytest.raises(ValueError, match="steps >= 2"):
            VectorDiffusion(1, F64)

    def test_the_denoiser_sees_the_step(self):
        denoiser = Denoiser(4, 3, 16, F64)
        noisy, condition = normal(1, 4).expand(2, 4), normal(1, 3).expand(2, 3)
        early, late = denoiser(noisy, condition, torch.tensor([1, 40]))
        assert not torch.allclose(early, late)


class TestLoss:
    @pytest.mark.parametrize("head_sees", ["drawn", "sampled"])
    def test_each_part_is_what_a_hand_computes(self, monkeypatch, head_sees):
        data = small_world(level="class")
        method = marnet(data, align=0.3, reconstruct=0.7, text_ce=0.9, head_sees=head_sees).eval()
        batch = batch_of(data, [0, 1, 4], F64)
        features = method.wrapped.features(batch.images)
        x_s = method.text(batch.text)
        u, s = method.image_projection(features), method.text_projection(x_s)
        clean = (x_s - x_s.mean(1, keepdim=True)) / (x_s.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        t, noise = torch.tensor([3, 20, 50]), normal(3, 24)
        monkeypatch.setattr(method.diffusion, "draw_steps", lambda *_: t)
        monkeypatch.setattr(torch, "randn_like", lambda _: noise)
        alpha_bar = method.diffusion.alpha_bar[t][:, None]
        rebuilt = method.denoiser(alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise, features, t)
        shown = rebuilt if head_sees == "drawn" else method.sample(features, u).detach()
        ce = partial(functional.cross_entropy, label_smoothing=0.1)
        wanted = {
            "text_ce": 0.9 * ce(method.text_head(x_s), batch.labels),
            "ema": 0.3 * symmetric_info_nce(u, s, same_class_targets(batch.labels, F64), 0.1),
            "cdr": 0.7 * (((rebuilt - clean) ** 2).mean() + ce(method.reconstruction_head(rebuilt), batch.labels)),
            "ce": ce(method.head(torch.cat([u, shown], 1)), batch.labels),
        }
        loss = method.loss(batch)
        assert loss.parts.keys() == wanted.keys()
        for name, part in wanted.items():
            torch.testing.assert_close(loss.parts[name], part, msg=name)
        torch.testing.assert_close(loss.total, sum(wanted.values()))

    def test_the_level_of_the_text_chooses_the_targets(self):
        assert marnet(small_world(level="class")).by_class and not marnet(small_world(level="image")).by_class
        assert marnet(small_world(level="image"), targets="class").by_class
        assert not marnet(small_world(level="class"), targets="instance").by_class

    @pytest.mark.parametrize(
        ("switches", "parts"),
        [
            ({"cdr": False}, {"text_ce", "ema", "ce"}),
            ({"ema": False}, {"text_ce", "cdr", "ce"}),
            ({"wrap": "clip_align"}, {"text_ce", "ema", "cdr", "ce", "wrapped_align"}),
        ],
    )
    def test_switches_and_the_wrapped_method_decide_the_parts(self, switches, parts):
        data = small_world()
        assert marnet(data, **switches).loss(batch_of(data, [0, 1, 4], F64)).parts.keys() == parts

    @pytest.mark.parametrize(
        ("options", "resting"),
        [
            ({}, set()),
            ({"fusion": "gate"}, set()),
            ({"fusion": "sum", "detach": True}, set()),
            ({"start": "image", "samples": 2}, set()),
            ({"head_sees": "drawn"}, set()),
        ],
    )
    def test_gradients_reach_every_part(self, options, resting):
        data = small_world()
        method = marnet(data, **options)
        method.loss(batch_of(data, range(16), F64)).total.backward()
        parts = dict(method.named_children()) | {"backbone": method.wrapped.backbone}
        for name in parts.keys() - {"wrapped", "diffusion"}:
            grads = [p.grad for p in parts[name].parameters()]
            assert all(grad is not None and bool(grad.any()) for grad in grads) != (name in resting), name
        assert method.wrapped.head.weight.grad is None

    def test_a_detached_reconstruction_leaves_the_backbone_alone(self):
        data = small_world()
        for detach in (False, True):
            method = marnet(data, detach=detach, ema=False)
            features = method.wrapped.features(batch_of(data, [0, 1], F64).images)
            method.reconstruct(features, normal(2, 24)).sum().backward()
            assert all(p.grad is None for p in method.wrapped.backbone.parameters()) == detach

    def test_label_smoothing_is_the_wrapped_methods(self):
        data = small_world()
        entry = {"method": "marnet", "wrap": {"method": "resnet"}}
        config = small_config(entry) | {"cdr": False, "text_ce": 0.0}
        config["wrapped"]["label_smoothing"] = 0.2
        method = build(entry, data, config=config, dtype=F64).eval()
        batch = batch_of(data, [0, 1, 2], F64)
        wanted = functional.cross_entropy(method.logits(batch.images), batch.labels, label_smoothing=0.2)
        torch.testing.assert_close(method.loss(batch).parts["ce"], wanted)


class TestPrediction:
    @pytest.mark.parametrize("options", [{}, {"samples": 3}, {"start": "image"}, {"sampling_steps": 1}, {"ema": False}])
    @pytest.mark.parametrize("fusion", ["concat", "sum", "gate"])
    def test_it_depends_on_the_image_alone(self, fusion, options):
        data = small_world()
        method = marnet(data, fusion=fusion, **options)
        everyone = logits_of(method, data)
        torch.manual_seed(77)
        images = torch.from_numpy(data.valid.pixels[[5, 3]]).permute(0, 3, 1, 2).double() / 255
        with torch.no_grad():
            torch.testing.assert_close(method.logits(images), everyone[[5, 3]])
        for part in (method.text, method.text_head):
            for weight in part.parameters():
                weight.data.fill_(float("nan"))
        assert logits_of(method, data).equal(everyone)

    def test_it_starts_from_the_same_noise_whatever_the_seed(self):
        data = small_world()
        one, other = marnet(data, seed=1), marnet(data, seed=2)
        assert one.noise.equal(other.noise) and not one.head.weight.equal(other.head.weight)
        state = torch.get_rng_state()
        logits_of(one, data)
        assert torch.get_rng_state().equal(state)

    def test_several_samples_are_averaged(self):
        data = small_world()
        method = marnet(data, samples=3).eval()
        features = method.wrapped.features(batch_of(data, [0, 1], F64).images)
        embedded = method.image_projection(features)
        mean = method.sample(features, embedded)
        singles = []
        for row in method.noise:
            method.noise, method.config = row[None], method.config.model_copy(update={"samples": 1})
            singles.append(method.sample(features, embedded))
        torch.testing.assert_close(mean, torch.stack(singles).mean(0))

    def test_the_reconstruction_resembles_its_own_text_more_than_anothers(self):
        data = small_world()
        method = marnet(data, dtype=torch.float32)
        fit(method, data, epochs=15)
        method.eval()
        batch = batch_of(data, range(64), torch.float32)
        with torch.no_grad():
            features = method.wrapped.features(batch.images)
            rebuilt = method.sample(features, method.image_projection(features))
            true = layer_norm(method.text(batch.text))
        own = functional.cosine_similarity(rebuilt, true).mean()
        shuffled = functional.cosine_similarity(rebuilt, true.roll(1, 0)).mean()
        assert own > shuffled + 0.05


def test_it_wraps_classifiers_with_features_only():
    adapter = METHODS.get("marnet")

    class Bare(Classifier):
        pass

    assert adapter.compatible(METHODS.get("mostpop")) == "it is no image classifier"
    assert adapter.compatible(adapter) == "it is no image classifier"
    assert adapter.compatible(Bare) == "it exposes no features"
    assert adapter.compatible(METHODS.get("vit")) is None


def test_a_linear_probe_is_refused_because_the_head_would_train_its_encoder():
    data, entry = small_world(), {"method": "marnet", "wrap": {"method": "clip_align"}}
    config = small_config(entry)
    config["wrapped"]["probe"] = True
    with pytest.raises(BenchError, match="cannot wrap a linear probe"):
        build(entry, data, config=config)
    build(entry, data, config=config | {"ema": False, "cdr": False})  # the bare method stays as it is


def test_any_classifier_with_features_can_be_wrapped():
    class Mean(Classifier):
        def __init__(self, context):
            super().__init__(None, context)
            self.width = 3

        def features(self, images):
            return images.mean((2, 3))

    data = small_world()
    context = marnet(data).context
    adapter = METHODS.get("marnet")
    method = adapter(adapter.Config(dim=8), context, Mean(context))
    assert method.loss(batch_of(data, [0, 1], F64)).parts.keys() == {"text_ce", "ema", "cdr", "ce"}
    assert logits_of(method, data).shape == (32, 4)


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"sampling_steps": 0}, {"samples": 0}, {"temperature": 0.0}])
def test_settings_out_of_bounds_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        METHODS.get("marnet").Config.model_validate(wrong)
