"""Recordings of the authors' GANs: tensors, weights by translated names, gradients."""

from __future__ import annotations

import re
from types import SimpleNamespace

import torch
from lightning_fabric import Fabric
from recordings import DOUBLE, GRADIENT, recording, same, tensor

from bench.methods.base import Context
from bench.methods.generator import ImageTextBatch, Prompts
from bench.training.optimise import Optimisers

AFTER = {"rtol": 1e-7, "atol": 1e-9}

AFFINE = (
    (r"fc_(gamma|beta)\.linear1\.", r"\1.first."),
    (r"fc_(gamma|beta)\.linear2\.", r"\1.last."),
    (r"affine(\d)\.", r"affines.\1."),
)
FUSION = (
    *AFFINE,
    (r"fuse1\.", "fusions.0."),
    (r"fuse2\.", "fusions.1."),
    (r"\bc(?:onv)?1\.", "convolutions.0."),
    (r"\bc(?:onv)?2\.", "convolutions.1."),
    (r"c_sc\.", "shortcut."),
)
CRITIC = (
    (r"conv_r\.", "residual."),
    (r"conv_s\.", "shortcut."),
    (r"DBlocks\.", "blocks."),
    (r"joint_conv\.0\.", "head.joint."),
    (r"joint_conv\.2\.", "head.last."),
)


def read(name):
    arrays = recording(f"vision/{name}")
    return {key: tensor(value) if value.dtype.kind in "fib" else value for key, value in arrays.items()}


def translated(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def names(record, rules, prefix=""):
    """Returns our names by theirs; what the authors' code never trains has none."""
    dead = {str(name) for key in record if key.startswith("aux/unused_params") for name in record[key]}
    prefixes = (prefix,) if isinstance(prefix, str) else prefix
    found = {}
    for key in record:
        theirs = key.removeprefix("param/")
        start = next((start for start in prefixes if theirs.startswith(start)), None)
        if key.startswith("param/") and start is not None and theirs not in dead:
            found[theirs] = translated(theirs.removeprefix(start), rules)
    return found


def load(module, record, rules, prefix=""):
    """Fills every parameter of ours; every recorded one that is trained must be used."""
    known = names(record, rules, prefix)
    module.load_state_dict({ours: record[f"param/{theirs}"] for theirs, ours in known.items()})
    return known


def check_gradients(module, record, known, kind="grad"):
    ours = dict(module.named_parameters())
    checked = 0
    for theirs, name in known.items():
        if f"{kind}/{theirs}" in record:
            same(ours[name].grad, record[f"{kind}/{theirs}"], **GRADIENT)
            checked += 1
    assert checked == len(ours)


def check_block(module, record, rules, *inputs):
    """Loads, compares the output, and differentiates its sum of squares."""
    module.double()
    known = load(module, record, rules)
    output = module(*(record[f"in/{name}"] for name in inputs))
    same(output, record["out/y"])
    output.square().sum().backward()
    check_gradients(module, record, known)


def check_after(module, record, known):
    """Compares the parameters that were recorded after an optimiser step; returns how many."""
    ours = dict(module.named_parameters())
    recorded = [theirs for theirs in known if f"after/{theirs}" in record]
    for theirs in recorded:
        same(ours[known[theirs]], record[f"after/{theirs}"], **AFTER)
    return len(recorded)


class RecordedEncoder(torch.nn.Module):
    """In place of a frozen encoder: every caption has its recorded sentence vector."""

    identity = "recorded"

    def __init__(self, sentences, tower=None):
        super().__init__()
        self.sentences, self.tower, self.width = sentences, tower, sentences.shape[1]

    def texts(self, prompts):
        return self.sentences


def shipped(module, encoder, record, monkeypatch, *, side, **config):
    """Builds the registered method of a module around an encoder; its noise is the recorded one."""
    monkeypatch.setattr(module, "encoder_of", lambda *_: encoder)
    monkeypatch.setattr(module, "gaussian", lambda rows, width, like: record["in/noise"])
    settings = module.METHOD.Config(lr=1e-4, lr_discriminator=4e-4, **config)
    method = module.METHOD(settings, Context(SimpleNamespace(side=side), dtype=DOUBLE))
    return method.train()


def batch_of(record):
    """Returns the recorded images as a training batch; what its captions say is up to the encoder."""
    rows = len(record["in/real"])
    return ImageTextBatch(record["in/real"], Prompts(torch.ones(rows, 1), torch.ones(rows), ("",) * rows))


def check_losses_and_gradients(method, record, makes, judges):
    """Compares both losses of `steps` with the recording, and their gradients; no weight is changed between them."""
    steps = method.steps(batch_of(record))
    name, loss = next(steps)
    assert name == "discriminator"
    same(loss.total, record["loss/D"])
    for theirs, ours in (("real", "real"), ("fake", "fake"), ("mis", "mismatch"), ("ma_gp", "penalty")):
        same(loss.parts[ours], record[f"loss/{theirs}"])
    loss.total.backward()
    check_gradients(method.discriminator, record, judges, "grad_D")
    assert all(parameter.grad is None for parameter in method.generator.parameters())
    name, loss = next(steps)
    assert name == "generator"
    same(loss.total, record["loss/G"])
    loss.total.backward()
    check_gradients(method.generator, record, makes, "grad_G")
    assert next(steps, None) is None
    return loss.parts


def check_iteration(method, record, makes, judges):
    """Compares the weights after one batch, by the optimisers of the training loop, with the recorded ones."""
    players = Optimisers(method, method.config, 1, Fabric(accelerator="cpu", devices=1))
    for name, loss in method.steps(batch_of(record)):
        players.step(name, loss.total)
    assert check_after(method.discriminator, record, judges) == len(judges)
    assert check_after(method.generator, record, makes) == sum(name.startswith("after/netG") for name in record)
