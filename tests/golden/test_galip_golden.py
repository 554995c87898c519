"""GALIP against the authors' recorded numbers in float64: blocks, both halves around a frozen ViT, one iteration."""

from __future__ import annotations

import pytest
import torch
from gan_recordings import (
    AFFINE,
    CRITIC,
    FUSION,
    RecordedEncoder,
    check_block,
    check_gradients,
    check_iteration,
    check_losses_and_gradients,
    load,
    read,
    shipped,
    translated,
)
from recordings import GRADIENT, same
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from bench.methods.generation import galip
from bench.methods.layers.adversarial import (
    gradient_norms,
    hinge_fake,
    hinge_real,
    leaf,
    matching_penalty,
    mismatched,
)
from bench.methods.layers.affine import ChannelAffine, DeepFusion, FusionBlock
from bench.methods.layers.clip_towers import ImageTower
from bench.methods.layers.galip_blocks import (
    BridgeBlock,
    ExtractionBlock,
    MateDiscriminator,
    Sizes,
    prompted_layers,
    tapped_layers,
)

SIZES = Sizes(width=2, noise=6, code=8, middle=4, critic=10, assessor=6)
GENERATOR = (
    (r"^fc_code\.", "first."),
    (r"^mapping\.conv_fuse\.", "to_tower."),
    (r"^mapping\.conv\.", "from_tower."),
    (r"^mapping\.fc_prompt\.", "prompts."),
    (r"^mapping\.FBlocks\.", "bridge."),
    (r"GBlocks\.", "blocks."),
    (r"to_rgb\.1\.", "to_rgb."),
    *FUSION,
)
DISCRIMINATOR = ((r"^main\.", "last."), *CRITIC)
TOWER = (
    (r"^class_embedding", "embeddings.class_embedding"),
    (r"^positional_embedding", "embeddings.position_embedding.weight"),
    (r"^conv1\.", "embeddings.patch_embedding."),
    (r"^ln_pre\.", "pre_layrnorm."),
    (r"^ln_post\.", "post_layernorm."),
    (r"^transformer\.resblocks\.", "encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.c_fc\.", ".fc1."),
    (r"\.c_proj\.", ".fc2."),
)


def tower_of(record):
    """Builds the frozen tower; OpenAI's packed projections become three, its final matrix is transposed."""
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=12,
        num_attention_heads=2,
        image_size=28,
        patch_size=4,
        projection_dim=12,
        hidden_act="quick_gelu",
    )
    model = CLIPVisionModelWithProjection(config).double().requires_grad_(False).eval()
    weights = {}
    for key, value in record.items():
        if key.startswith("param/clip.visual.") and not key.endswith("visual.proj"):
            name = translated(key.removeprefix("param/clip.visual."), TOWER)
            head, packed, kind = name.partition("attn.in_proj_")
            if packed:
                for part, rows in zip("qkv", value.chunk(3), strict=True):
                    weights[f"{head}self_attn.{part}_proj.{kind}"] = rows
            else:
                weights[name] = value
    vision = model.vision_model
    loaded = vision.load_state_dict(weights, strict=False)
    assert not loaded.unexpected_keys
    assert {key.rpartition(".")[2] for key in loaded.missing_keys} <= {"position_ids"}
    model.visual_projection.weight.copy_(record["param/clip.visual.proj"].T)
    return ImageTower(vision, model.visual_projection)


@pytest.fixture
def recorded(monkeypatch):
    """The recording, the method with its weights around the recorded tower, and our names of them by theirs."""
    record = read("galip_full")
    encoder = RecordedEncoder(record["in/sent"], tower_of(record))
    method = shipped(galip, encoder, record, monkeypatch, side=28, clip_preproc="galip_legacy", **SIZES._asdict())
    makes = load(method.generator, record, GENERATOR, "netG.")
    judges = load(method.discriminator, record, DISCRIMINATOR, ("netD.", "netC."))
    return record, method, makes, judges


def test_prompts_and_taps_are_the_published_ones():
    assert list(prompted_layers(12)) == list(range(1, 9))
    assert tapped_layers(12) == (1, 4, 8)


def test_affine():
    check_block(ChannelAffine(6, 4), read("galip_affine"), AFFINE, "x", "cond")


def test_deep_fusion():
    check_block(DeepFusion(6, 4), read("galip_dfblock"), AFFINE, "x", "cond")


