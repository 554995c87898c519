"""DF-GAN, GALIP, DE-Net and its ablations: what their mechanics promise."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from generation_worlds import FAST, as_images, batch, make, optimisers, prompts, step, world
from torch import nn

from bench.errors import UserError
from bench.methods.generation.channel_affine import ChannelAffineEditor
from bench.methods.generation.denet import DENet
from bench.methods.generation.dfgan import DFGAN
from bench.methods.generation.galip import GALIP
from bench.methods.generation.no_edit import NoEdit
from bench.methods.generation.spatial_affine import SpatialAffineEditor
from bench.methods.layers import clip_towers, denet_blocks, galip_blocks
from bench.methods.layers.adversarial import Noise, gradient_norms, leaf, matching_penalty
from bench.methods.layers.affine import ChannelAffine, DeepFusion, lrelu
from bench.methods.layers.denet_blocks import CompPred, DCBlock, DEBlock, DynamicConvolution
from bench.methods.layers.galip_blocks import MateDiscriminator, MateGenerator, Sizes

SMALL = {"encoder": FAST, "width": 4}
GENERATORS = {DFGAN: {"noise": 5}, GALIP: {"noise": 5, "code": 8, "middle": 4, "critic": 8, "assessor": 4}}
EDITORS = (DENet, ChannelAffineEditor, SpatialAffineEditor)
ALL = [
    *((cls, extra, "text_to_image") for cls, extra in GENERATORS.items()),
    *((c, {}, "image_editing") for c in EDITORS),
]


def built(cls, extra=None, task="text_to_image", side=16, **config):
    data = world(task=task, side=side)
    return make(cls, data, **SMALL, **(GENERATORS.get(cls, {}) if extra is None else extra), **config), data


def test_a_channel_affine_is_the_identity_at_the_start():
    features, condition = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    assert ChannelAffine(5, 3)(features, condition).equal(features)
    assert DeepFusion(5, 3)(features, condition).equal(lrelu(lrelu(features)))


def test_a_dynamic_convolution_is_a_plain_one_at_the_start():
    module, features = DynamicConvolution(3, 5).double(), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    plain = nn.functional.conv2d(features, module.weight, padding=1)
    torch.testing.assert_close(module(features, torch.randn(2, 5, dtype=torch.float64)), plain)


def test_both_branches_weigh_one_half_at_the_start():
    block = DEBlock(3, 4, 5)
    assert block.weights(torch.randn(2, 20)).eq(0.5).all()


def test_extraction_blocks_are_switched_off_at_the_start():
    block, features = galip_blocks.ExtractionBlock(3, 3, gated=True), torch.randn(2, 3, 7, 7)
    assert block(features, torch.randn(2, 3, 7, 7)).equal(features)


def test_the_penalty_agrees_with_finite_differences():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).double()
    image, sentence = leaf(torch.randn(3, 3, dtype=torch.float64)), leaf(torch.randn(3, 2, dtype=torch.float64))

    def logits(first, second):
        return network(torch.cat([first, second], dim=1))

    step_size, slopes = 1e-6, torch.zeros(3, 5, dtype=torch.float64)
    for column in range(5):
        shift = torch.zeros(3, 5, dtype=torch.float64)
        shift[:, column] = step_size
        ahead = logits(image + shift[:, :3], sentence + shift[:, 3:])
        behind = logits(image - shift[:, :3], sentence - shift[:, 3:])
        slopes[:, column] = ((ahead - behind) / (2 * step_size))[:, 0].detach()
    found = gradient_norms(logits(image, sentence), (image, sentence))
    torch.testing.assert_close(found, slopes.square().sum(1), rtol=1e-7, atol=1e-10)
    expected = 2.0 * slopes.norm(dim=1).pow(6).mean()
    torch.testing.assert_close(
        matching_penalty(logits(image, sentence), (image, sentence)), expected, rtol=1e-7, atol=1e-10
    )


def test_a_flat_discriminator_has_no_penalty_and_a_finite_gradient():
    weight, image = torch.zeros(3, requires_grad=True), leaf(torch.randn(2, 3))
    penalty = matching_penalty((image * weight).sum(1), (image,))
    penalty.backward()
    assert penalty == 0
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize(("cls", "extra", "task"), ALL)
def test_training_moves_both_players_and_no_frozen_weight(cls, extra, task):
    method, data = built(cls, extra, task)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    players = optimisers(method)
    for _ in range(3):
        losses = step(method, players, batch(data))
    assert [*losses] == ["discriminator", "generator"]
    for loss in losses.values():
        assert loss.total.isfinite()
    learned = {id(parameter) for group in method.groups().values() for parameter in group.parameters}
    still = []
    for name, parameter in method.named_parameters():
        frozen = name.startswith("encoder.")
        assert frozen != (id(parameter) in learned), name
        if frozen:
            assert parameter.equal(before[name]), name
            assert parameter.grad is None, name
        else:
            still += [name] if parameter.equal(before[name]) else []
    # All hidden units of a small condition MLP may be off for every caption; nothing else may stand still.
    assert all(".gamma." in name or ".beta." in name for name in still), still
    assert len(still) < 10


@pytest.mark.parametrize(("cls", "extra", "task"), ALL)
def test_equal_seeds_give_equal_weights(cls, extra, task):
    weights = []
    for _ in range(2):
        method, data = built(cls, extra, task)
        step(method, optimisers(method), batch(data))
        weights.append(method.state_dict())
    assert all(tensor.equal(weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.parametrize("cls", GENERATORS)
def test_images_depend_on_the_generator_and_on_the_caption_alone(cls):
    method, data = built(cls)
    method.eval()
    given = prompts(data.valid.captions)
    with torch.no_grad():
        first, second, other = (method.generate(given, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (6, 3, 16, 16)
    assert first.abs().max() <= 1
    assert first.equal(second)
    assert not first.equal(other)


def test_sides_that_are_no_power_of_two():
    method, data = built(GALIP, side=24)
    assert method.generate(prompts(data.valid.captions), torch.Generator()).shape[-2:] == (24, 24)
    for cls, task in ((DFGAN, "text_to_image"), (DENet, "image_editing")):
        with pytest.raises(UserError, match="24 x 24"):
            built(cls, task=task, side=24)


def test_the_generators_sizes_are_the_published_ones():
    assert galip_blocks.image_sizes(224) == (8, 16, 32, 64, 128, 224)
    assert galip_blocks.image_sizes(56) == (8, 16, 32, 56)
    assert list(galip_blocks.prompted_layers(4)) == [1, 2, 3]
    assert galip_blocks.tapped_layers(4) == (0, 1, 2)


def test_galips_penalty_never_differentiates_the_transformer_twice(monkeypatch):
    """A second derivative of this stand-in for attention would raise, as it does in fused kernels."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, tokens):
            return tokens.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):
            return gradient.clone()

    through = clip_towers._through
    monkeypatch.setattr(clip_towers, "_through", lambda layer, tokens: Once.apply(through(layer, tokens)))
    method, data = built(GALIP)
    step(method, optimisers(method), batch(data))


