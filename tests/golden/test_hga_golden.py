"""HGA against the authors' recorded numbers in float64: encoders, co-attention, graph and the whole model.

Every recorded parameter is mapped, or listed below as one that changes nothing. Tolerances are those of the recordings'
README.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import vqa_recordings
from recordings import DOUBLE, recording, same, tensor
from torch.nn import functional
from vqa_recordings import BILINEAR, RECURRENT, inside, load, lstm, recorded_data

from bench.methods.answerer import Words
from bench.methods.base import Context
from bench.methods.layers.word_frame_graph import (
    Adjacency,
    CoAttention,
    GraphConvolutions,
    SentenceEncoder,
    VideoEncoder,
)
from bench.methods.vqa.hga import HGA

POOLING = {f"gcn_atten_pool.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}
"""A softmax over an axis of size one: its weights change nothing, so we have none."""


@pytest.fixture(scope="module")
def read():
    return lambda name: recording(f"vision/hga_{name}")


ATTENTION = {
    f"{ours}.weight": f"{theirs}.weight_raw"
    for ours, theirs in {
        "match_words": "linear_question",
        "match_frames": "linear_video",
        "value_words": "linear_v_question",
        "value_frames": "linear_v_video",
        "out_words": "linear_final_qv",
        "out_frames": "linear_final_vq",
    }.items()
}
ADJACENCY = {
    f"{ours}.parametrizations.weight.original{place}": f"{theirs}.weight_{letter}"
    for ours, theirs in (("first", "edge_layer_1"), ("second", "edge_layer_2"))
    for place, letter in enumerate("gv")
}
CONVOLUTIONS = {f"layers.{i}.weight": f"layers.{i}.weight.weight" for i in range(3)}
SENTENCE = {"table.weight": "embedding.weight", "project.weight": "upcompress_embedding.weight"}
ONE_WAY = {f"encoder.ahead.{part}": f"rnn.{part}" for part in RECURRENT}
BOTH_WAYS = lstm("encoder", "rnn") | {
    "encoder.join_states.weight": "compress_output.weight",
    "encoder.join_finals.weight": "compress_hn_bi.weight",
}
GRAPH = inside("adjacency", "adj_learner", ADJACENCY) | inside("convolutions", "gcn", CONVOLUTIONS)


def check_gradients(module, record, names, without=frozenset()):
    """Compares gradients; what is recorded and not compared must be one that changes nothing."""
    vqa_recordings.check_gradients(module, record, names, without=without)
    compared = {names[name] for name, _ in module.named_parameters()} - without
    left = {key.removeprefix("grad/") for key in record if key.startswith("grad/")} - compared
    assert all(np.abs(record[f"grad/{name}"]).max() == 0 for name in left)
    assert left <= POOLING


def is_real(lengths, longest):
    return torch.arange(longest) < tensor(lengths)[:, None]


def test_graph(read):
    record = read("graph_core")
    module = torch.nn.ModuleDict(
        {"adjacency": Adjacency(8, DOUBLE), "convolutions": GraphConvolutions(8, 3, DOUBLE, dropout=0.0)}
    )
    load(module, record, GRAPH, without=POOLING)
    nodes = torch.cat([tensor(record["in/q"]), tensor(record["in/v"])], dim=1)
    adjacency = module["adjacency"](nodes)
    same(adjacency, record["out/adj"])
    for count in (1, 2):
        fewer = GraphConvolutions(8, count, DOUBLE, dropout=0.0)
        fewer.load_state_dict({f"layers.{i}.weight": module["convolutions"].layers[i].weight for i in range(count)})
        # Recorded before the ReLU that follows each layer.
        same(fewer(nodes, adjacency), np.maximum(record[f"out/gcn_layer{count - 1}"], 0))
    mixed = module["convolutions"](nodes, adjacency)
    same(mixed, record["out/nodes"])
    local = mixed.sum(1)
    same(local, record["out/local"])
    assert (record["out/pool_attn"] == 1).all()
    local.square().sum().backward()
    check_gradients(module, record, GRAPH)


def test_co_attention(read):
    record = read("coattention")
    sizes = json.loads(str(record["meta/config"]))
    module = CoAttention(8, DOUBLE, dropout=0.0)
    load(module, record, {ours: f"encoder_layers.0.{theirs}" for ours, theirs in ATTENTION.items()})
    words, frames = is_real(sizes["qlens"], sizes["Lq"]), is_real(sizes["vlens"], sizes["Lv"])
    assert (record["aux/key_mask_qv"] == ~frames[:, None, :].numpy()).all()
    assert (record["aux/query_mask_vq"] == ~frames[:, :, None].numpy()).all()
    assert (record["aux/key_mask_vq"] == ~words[:, None, :].numpy()).all()
    assert (record["aux/query_mask_qv"] == ~words[:, :, None].numpy()).all()
    found = module(tensor(record["in/q"]), tensor(record["in/v"]), words, frames)
    same(found[0], record["out/q"])
    same(found[1], record["out/v"])


def test_bidirectional_encoders(read):
    record = read("encoders_gru")
    sizes = json.loads(str(record["meta/config"]))
    unused = {"compress_hn_layers.weight", "compress_hn_layers_bi.weight"}
    sentence = SentenceEncoder(10, 8, 8, DOUBLE, bidirectional=True, dropout=0.0)
    video = VideoEncoder(sizes["vin"], 3, 8, DOUBLE, bidirectional=True, dropout=0.0)
    names = inside("sentence", "sentence", SENTENCE | BOTH_WAYS)
    names |= inside("video", "video", {"project.weight": "project.weight"} | BOTH_WAYS)
    # This recording begins after both channels are joined.
    for part in ("motion", "join"):
        record[f"param/{part}.weight"] = getattr(video, part).weight.detach().numpy()
    names |= {f"video.{part}.weight": f"{part}.weight" for part in ("motion", "join")}
    module = torch.nn.ModuleDict({"sentence": sentence, "video": video})
    load(module, record, names, without={f"{part}.{name}" for part in ("sentence", "video") for name in unused})
    text = sentence(Words(tensor(record["in/tokens"]), tensor(record["in/tlens"])))
    same(text.states, record["out/sentence_states"])
    same(text.final, record["out/sentence_hidden"])
    seen = video.read(tensor(record["in/frames"]), tensor(record["in/vlens"]))
    same(seen.states, record["out/video_states"])
    same(seen.final, record["out/video_hidden"])


def build_whole(record, *, authors_bugs):
    sizes = json.loads(str(record["meta/config"]))
    clips = record["in/resnet"][:, :, None], record["in/c3d"]
    data = recorded_data(record, sizes, ("tokens", "tlens"), clips)
    config = HGA.Config(
        dim=sizes["hidden_size"], word_dim=sizes["word_dim"], gcn_layers=sizes["gcn_layers"], fusion=sizes["mm_dim"],
        dropout=0.0, elu_scores=True, authors_bugs=authors_bugs,
    )  # fmt: skip
    method = HGA(config, Context(data, {}, DOUBLE))
    names = inside("sentence", "sentence_encoder", SENTENCE | ONE_WAY)
    names |= inside("video", "video_encoder", {"project.weight": "project.weight"} | ONE_WAY)
    names |= {"video.motion.weight": "compress_c3d.weight_raw", "video.join.weight": "video_fusion.weight_raw"}
    names |= inside("attention.0", "co_attn.encoder_layers.0", ATTENTION) | GRAPH
    names |= inside("fuse_ends", "global_fusion", BILINEAR) | inside("conclude", "fusion", BILINEAR)
    load(method, record, names, without=POOLING)
    return method, names


@pytest.mark.parametrize("authors_bugs", [False, True])
def test_whole_model(read, authors_bugs, monkeypatch):
    """With `authors_bugs` the layers stay untrained; padding comes from lengths, as in the recording, in both cases."""
    record = read("full_mfb")
    real = iter([is_real(record["in/tlens"], 4), is_real(record["in/vlens"], 5)] * 2)
    monkeypatch.setattr("bench.methods.vqa.hga.nonzero_rows", lambda states: next(real))
    method, names = build_whole(record, authors_bugs=authors_bugs)
    never_trained = set(record["aux/params_without_gradient"])
    question = method.sentence(Words(tensor(record["in/tokens"]), tensor(record["in/tlens"])))
    video = method.video(tensor(record["in/resnet"]), tensor(record["in/c3d"]), tensor(record["in/vlens"]))
    same(question.states, record["out/q_states"])
    same(question.final, record["out/q_last"][0])
    same(video.states, record["out/v_states"])
    same(video.final, record["out/v_last"][0])
    for states, name in ((question, "q"), (video, "v")):
        same(functional.layer_norm(states.states, (8,)), record[f"out/{name}_in"])
    words, steps = method.align(video, question)
    same(words, record["out/q_co"])
    same(steps, record["out/v_co"])
    same(method.adjacency(torch.cat([words, steps], dim=1)), record["out/adj"])
    reasoned = method.reason(video, question)
    same(reasoned.nodes, record["out/nodes"])
    same(reasoned.globally, record["out/global_"])
    logits = method.conclude(reasoned.globally, reasoned.nodes.sum(1))
    same(logits, record["out/logits"])
    loss = functional.cross_entropy(logits, tensor(record["in/answers"]))
    same(loss, record["loss/ce"])
    loss.backward()
    check_gradients(method, record, names, never_trained)
    untrained = {names[name] for name, weight in method.named_parameters() if not weight.requires_grad}
    without = {names[name] for name, weight in method.named_parameters() if weight.grad is None}
    # Mended, every layer is trained.
    assert untrained == without == (never_trained if authors_bugs else set())
    for name, weight in method.named_parameters():
        if names[name] in never_trained and not authors_bugs:
            assert weight.grad.abs().max() > 0


def test_a_real_row_that_sums_to_zero_is_padding_for_the_authors_only(read):
    record = read("full_mfb")
    row = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=DOUBLE)
    alone = functional.layer_norm(functional.layer_norm(row, (8,)), (8,))
    for authors_bugs in (False, True):
        method, _ = build_whole(record, authors_bugs=authors_bugs)
        question = method.sentence(Words(tensor(record["in/tokens"]), tensor(record["in/tlens"])))
        video = method.video(tensor(record["in/resnet"]), tensor(record["in/c3d"]), tensor(record["in/vlens"]))
        states = question.states.clone()
        states[1, 0] = row
        words, _ = method.align(video, question._replace(states=states))
        # What is taken for padding looks at no frame: only the residual is left.
        assert torch.allclose(words[1, 0], alone) is authors_bugs
        assert not words[1, 2:].any()
