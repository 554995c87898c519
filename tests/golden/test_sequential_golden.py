"""SASRec and GRU4Rec against the recorded outputs, losses, gradients and one Adam step of the authors' code.

In float64. The recordings pad on the right (RecBole) or on the left (pmixer); here all rows are turned to the left.
Weights are loaded through a map from our names to theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from bench.data.sequential import Histories, SequenceData, SequenceTargets
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.methods.sequential_recommender import SequenceBatch
from bench.training.optimise import Optimisers

ITEMS = 40


def data() -> SequenceData:
    none = Histories(np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32))
    return SequenceData("golden", 1, ITEMS, none, SequenceTargets(np.zeros(1), none, np.zeros(1)))


def to_left(rows: np.ndarray) -> torch.Tensor:
    """Turns right-padded rows to left-padded ones."""
    turned = np.zeros_like(rows)
    for row, found in zip(turned, rows, strict=True):
        real = found[found != 0]
        if len(real):
            row[-len(real) :] = real
    return torch.from_numpy(turned)


def recbole_names(blocks: int) -> dict[str, str]:
    names = {
        "items.weight": "item_embedding.weight",
        "encoder.positions.weight": "position_embedding.weight",
        "encoder.norm.weight": "LayerNorm.weight",
        "encoder.norm.bias": "LayerNorm.bias",
    }
    parts = {
        "attentions.{n}.query": "multi_head_attention.query",
        "attentions.{n}.key": "multi_head_attention.key",
        "attentions.{n}.value": "multi_head_attention.value",
        "attentions.{n}.dense": "multi_head_attention.dense",
        "attentions.{n}.norm": "multi_head_attention.LayerNorm",
        "forwards.{n}.first": "feed_forward.dense_1",
        "forwards.{n}.second": "feed_forward.dense_2",
        "forwards.{n}.norm": "feed_forward.LayerNorm",
    }
    for n in range(blocks):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                names[f"encoder.{ours.format(n=n)}.{kind}"] = f"trm_encoder.layer.{n}.{theirs}.{kind}"
    return names


def pmixer_names(blocks: int) -> dict[str, str]:
    names = {"items.weight": "item_emb.weight", "encoder.positions.weight": "pos_emb.weight"}
    for kind in ("weight", "bias"):
        names[f"encoder.last_norm.{kind}"] = f"last_layernorm.{kind}"
        for n in range(blocks):
            names[f"encoder.attentions.{n}.in_proj_{kind}"] = f"attention_layers.{n}.in_proj_{kind}"
            names[f"encoder.attentions.{n}.out_proj.{kind}"] = f"attention_layers.{n}.out_proj.{kind}"
            names[f"encoder.attention_norms.{n}.{kind}"] = f"attention_layernorms.{n}.{kind}"
            names[f"encoder.firsts.{n}.{kind}"] = f"forward_layers.{n}.conv1.{kind}"
            names[f"encoder.seconds.{n}.{kind}"] = f"forward_layers.{n}.conv2.{kind}"
            names[f"encoder.forward_norms.{n}.{kind}"] = f"forward_layernorms.{n}.{kind}"
    return names


GRU_NAMES = {
    "items.weight": "item_embedding.weight",
    "encoder.gru.weight_ih_l0": "gru_layers.weight_ih_l0",
    "encoder.gru.weight_hh_l0": "gru_layers.weight_hh_l0",
    "encoder.dense.weight": "dense.weight",
    "encoder.dense.bias": "dense.bias",
}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "sasrec_recbole": (
        "sasrec",
        {"dim": 8, "inner": 16, "heads": 2, "blocks": 2, "length": 6, "dropout": 0.0, "attention_dropout": 0.0},
        recbole_names(2),
    ),
    "sasrec": (
        "sasrec",
        {"dim": 8, "heads": 1, "blocks": 2, "length": 6, "dropout": 0.0, "variant": "pmixer", "objective": "bce"},
        pmixer_names(2),
    ),
    "gru4rec": ("gru4rec", {"dim": 8, "hidden": 12, "dropout": 0.0, "length": 6}, GRU_NAMES),
}


def built(name: str, recording: dict[str, np.ndarray]) -> Any:
    method_name, config, names = CASES[name]
    cls = METHODS.get(method_name)
    config = config | {"lr": float(recording["hyper/adam_lr"])}
    method = cls(cls.Config(**config), Context(data(), {}, torch.float64))
    assert {key.removeprefix("param/") for key in recording if key.startswith("param/")} == set(names.values())
    state = {ours: torch.from_numpy(recording[f"param/{theirs}"]) for ours, theirs in names.items()}
    shapes = {key: value.shape for key, value in method.state_dict().items()}
    method.load_state_dict({key: value.reshape(shapes[key]) for key, value in state.items()})
    return method


def batch(name: str, recording: dict[str, np.ndarray]) -> SequenceBatch:
    if name == "sasrec":
        parts = (torch.from_numpy(recording[f"batch/{key}"]) for key in ("seq", "pos", "neg"))
        inputs, targets, negatives = parts
        return SequenceBatch(inputs, targets, torch.where(targets != 0, negatives, 0))
    inputs = to_left(recording["batch/item_seq"])
    targets = torch.zeros_like(inputs)
    targets[:, -1] = torch.from_numpy(recording["batch/target"])
    return SequenceBatch(inputs, targets, torch.zeros_like(inputs))


@pytest.mark.parametrize("name", CASES)
def test_loss_gradients_scores_and_a_step_are_the_authors(name: str, golden: Any) -> None:
    recording = golden(name)
    method, rows = built(name, recording), batch(name, recording)
    names = CASES[name][2]
    histories = recording["batch/full_history"]
    full = torch.from_numpy(histories) if name == "sasrec" else to_left(histories)
    with torch.no_grad():
        scores = method.score(full).numpy()
    expected = recording["out/scores"]
    np.testing.assert_allclose(scores, expected[:, -ITEMS:], rtol=1e-9, atol=1e-11)

    optimisers = Optimisers(method, method.config, 1, Fabric(accelerator="cpu", devices=1))
    loss = method.loss(rows).total
    np.testing.assert_allclose(loss.item(), recording["out/loss"], rtol=1e-9)
    optimisers.step("", loss)
    for ours, parameter in method.named_parameters():
        wanted = recording[f"grad/{names[ours]}"].reshape(parameter.shape)
        np.testing.assert_allclose(parameter.grad.numpy(), wanted, rtol=1e-7, atol=1e-11, err_msg=ours)
    np.testing.assert_allclose(method.loss(rows).total.item(), recording["out/loss_after_adam"], rtol=1e-8)


def test_states_of_every_place_are_pmixers(golden: Any) -> None:
    recording = golden("sasrec")
    method = built("sasrec", recording)
    with torch.no_grad():
        states = method.encode(torch.from_numpy(recording["batch/seq"]))
    np.testing.assert_allclose(states.numpy(), recording["out/log_feats"], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["sasrec_recbole", "gru4rec"])
def test_newest_states_are_recboles(name: str, golden: Any) -> None:
    recording = golden(name)
    method = built(name, recording)
    with torch.no_grad():
        states = method.encode(to_left(recording["batch/item_seq"]))[:, -1]
    np.testing.assert_allclose(states.numpy(), recording["out/seq_output"], rtol=1e-9, atol=1e-11)