def test_galips_generator_step_sees_the_changed_discriminator_and_the_old_images():
    method, data = built(GALIP)
    draws = []
    make_image = method.generator.forward
    method.generator.forward = lambda *given: draws.append(1) or make_image(*given)
    steps = method.steps(batch(data))
    next(steps)
    with torch.no_grad():
        for parameter in method.discriminator.parameters():
            parameter.zero_()
    _, loss = next(steps)
    assert loss.parts["adversarial"] == 0
    assert len(draws) == 1


def test_every_part_of_denet_gets_a_gradient():
    method, data = built(DENet, task="image_editing")
    for parameter in method.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.2)
    (_, judged), (_, edited) = method.steps(batch(data))
    edited.total.backward()
    for block in method.editor.up:
        for part in (
            block.spatial.dynamic.scales,
            block.spatial.dynamic.shifts,
            block.spatial.alpha,
            block.spatial.delta,
        ):
            assert all(parameter.grad.abs().max() > 0 for parameter in part.parameters())
        assert block.composition.weight.grad.abs().max() > 0
    assert all(parameter.grad is not None for parameter in method.editor.parameters())
    assert judged.parts["penalty"] > 0


def test_ablations_have_no_weights_of_what_they_lack():
    def kinds(method):
        return {type(module) for module in method.editor.modules()}

    whole = built(DENet, task="image_editing")[0]
    assert {CompPred, DCBlock, ChannelAffine, DynamicConvolution} <= kinds(whole)
    assert whole.editor.semantic is not None
    channel = built(ChannelAffineEditor, task="image_editing")[0]
    assert not {CompPred, DCBlock, DynamicConvolution} & kinds(channel)
    assert channel.editor.semantic is None
    spatial = built(SpatialAffineEditor, task="image_editing")[0]
    assert not {CompPred, ChannelAffine} & kinds(spatial)
    for flag, lost in (("composition", CompPred), ("dynamic", DynamicConvolution)):
        assert lost not in kinds(built(DENet, task="image_editing", **{flag: False})[0])
    bare = built(DENet, task="image_editing", semantic=False, composition=False, dynamic=False, identity=1.0)[0]
    assert bare.editor.semantic is None
    data = world(task="image_editing")
    assert "identity" in step(bare, optimisers(bare), batch(data))["generator"].parts