def test_bridge_blocks():
    check_block(BridgeBlock(5, 6, 3, 6), read("galip_mblock"), FUSION, "x", "cond")
    check_block(BridgeBlock(5, 4, 3, 6), read("galip_mblock_sc"), FUSION, "x", "cond")


def test_generator_blocks():
    check_block(FusionBlock(5, 6, 4, size=8), read("galip_gblock"), FUSION, "x", "cond")
    check_block(FusionBlock(5, 5, 5, size=14), read("galip_gblock_samech"), FUSION, "x", "cond")


def test_extraction_blocks():
    check_block(ExtractionBlock(6, 6, gated=True), read("galip_dblock_clip"), CRITIC, "x", "clip")
    check_block(ExtractionBlock(6, 4, gated=False), read("galip_dblock_main"), CRITIC, "x")


def test_hinge_losses():
    record = read("galip_hinge")
    same(hinge_real(record["in/logits"]), record["loss/hinge_real"])
    same(hinge_fake(record["in/logits"]), record["loss/hinge_fake"])


def test_mate_d_and_its_penalty():
    record = read("galip_mate_d")
    discriminator = MateDiscriminator(SIZES, 12, 16).double()
    known = load(discriminator, record, DISCRIMINATOR, ("netD.", "netC."))
    maps, sentence = leaf(record["in/feats"]), leaf(record["in/sent"])
    features = discriminator.features(maps)
    logits = discriminator(features, sentence)
    mismatch = discriminator(features, mismatched(sentence).detach())
    same(features, record["out/netD"])
    same(logits, record["out/logit"])
    same(mismatch, record["out/logit_mis"])
    same(hinge_fake(logits), record["loss/hinge_fake_on_logit"])
    norms = gradient_norms(logits, (maps, sentence))
    same(norms.sqrt(), record["aux/grad_norm_per_sample"])
    by_maps, by_sentence = torch.autograd.grad(logits.sum(), (maps, sentence), retain_graph=True)
    same(by_maps, record["grad_in/logit_feats"], **GRADIENT)
    same(by_sentence, record["grad_in/logit_sent"], **GRADIENT)
    penalty = matching_penalty(logits, (maps, sentence))
    same(penalty, record["loss/ma_gp"])
    penalty.backward(retain_graph=True)
    check_gradients(discriminator, record, known, "grad_gp")
    discriminator.zero_grad()
    (hinge_real(logits) + hinge_fake(mismatch) / 2.0 + penalty).backward()
    check_gradients(discriminator, record, known)


def test_networks_around_the_tower(recorded):
    record, method, makes, _ = recorded
    noise, sentences = record["in/noise"], record["in/sent"]
    tower, generator, discriminator = method.encoder.tower, method.generator, method.discriminator
    same(tower.pixels(record["in/real"], "galip_legacy"), record["out/clip_input"])
    real = method.look(record["in/real"])
    same(real.maps, record["out/C_real"])
    same(real.embeddings, record["out/f_real"])
    bridge, prompts = generator.predict(noise, torch.cat([noise, sentences], dim=1))
    same(bridge, record["out/G_bridge"])
    same(prompts.flatten(1), record["out/G_prompts_flat"])
    concepts = tower.prompted(bridge, dict(zip(range(1, 9), prompts.unbind(1), strict=True)))
    same(concepts, record["out/G_V"])
    fake = generator(noise, sentences, tower)
    same(fake, record["out/fake"])
    seen = method.look(fake)
    same(seen.maps, record["out/C_fake"])
    same(seen.embeddings, record["out/f_fake"])
    features = discriminator.features(real.maps)
    same(features, record["out/D_real"])
    same(discriminator(features, sentences), record["out/logit_real"])
    same(discriminator(features, mismatched(sentences)), record["out/logit_mis"])
    logits = discriminator(discriminator.features(seen.maps), sentences)
    same(logits, record["out/logit_fake"])
    same(logits, record["out/logit_fake_G"])
    assert len(makes) == sum(1 for _ in generator.parameters())


def test_the_training_steps_have_the_recorded_losses_and_gradients(recorded):
    record, method, makes, judges = recorded
    parts = check_losses_and_gradients(method, record, makes, judges)
    same(parts["similarity"], record["loss/sim"])
    same(parts["adversarial"], -record["out/logit_fake_G"].mean())


def test_one_training_iteration(recorded):
    record, method, makes, judges = recorded
    check_iteration(method, record, makes, judges)
