"""DE-Net's networks against the authors' recorded numbers in float64; its training was never published."""

from __future__ import annotations

import pytest
import torch
from gan_recordings import AFFINE, CRITIC, check_block, check_gradients, load, read
from recordings import EXACT, same
from torch.nn import functional

from bench.methods.layers.affine import ChannelAffine
from bench.methods.layers.denet_blocks import (
    CompPred,
    DCBlock,
    DEBlock,
    Discriminator,
    DynamicConvolution,
    Editor,
    Halving,
    SemanticBlock,
)

SEQUENTIAL = (
    (r"img_enc\.conv1\.", "image.0."),
    (r"img_enc\.conv2\.", "image.2."),
    (r"txt_enc\.main\.linear1\.", "text.0."),
    (r"txt_enc\.main\.linear2\.", "text.2."),
    (r"fuse\.main\.linear1\.", "fuse.0."),
    (r"fuse\.main\.linear2\.", "fuse.2."),
    (r"\bfc\.linear1\.", "last."),
)
DYNAMIC = ((r"(scales|shifts)\.linear1\.", r"\1.first."), (r"(scales|shifts)\.linear2\.", r"\1.last."))
SPATIAL = ((r"conv_weight\.", "alpha."), (r"conv_bias\.", "delta."), (r"\bconv\.", "dynamic."), *DYNAMIC)
BLOCK = (
    (r"(^|\.)conv\.(?=weight|bias$)", r"\1convolution."),
    (r"DCBlk\.convolution\.", "DCBlk.conv."),
    (r"CAFF\.", "channel."),
    (r"DCBlk\.conv_weight\.", "spatial.alpha."),
    (r"DCBlk\.conv_bias\.", "spatial.delta."),
    (r"DCBlk\.conv\.", "spatial.dynamic."),
    (r"\bfc\.linear2\.", "composition."),
    *AFFINE,
    *DYNAMIC,
)
NORM = ((r"\bconv\.", "convolution."), (r"\b(bn|batchnorm)\.", "norm."))


def levels(pattern, name):
    return tuple((rf"^{pattern}{number + 1}\.", f"{name}.{number}.") for number in range(6))


EDITOR = (
    (r"^ext\.", "first."),
    (r"^conv_img\.1\.", "to_rgb."),
    (r"^cwp\.", "predictor."),
    *SEQUENTIAL,
    *levels("down", "down"),
    *levels("yp", "semantic"),
    *levels("up", "up"),
    *BLOCK,
    (r"\.bn\.", ".norm."),
)
DISCRIMINATOR = ((r"^block(\d)\.", r"blocks.\1."), *NORM, *CRITIC)


def test_dynamic_convolution():
    record = read("denet_dynconv")
    module = DynamicConvolution(4, 6)
    check_block(module, record, DYNAMIC, "x", "cond")
    same(module.scales(record["in/cond"]), record["out/scale"])
    same(module.shifts(record["in/cond"]), record["out/shift"])


def test_spatial_affine():
    record = read("denet_dcblock")
    module = DCBlock(4, 6)
    check_block(module, record, SPATIAL, "h", "m", "cond")
    responses = module.responses(record["in/m"], record["in/cond"])
    same(responses, record["out/q"])
    same(module.alpha(responses), record["out/alpha"])
    same(module.delta(responses), record["out/delta"])


def test_channel_affine():
    check_block(ChannelAffine(6, 4, hidden=6), read("denet_caff"), AFFINE, "x", "cond")


def test_composition_predictor():
    record = read("denet_comp_pred")
    module = CompPred(5, 6).double()
    known = load(module, record, SEQUENTIAL)
    same(module.image(record["in/bottleneck"]).flatten(1), record["out/v"])
    same(module.text(record["in/cond"]), record["out/q"])
    context = module(record["in/bottleneck"], record["in/cond"])
    same(context, record["out/t"])
    context.square().sum().backward()
    check_gradients(module, record, known)