def test_an_editor_draws_its_targets_from_the_neighbours_where_none_are_given():
    method, data = built(DENet, task="image_editing", targets="rolled")
    seen = []
    edit = method.editor.forward
    method.editor.forward = lambda images, sentences: seen.append(sentences) or edit(images, sentences)
    given = batch(data)
    next(method.steps(given))
    captions = method.encoder.texts(given.captions)
    assert seen[0].equal(captions.roll(-1, 0))


def test_an_edit_is_a_function_of_image_and_caption():
    method, data = built(DENet, task="image_editing")
    method.eval()
    images, wanted = as_images(data.valid.sources.pixels), prompts(data.valid.targets)
    with torch.no_grad():
        whole = method.edit(images, wanted)
        assert whole.equal(method.edit(images, wanted))
    assert whole.shape == images.shape
    assert whole.abs().max() <= 1


def test_no_edit_returns_its_input_bit_for_bit():
    data = world(task="image_editing")
    method = make(NoEdit, data)
    method.fit()
    images = as_images(data.valid.sources.pixels)
    assert method.edit(images, prompts(data.valid.targets)).equal(images)
    assert method.encoders == frozenset()


def test_truncated_noise_stays_inside_twice_the_truncation():
    like = torch.zeros(1, dtype=torch.float64)
    noise = Noise(50, 0.5).draw(200, torch.Generator().manual_seed(0), like)
    assert noise.abs().max() <= 1.0
    assert noise.dtype == torch.float64
    assert 0.4 < noise.std() / 0.5 < 0.95
    assert Noise(50).draw(200, torch.Generator().manual_seed(0), like).abs().max() > 2.5


def test_each_weight_is_stored_once_and_makes_the_same_images():
    method, data = built(GALIP)
    weights = method.state_dict()
    assert len({tensor.data_ptr() for tensor in weights.values()}) == len(weights)
    assert any(name.startswith("encoder.") for name in weights)
    other, _ = built(GALIP, seed=1)
    other.load_state_dict(weights)
    given = prompts(data.valid.captions)
    drawn_twice = [each.generate(given, torch.Generator().manual_seed(0)) for each in (method, other)]
    assert drawn_twice[0].equal(drawn_twice[1])


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    tower = SimpleNamespace(grid=7, width=768, layers=12)
    with torch.device("meta"):
        counted = {
            "galip": MateGenerator(Sizes(), 512, tower, 224),
            "galip critic": MateDiscriminator(Sizes(), 512, 768),
            "denet": denet_blocks.Editor(32, 256, 256),
            "denet wide": denet_blocks.Editor(64, 256, 256),
        }
    millions = {name: sum(weight.numel() for weight in net.parameters()) / 1e6 for name, net in counted.items()}
    # The authors' discriminator counts 30.8 M with two 1 x 1 convolutions that nothing reads.
    dead = 2 * (768 * 768 + 768) / 1e6
    published = {"galip": 51.8, "galip critic": 30.8 - dead, "denet": 18.8, "denet wide": 51.7}
    assert millions == pytest.approx(published, abs=0.05)


def test_methods_name_the_encoder_they_looked_through():
    for cls, extra, task in ALL:
        assert built(cls, extra, task)[0].encoders == {FAST}


def test_doubles_are_trained_as_doubles():
    method = make(GALIP, data := world(), dtype=torch.float64, **SMALL, **GENERATORS[GALIP])
    losses = step(method, optimisers(method), batch(data))
    assert losses["generator"].total.dtype == torch.float64
