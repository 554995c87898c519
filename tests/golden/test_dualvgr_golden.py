"""DualVGR against the authors' recorded numbers in float64: every part, and the whole model.

A recorded parameter that the name maps do not know fails the test. Tolerances are those of the recordings' README.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from recordings import DOUBLE, GRADIENT, recording, same, tensor
from torch.nn import functional
from vqa_recordings import (
    ANSWER,
    BILINEAR,
    check_gradients,
    inside,
    linear,
    load,
    lstm,
    recorded_batch,
    recorded_data,
)

from bench.graph.compile import compile_view
from bench.methods.base import Context
from bench.methods.layers.clip_reasoning import (
    GraphAttention,
    QueryPunishment,
    ViewFusion,
    WordAttention,
    common_loss,
    dependence,
)
from bench.methods.layers.video import MFB, AnswerHead, AttentionReadout
from bench.methods.vqa.dualvgr import DualVGR


@pytest.fixture(scope="module")
def read():
    return lambda name: recording(f"vision/dualvgr_{name}")


def heads(ours, theirs):
    """Our one matrix of all heads is theirs one below the other."""
    names = {
        f"{ours}project.{kind}": tuple(f"{theirs}attention_{h}.W.{kind}" for h in range(4))
        for kind in ("weight", "bias")
    }
    names[f"{ours}logits"] = tuple(f"{theirs}attention_{h}.a.weight" for h in range(4))
    return names | {f"{ours}bias": tuple(f"{theirs}attention_{h}.a.bias" for h in range(4))}


WORD_ATTENTION = linear("enhance", "feat_enhance") | linear("score", "fc")
PUNISHMENT = linear("query", "query_weight")
FUSION = linear("score.0", "project.0") | linear("score.2", "project.2", bias=False)
READOUT = linear("project", "v_proj", bias=False) | linear("score", "attn")


def run(module, record, names, outputs):
    """Loads, computes, and differentiates the sum of squares of the first output."""
    load(module, record, names)
    found = outputs(module)
    for name, value in found.items():
        same(value, record[f"out/{name}"])
    next(iter(found.values())).square().sum().backward()
    check_gradients(module, record, names)


def test_word_attention_runs_over_padding_as_published(read):
    record = read("word_attention")
    module = WordAttention(8, DOUBLE, over_padding=True)
    mask = torch.arange(5) < tensor(record["in/question_len"])[:, None]

    def outputs(module):
        attended = module(tensor(record["in/words"]), tensor(record["in/H"]), mask)
        return {"q": attended.vector, "attn": attended.weights}

    run(module, record, WORD_ATTENTION, outputs)
    mended = WordAttention(8, DOUBLE)
    mended.load_state_dict(module.state_dict())
    attended = mended(tensor(record["in/words"]), tensor(record["in/H"]), mask)
    same(attended.weights, record["out/attn"], rtol=1e-4, atol=1e-12)
    same(attended.weights.sum(1), np.ones(3))


def test_query_punishment(read):
    record = read("query_punishment")
    module = QueryPunishment(6, 8, DOUBLE)
    run(module, record, PUNISHMENT, lambda m: {"s": m(tensor(record["in/q"]), tensor(record["in/visual"]))})


def test_graph_attention_scales_values_not_attention(read):
    record = read("gat")
    module = GraphAttention(8, tensor(record["in/adj"]) > 0, DOUBLE, heads=4, dropout=0.0)
    clips, punishment = tensor(record["in/x"]), tensor(record["in/s"]).squeeze(-1)
    run(module, record, heads("", ""), lambda m: {"y": m(clips, punishment)})
    same(module(clips, None), record["out/y_without_punishment"])


def test_view_fusion(read):
    record = read("view_fusion")
    run(
        ViewFusion(8, DOUBLE),
        record,
        FUSION,
        lambda m: dict(zip(("F", "weights"), m(tensor(record["in/z"])), strict=True)),
    )


def test_bilinear_fusion(read):
    record = read("mfb")
    module = MFB(8, 8, 8, DOUBLE, inner=6, factors=2)
    run(module, record, BILINEAR, lambda m: {"o": m(tensor(record["in/a"]), tensor(record["in/m"]))})


def test_read_out_and_answer_in_both_modes(read):
    record = read("readout_answer")
    module = torch.nn.ModuleDict(
        {"read": AttentionReadout(8, DOUBLE, dropout=0.0), "out": AnswerHead(8, 5, DOUBLE, dropout=0.0)}
    )
    names = inside("read", "read", READOUT) | inside("out", "out", ANSWER)
    load(module, record, names)

    def forward():
        attended = module["read"](tensor(record["in/visual"]))
        same(attended.vector, record["out/v"])
        return module["out"](attended.vector, tensor(record["in/q"]))

    module.eval()
    same(forward(), record["out/logits_eval"])
    module.train()
    same(forward(), record["out/logits_train"])


def test_losses_and_their_input_gradients(read):
    record = read("losses")
    for function, loss, short in ((common_loss, "L_com", "com"), (dependence, "hsic_batch_sum", "hsic")):
        x, y = (tensor(record[f"in/{name}"]).requires_grad_() for name in "xy")
        value = function(x, y)
        same(value, record[f"loss/{loss}"])
        value.backward()
        same(x.grad, record[f"grad_in/{short}_x"], **GRADIENT)
        same(y.grad, record[f"grad_in/{short}_y"], **GRADIENT)


def full_names(units):
    unit = "visual_input_unit"
    names = {"question.embed.table.weight": "linguistic_input_unit.encoder_embed.weight"}
    names |= lstm("question.states", "linguistic_input_unit.concatRNN.rnn")
    names |= lstm("question.final", "linguistic_input_unit.encoder")
    names |= lstm("clips.appearance.lstm", "visual_appearance_input_unit.encoder")
    names |= linear("clips.motion", "visual_motion_input_unit")
    for t in range(units):
        names |= inside(f"units.{t}.attend", f"{unit}.queryAttn.{t}", WORD_ATTENTION)
        for ours, punish, specific, common, fusion in (
            ("appearance", "queryPunish_appear", "appearance_GCN", "acGCN", "attention_appearance"),
            ("motion", "queryPunish_motion", "motion_GCN", "mcGCN", "attention_motion"),
        ):
            names |= inside(f"units.{t}.{ours}.punish", f"{unit}.{punish}.{t}", PUNISHMENT)
            names |= heads(f"units.{t}.{ours}.specific.", f"{unit}.{specific}.{t}.")
            names |= heads(f"units.{t}.{ours}.common.", f"{unit}.{common}.{t}.")
            names |= inside(f"units.{t}.{ours}.fuse", f"{unit}.{fusion}.{t}", FUSION)
    names |= inside("fuse", f"{unit}.visualfusion", BILINEAR)
    return names | inside("read", "feature_aggregation", READOUT) | inside("answer", "output_unit", ANSWER)


@pytest.fixture
def whole(read):
    """The recorded model built by the class itself, over a compiled complete clip graph."""
    record = read("full")
    sizes = json.loads(str(record["meta/config"]))
    clips = record["in/appearance"], record["in/motion"]
    data = recorded_data(record, sizes, ("question", "question_len"), clips)
    config = DualVGR.Config(
        units=sizes["unit_layers"], dim=sizes["module_dim"], word_dim=sizes["word_dim"], dropout=0.0,
        encoder_dropout=0.0, softmax_over_padding=True, alpha=sizes["alpha2"], beta=sizes["beta2"],
    )  # fmt: skip
    views = {name: compile_view(stages, data).view for name, stages in DualVGR.views(config, {}).items()}
    method = DualVGR(config, Context(data, views, DOUBLE))
    names = full_names(sizes["unit_layers"])
    load(method, record, names)
    return record, method, names, recorded_batch(record)


def test_every_step_of_the_whole_model(whole):
    record, method, _, batch = whole
    method.eval()
    question, clips = method.question(batch.asked.question), method.clips(batch.visual)
    for name, value in (("words", question.words), ("H", question.states), ("q_final", question.final)):
        same(value, record[f"out/enc_question/{name}"])
    same(clips.appearance, record["out/enc_appearance"])
    same(clips.motion, record["out/enc_motion"])
    reasoning = method.reason(batch.visual, batch.asked)
    for t, cycle in enumerate(reasoning.cycles):
        same(cycle.words.vector, record[f"out/query_t{t}/q"])
        same(cycle.words.weights, record[f"out/query_t{t}/word_attn"])
        for channel, letter, short in ((cycle.appearance, "A", "app"), (cycle.motion, "M", "mot")):
            same(channel.punishment, record[f"out/punish_{short}_t{t}"])
            same(channel.common, record[f"out/Z_C{letter}_t{t}"])
            same(channel.specific, record[f"out/Z_{letter}_t{t}"])
            same(channel.fused, record[f"out/fuse_{short}_t{t}/F"])
            same(channel.weights, record[f"out/fuse_{short}_t{t}/weights"])
    same(reasoning.fused, record["out/mfb"])
    same(reasoning.readout.vector, record["out/readout"])
    same(method.logits(batch.visual, batch.asked), record["out/logits_eval"])
    explained = method.explain(batch.visual, batch.asked)
    assert explained["punishment_motion"].shape == (3, 2, 4)
    same(explained["punishment_appearance"][:, 1], record["out/punish_app_t1"])
    same(explained["words"][:, 0], record["out/query_t0/word_attn"])


def test_losses_gradients_and_batch_statistics_of_the_whole_model(whole):
    record, method, names, batch = whole
    config = method.config
    method.train()
    cycles = method.reason(batch.visual, batch.asked).cycles
    for t, cycle in enumerate(cycles):
        same(common_loss(cycle.appearance.common, cycle.motion.common), record[f"loss/com_t{t}"])
        for channel, short in ((cycle.appearance, "app"), (cycle.motion, "mot")):
            # Rows of clips are nearly equal at this width: what is left after centring has few digits.
            same(dependence(channel.specific, channel.common), record[f"loss/hsic_{short}_t{t}"], rtol=1e-7, atol=0)
    load(method, record, names)
    norm, seen = method.answer.layers[3], []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    loss = method.loss(batch)
    same(loss.parts["ce"], record["loss/ce"])
    same(loss.parts["common"] / config.alpha, record["loss/com_mean"])
    same(loss.parts["dependence"] / config.beta, record["loss/dif_mean"])
    same(loss.total, record["loss/total_alt"])
    default = DualVGR.Config()
    total = loss.parts["ce"] + default.alpha * loss.parts["common"] / config.alpha
    same(total + default.beta * loss.parts["dependence"] / config.beta, record["loss/total_default"])
    # The recorded statistics "after" the pass are those from before it, so the formula that they should follow is used.
    for name, batch_value in (("mean", seen[0].mean(0)), ("var", seen[0].var(0))):
        before = record[f"param/output_unit.classifier.3.running_{name}"]
        np.testing.assert_array_equal(record[f"out/bn_running_{name}_after"], before)
        same(getattr(norm, f"running_{name}"), 0.9 * before + 0.1 * batch_value.numpy())
    loss.total.backward()
    check_gradients(method, record, names)


def test_the_logits_in_training_are_those_recorded(whole):
    record, method, _, batch = whole
    method.train()
    logits = method.logits(batch.visual, batch.asked)
    same(logits, record["out/logits_train"])
    same(functional.cross_entropy(logits, batch.answers), record["loss/ce"])
