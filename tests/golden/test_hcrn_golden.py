"""HCRN against the authors' recorded numbers in float64: the relation units, the read-out and the whole model.

Every recorded parameter is mapped, or is one that the recording itself lists as unused (the layer of the subset that
holds all objects, which we do not build). Tolerances are those of the recordings' README.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from recordings import DOUBLE, recording, same, tensor
from vqa_recordings import (
    ANSWER,
    RECURRENT,
    check_gradients,
    inside,
    linear,
    load,
    lstm,
    recorded_batch,
    recorded_data,
)

from bench.methods.base import Context
from bench.methods.layers.crn import FeatureAggregation, RelationUnit, draw_subsets, subset_of
from bench.methods.vqa.hcrn import HCRN, Subsets


@pytest.fixture(scope="module")
def read():
    return lambda name: recording(f"vision/hcrn_{name}")


def unit_names(unit, ours="", theirs="", *, first):
    """Layer i of ours is layer `first` + i of theirs: theirs has one for the set of all objects too."""
    names = {}
    for index in range(unit.outputs):
        names |= linear(f"{ours}fuse.{index}", f"{theirs}k_objects_fusion.{first + index}")
        if len(unit.gate):
            names |= linear(f"{ours}gate.{index}", f"{theirs}gate_k_objects_fusion.{first + index}")
    return names


AGGREGATION = (
    linear("question", "q_proj", bias=False)
    | linear("visual", "v_proj", bias=False)
    | linear("join", "cat")
    | linear("score", "attn")
)


def fill(module, record, names):
    """Loads all but the layers recorded as unused; our tables of subsets are not recorded."""
    tables = {name for name in module.state_dict() if "fixed_" in name}
    load(module, record, names, without=record.get("aux/unused_params_grad", ()), own=tables)


def replayed(record, units, first=0):
    """Turns recorded draws, from number `first` on, into the subsets of units in the order of their calls."""
    found = []
    for unit in units:
        subsets = []
        for size in unit.sizes:
            ranks = record["aux/drawn_idx"][first]
            ranks = ranks[ranks >= 0]
            members = subset_of(ranks, unit.objects, size)
            first += 1
            subsets.append(tensor(members / size)[None])
        found.append(subsets)
    return found


@pytest.mark.parametrize("name", ["crn_plain", "crn_gated", "crn_rank3", "crn_smallmax"])
def test_relation_unit(read, name):
    record = read(name)
    sizes = json.loads(str(record["meta/config"]))
    n, largest = sizes["num_objects"], sizes["max_subset_size"]
    unit = RelationUnit(n, sizes["module_dim"], DOUBLE, gated=sizes["gating"], largest=largest, draws=None)
    names = unit_names(unit, first=int(largest == n))
    fill(unit, record, names)
    objects, condition = tensor(record["in/objects"]), tensor(record["in/cond"])
    if objects.dim() == 3:
        # One list of vectors; in the other recording each object is a row of R vectors.
        objects, condition = objects[:, :, None], condition[:, None]
    objects = objects.permute(1, 2, 0, 3)

    def flat(outputs):
        theirs = outputs.permute(2, 0, 1, 3)
        return theirs if record["in/objects"].ndim == 4 else theirs.squeeze(2)

    (drawn,) = replayed(record, [unit])
    same(flat(unit(objects, condition, drawn)), record["out/y"])
    for mode in (True, False):
        found = flat(unit.train(mode)(objects, condition))
        same(found, record["out/y_all_subsets"])
    found.square().sum().backward()
    check_gradients(unit, record, names)


def test_recorded_sizes_of_subsets_are_ours(read):
    assert RelationUnit(5, 2, DOUBLE, largest=3).sizes == (5, 4, 3)
    assert RelationUnit(5, 2, DOUBLE).sizes == (4, 3, 2)
    assert read("crn_smallmax")["aux/drawn_n"].tolist() == [1, 5, 10]
    assert read("crn_plain")["aux/drawn_n"].tolist() == [5, 10, 10]


def test_feature_aggregation(read):
    record = read("feature_aggregation")
    module = FeatureAggregation(6, DOUBLE, dropout=0.0)
    fill(module, record, AGGREGATION)
    found = module(tensor(record["in/q"]), tensor(record["in/visual"])).vector
    same(found, record["out/v"])
    found.square().sum().backward()
    check_gradients(module, record, AGGREGATION)


@pytest.fixture
def whole(read):
    record = read("full")
    sizes = json.loads(str(record["meta/config"]))
    clips = record["in/appearance"], record["in/motion"]
    data = recorded_data(record, sizes, ("question", "question_len"), clips)
    config = HCRN.Config(
        subsets="all", dim=sizes["module_dim"], word_dim=sizes["word_dim"], dropout=0.0, word_dropout=0.0,
        question_dropout=0.0,
    )  # fmt: skip
    method = HCRN(config, Context(data, {}, DOUBLE))
    visual_unit = "visual_input_unit"
    names = {"encoder.embed.table.weight": "linguistic_input_unit.encoder_embed.weight"}
    names |= lstm("encoder.final", "linguistic_input_unit.encoder")
    for part in RECURRENT:
        names[f"motion_lstm.{part}"] = f"{visual_unit}.sequence_encoder.{part}"
    for ours, theirs in (
        ("frames", "appearance_feat_proj"),
        ("clip_motions", "clip_level_motion_proj"),
        ("video_motions", "video_level_motion_proj"),
        ("questions", "question_embedding_proj"),
    ):
        names |= linear(ours, f"{visual_unit}.{theirs}")
    for level in ("clip", "video"):
        for condition in ("motion", "question"):
            ours = f"{level}_{condition}"
            theirs = f"{visual_unit}.{level}_level_{condition}_cond."
            names |= unit_names(getattr(method, ours), f"{ours}.", theirs, first=1)
    names |= inside("read", "feature_aggregation", AGGREGATION) | inside("head", "output_unit", ANSWER)
    fill(method, record, names)
    return record, method, names, recorded_batch(record)


def test_whole_model_with_all_subsets(whole):
    record, method, names, batch = whole
    method.eval()
    question = method.encoder(batch.asked.question).final
    same(method.relate(method.watch(batch.visual), question), record["out/visual_units_all_subsets"])
    same(method.logits(batch.visual, batch.asked), record["out/logits_eval_all_subsets"])
    method.train()
    same(method.logits(batch.visual, batch.asked), record["out/logits_train_all_subsets"])
    loss = method.loss(batch).total
    same(loss, record["loss/ce_train_all_subsets"])
    loss.backward()
    check_gradients(method, record, names)


def test_whole_model_with_the_recorded_draws(whole):
    record, method, _, batch = whole
    method.eval()
    clips = batch.visual.motion.shape[1]
    units = [method.clip_motion, method.clip_question] * clips + [method.video_motion, method.video_question]
    *of_clips, video_motion, video_question = replayed(record, units)
    clip_motion, clip_question = (
        [torch.cat(sized) for sized in zip(*of_clips[first::2], strict=True)] for first in (0, 1)
    )
    subsets = Subsets(clip_motion, clip_question, video_motion, video_question)
    question = method.encoder(batch.asked.question).final
    units_found = method.relate(method.watch(batch.visual, subsets), question, subsets)
    same(units_found, record["out/visual_units"])
    same(method.head(method.read(question, units_found).vector, question), record["out/logits_eval"])


def test_the_authors_head_is_512_wide_and_otherwise_the_same(whole):
    _, method, _, batch = whole
    config = HCRN.Config(**{**method.config.model_dump(), "authors_head": True})
    published = HCRN(config, method.context).eval()
    assert published.head.layers[1].weight.shape == (512, 6 + 512)
    assert published.logits(batch.visual, batch.asked).shape == (2, 4)
    shared = {name for name in method.state_dict() if not name.startswith("head.")}
    assert shared == {name for name in published.state_dict() if not name.startswith("head.")}


def test_draws_without_replacement_follow_the_recorded_order_of_subsets():
    rng = np.random.default_rng(0)
    every = draw_subsets(rng, 5, 3, draws=None, groups=4)
    assert every.shape == (1, 10, 5)
    picked = draw_subsets(rng, 5, 3, draws=4, groups=3)
    assert picked.shape == (3, 4, 5)
    assert all(len({tuple(row) for row in group}) == 4 for group in picked)
