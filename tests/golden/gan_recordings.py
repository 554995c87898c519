"""Recordings of the authors' GANs: tensors, weights by translated names, gradients."""

from __future__ import annotations

import re

from recordings import GRADIENT, recording, same, tensor

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