def test_dynamic_editing_block():
    record = read("denet_deblock")
    module = DEBlock(5, 3, 6)
    check_block(module, record, BLOCK, "u", "skip", "m", "cond", "t")
    same(module.weights(record["in/t"]), record["out/w"])


def test_down_and_up_blocks():
    record = read("denet_enc_dec_blocks")
    down, up = Halving(3, 5).double(), SemanticBlock(5, 3).double()
    known_down, known_up = load(down, record, NORM, "down."), load(up, record, NORM, "up.")
    skip = record["in/x"]
    for mode in ("eval", "train"):
        down.train(mode == "train")
        small = down(skip)
        same(small, record[f"out/down_{mode}"])
        large = up(small, skip)
        same(large, record[f"out/up_{mode}"])
    same(down.norm.running_mean, record["out/bn_mean_after"])
    same(down.norm.running_var, record["out/bn_var_after"])
    large.square().sum().backward()
    check_gradients(down, record, known_down)
    check_gradients(up, record, known_up)


def summaries(image):
    """The parts of a 256-pixel image that were recorded."""
    borders = torch.stack([image[:, :, 0], image[:, :, -1], image[:, :, :, 0], image[:, :, :, -1]])
    return {
        "16x16_mean": functional.avg_pool2d(image, 16),
        "crop": image[:, :, 96:128, 96:128],
        "borders": borders,
        "mean_sq": image.square().mean(),
    }


def check_stage(record, name, mode, value):
    assert tuple(value.shape) == tuple(record[f"out/shape_{name}"].tolist())
    whole = record.get(f"out/{name}_{mode}")
    if whole is None:
        same(torch.stack([value.mean(), value.std()]), record[f"out/{name}_mean_std_{mode}"])
    else:
        same(value, whole)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_whole_networks(mode):
    record = read("denet_full")
    editor, discriminator = Editor(2, 12, 256).double(), Discriminator(2, 12, 256).double()
    makes = load(editor, record, EDITOR, "netG.")
    judges = load(discriminator, record, DISCRIMINATOR, ("netD.", "netC."))
    editor.train(mode == "train")
    discriminator.train(mode == "train")
    stages = {}
    watched = {
        "down": editor.down,
        "yp": editor.semantic,
        "up": editor.up,
    }
    for name, blocks in watched.items():
        for number, block in enumerate(blocks, start=1):
            block.register_forward_hook(lambda _, __, out, key=f"{name}{number}": stages.__setitem__(key, out))
    editor.predictor.register_forward_hook(lambda _, __, out: stages.__setitem__("cwp", out))
    images = functional.interpolate(record["in/img16"], scale_factor=16, mode="nearest")
    sentences = record["in/cond"]
    edited = editor(images, sentences)
    for name, value in summaries(edited).items():
        same(value, record[f"out/fake_{name}_{mode}"])
    assert len(stages) == 19
    for name, value in stages.items():
        check_stage(record, name, mode, value)
    for number, block in enumerate(editor.up, start=1):
        same(block.weights(stages["cwp"]), record[f"out/w{number}_{mode}"])
    for name, picture in (("", images), ("_fake", edited)):
        features = discriminator.features(picture)
        same(features, record[f"out/D{name}_{mode}"])
        logits = discriminator(features, sentences)
        same(logits, record[f"out/logit{name}_{mode}"])
    if mode == "eval":
        whole = record["out/fake_full_sample0_float32_eval"]
        torch.testing.assert_close(edited[0].float(), whole, rtol=1e-6, atol=1e-7)
        return
    for key, value in record.items():
        if key.startswith("out/after_train_forward/netG."):
            ours = makes[key.removeprefix("out/after_train_forward/")]
            same(editor.state_dict()[ours], value)
    logits.mean().backward(retain_graph=True)
    check_gradients(discriminator, record, judges, "grad_logit_fake_mean")
    editor.zero_grad()
    probe = edited.square().mean()
    torch.testing.assert_close(probe.detach(), record["loss/probe_G"], **EXACT)
    probe.backward()
    check_gradients(editor, record, makes)
