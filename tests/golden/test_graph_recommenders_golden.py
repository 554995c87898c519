"""BM3, LATTICE, SLMRec, MMGCN and GRCN against the authors' recorded losses, gradients, scores and one Adam step.

Conventions and tolerances are those of the recordings' README. `PLACES` maps our parameters to recorded arrays, some
of which hold users and items in one table (users first) or lie outside the authors' state_dict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_methods_golden import FEATURES, MODALITIES, TABLES, close, content_names, settings, world

from bench.graph.compile import compile_view
from bench.methods.base import Context, PairBatch
from bench.methods.registry import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recording

    from bench.graph.view import View
    from bench.methods.base import Recommender

    Read = Callable[[str], Recording]

USERS = 60


@dataclass(frozen=True)
class Case:
    """How one of our methods corresponds to a recording.

    Attributes:
        name: Method and recording.
        config: Our settings to recorded ones.
        places: Our parameters to recorded ones, those of `split` excepted.
        parts: Parts of our loss to recorded ones.
        split: Recorded tables with users first, and our two.
        constants: Tensors the authors keep outside the state_dict.
        noise: Gradients that are zero analytically.
        graphs: Our views to recorded graphs.
    """

    name: str
    config: dict[str, str]
    places: dict[str, str]
    parts: dict[str, str]
    split: dict[str, tuple[str, str]] = field(default_factory=dict)
    constants: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    graphs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def towers() -> dict[str, str]:
    names = {"towers.image.reduce.weight": "v_gcn.MLP.weight", "towers.image.reduce.bias": "v_gcn.MLP.bias"}
    for modality, letter in zip(MODALITIES, "vt", strict=True):
        names[f"towers.{modality}.preference"] = f"{letter}_gcn.preference"
        for layer in range(3):
            names[f"towers.{modality}.convolve.{layer}"] = f"{letter}_gcn.conv_embed_{layer + 1}.weight"
            for kind in ("weight", "bias"):
                names[f"towers.{modality}.own.{layer}.{kind}"] = f"{letter}_gcn.linear_layer{layer + 1}.{kind}"
                names[f"towers.{modality}.merge.{layer}.{kind}"] = f"{letter}_gcn.g_layer{layer + 1}.{kind}"
    return names


def linears(**names: str) -> dict[str, str]:
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in names.items() for kind in ("weight", "bias")}


CASES = [
    Case(
        "bm3",
        {
            "dim": "embedding_size",
            "layers": "n_layers",
            "dropout": "dropout",
            "reg": "reg_weight",
            "content": "cl_weight",
        },
        TABLES | FEATURES | linears(predictor="predictor"),
        {
            "user_item": "one_minus_cos_user_vs_item",
            "item_user": "one_minus_cos_item_vs_user",
            "reg": "loss_reg_unweighted",
        }
        | {f"{m}_{other}": f"one_minus_cos_{m}_vs_{other}" for m in MODALITIES for other in ("item", m)},
        graphs={"ui": "norm_adj"},
    ),
    Case(
        "lattice",
        {
            "dim": "embedding_size",
            "item_layers": "n_layers",
            "k": "knn_k",
            "original": "lambda_coeff",
            "reg": "reg_weight",
            "batch_size": "train_batch_size",
        },
        TABLES | FEATURES | {"modality_logits": "modal_weight"},
        {"bpr": "loss_bpr", "reg": "loss_reg"},
        graphs={"ui": "norm_adj", "image": "image_original_adj", "text": "text_original_adj"},
    ),
    Case(
        "slmrec",
        {
            "dim": "recdim",
            "layers": "layer_num",
            "temperature": "temp",
            "ssl": "ssl_alpha",
            "ssl_temperature": "ssl_temp",
        },
        {"users": "embedding_user.weight", "items": "embedding_item.weight"}
        | content_names(**{"project.{m}": "{v}_dense"})
        | linears(
            **{
                "fuse_items": "embedding_item_after_GCN",
                "fuse_users": "embedding_user_after_GCN",
                "id_view": "g_i_iv",
                "carry.0": "g_iv_iva",
                "carry.1": "g_iva_ivat",
                "views_of.image": "g_v_iv",
                "views_of.text": "g_t_ivat",
            }
        ),
        {"main": "loss_main", "ssl": "loss_ssl"},
        noise=("g_v_iv.bias", "g_t_ivat.bias"),
        graphs={"ui": "norm_adj"},
    ),
    Case(
        "mmgcn",
        {"dim": "embedding_size", "reg": "reg_weight"},
        towers(),
        {},
        split={"id_embedding": ("users", "items")},
        constants=("id_embedding", "v_gcn.preference", "t_gcn.preference"),
    ),
    Case(
        "grcn",
        {"dim": "embedding_size", "routing": "n_layers", "reg": "reg_weight"},
        {"confidence": "model_specific_conf"}
        | content_names(**{"project.{m}": "{v}_gcn.MLP"})
        | {"preferences.image": "v_gcn.preference", "preferences.text": "t_gcn.preference"},
        {},
        split={"id_gcn.id_embedding": ("users", "items")},
    ),
]


@dataclass(frozen=True)
class Built:
    case: Case
    recording: Recording
    method: Recommender
    views: dict[str, View]
    batch: PairBatch

    def loss(self) -> Any:
        return self.method.loss(self.batch)

    def recorded(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns our parameters' recorded values (prefix "") or gradients ("grad")."""

        def read(name: str) -> np.ndarray:
            place = "const" if name in self.case.constants else "" if prefix else "param"
            return self.recording["_".join(part for part in (prefix, place) if part) + f"/{name}"]

        found = {ours: read(theirs) for ours, theirs in self.case.places.items()}
        for theirs, (users, items) in self.case.split.items():
            found[users], found[items] = read(theirs)[:USERS], read(theirs)[USERS:]
        return found


def build(case: Case, golden: Read, dtype: torch.dtype, **extra: Any) -> Built:
    recording = golden(case.name)
    data = world(golden("dataset"), MODALITIES)
    cls = METHODS.get(case.name)
    config = cls.Config.model_validate(settings(recording, case.config) | extra)
    infos = {name: modality.info for name, modality in data.modalities.items()}
    views = {
        name: compile_view(pipeline, data).view.to(dtype=dtype) for name, pipeline in cls.views(config, infos).items()
    }
    method = cls(config, Context(data, views, dtype))
    batch = PairBatch(*(torch.from_numpy(recording[f"batch/{name}"]) for name in ("users", "pos", "neg")))
    built = Built(case, recording, method, views, batch)
    state = {name: torch.from_numpy(np.array(value)) for name, value in built.recorded("").items()}
    method.load_state_dict(state, strict=True)
    method.begin_epoch(1, torch.Generator())
    return built


@pytest.fixture(params=CASES, ids=str)
def built(request: pytest.FixtureRequest, golden: Read) -> Built:
    extra = {"register_embeddings": True} if request.param.name == "mmgcn" else {}
    return build(request.param, golden, torch.float64, **extra)


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("built", [case for case in CASES if case.name == name], ids=str, indirect=True)


def test_every_recorded_parameter_has_a_place(built: Built):
    recorded = {key.partition("/")[2] for key in built.recording if key.startswith("param/")}
    unused = set(built.recording["info/params_without_gradient"].tolist())
    mapped = set(built.case.places.values()) | set(built.case.split)
    assert mapped == (recorded - unused) | set(built.case.constants)


def test_graphs(built: Built):
    for ours, theirs in built.case.graphs.items():
        close(built.views[ours].dense(), built.recording[f"graph/{theirs}"], relative=1e-10)


def test_loss_and_its_parts(built: Built):
    total, parts = built.loss()
    assert total.item() == pytest.approx(built.recording["out/loss"].item(), rel=1e-10)
    for ours, theirs in built.case.parts.items():
        assert parts[ours].item() == pytest.approx(built.recording[f"out/{theirs}"].item(), rel=1e-10), ours


def test_gradients(built: Built):
    built.loss().total.backward()
    parameters = dict(built.method.named_parameters())
    recorded = built.recorded("grad")
    assert set(parameters) == set(recorded)
    for name, gradient in recorded.items():
        floor = 1e-10 if built.case.places.get(name) in built.case.noise else 1e-12
        close(parameters[name].grad, gradient, relative=1e-9, floor=floor)


def test_scores_and_representations(built: Built):
    built.method.eval()
    with torch.no_grad():
        built.method.begin_scoring()
        scores = built.method.score(torch.arange(USERS))
        users, items = built.method.propagated() if built.case.name == "bm3" else built.method.represent()
    # SLMRec's recorded scores went through a sigmoid.
    scores = torch.sigmoid(scores) if built.case.name == "slmrec" else scores
    close(scores, built.recording["out/scores"], relative=1e-10)
    close(users, built.recording["out/user_emb"], relative=1e-10)
    close(items, built.recording["out/item_emb"], relative=1e-10)


def stepped(built: Built, *, weight_decay: float = 0.0) -> float:
    parameters = [parameter for parameter in built.method.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(
        parameters, lr=built.recording["hyper/adam_lr"].item(), weight_decay=weight_decay, fused=True
    )
    built.loss().total.backward()
    adam.step()
    return built.loss().total.item()


def test_loss_after_one_adam_step(built: Built):
    key = {
        "lattice": "out/loss_after_adam_cached_graph",
        "mmgcn": "out/loss_after_adam_registered",
    }.get(built.case.name, "out/loss_after_adam")
    assert stepped(built) == pytest.approx(built.recording[key].item(), rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_single_precision_agrees(case: Case, golden: Read):
    built = build(case, golden, torch.float32, **({"register_embeddings": True} if case.name == "mmgcn" else {}))
    total = built.loss().total
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(built.recording["out/loss"].item(), rel=1e-6)
    total.backward()
    parameters = dict(built.method.named_parameters())
    for name, gradient in built.recorded("grad").items():
        close(parameters[name].grad, gradient, relative=1e-3, floor=1e-6)


@only("bm3")
def test_bm3_drops_target_entries_where_the_authors_do(built: Built):
    p = built.recording["drop/p"].item()

    def masked(name: str, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.detach() * torch.from_numpy(built.recording[f"drop/keep_mask_{name}"])[rows] / (1 - p)

    built.method.target = masked
    assert built.loss().total.item() == pytest.approx(built.recording["drop/loss"].item(), rel=1e-10)


@only("lattice")
def test_lattice_learned_graph_before_and_after_a_step(built: Built):
    learned = built.method.learn_graph()
    dense = torch.zeros(40, 40, dtype=torch.float64)
    dense[learned.pattern.rows, learned.pattern.indices.long()] = learned.weights.detach()
    close(dense, built.recording["graph/item_adj"], relative=1e-10)
    stepped(built)
    built.method.begin_epoch(2, torch.Generator())
    assert built.loss().total.item() == pytest.approx(built.recording["out/loss_after_adam"].item(), rel=1e-9)


@only("slmrec")
def test_slmrec_with_the_models_own_weight_decay(built: Built):
    recorded = built.recording["out/loss_after_adam_wd1e-4"].item()
    assert stepped(built, weight_decay=1e-4) == pytest.approx(recorded, rel=1e-9)
    for modality, letter in zip(MODALITIES, "vt", strict=True):
        features = built.method.get_buffer(f"features_{modality}")
        close(features, built.recording[f"const/{letter}_feat_normalised"], relative=1e-10)


@pytest.mark.parametrize("case", [case for case in CASES if case.name == "mmgcn"], ids=str)
def test_mmgcn_leaves_ids_and_preferences_as_drawn_unless_told_otherwise(case: Case, golden: Read):
    built = build(case, golden, torch.float64)
    assert stepped(built) == pytest.approx(built.recording["out/loss_after_adam"].item(), rel=1e-9)


@only("grcn")
def test_grcn_attention_edge_weights_and_views(built: Built):
    refined = built.method.refine()
    edges = built.recording["graph/edge_index"]
    # The recorded edges run from the source to the target; rows of ours receive.
    targets, sources = np.concatenate([edges[1], edges[0]]), np.concatenate([edges[0], edges[1]])

    def dense(values: torch.Tensor) -> torch.Tensor:
        matrix = torch.zeros(100, 100, dtype=torch.float64)
        matrix[built.method.edges.rows, built.method.edges.indices.long()] = values.detach()
        return matrix[targets, sources]

    for letter, attention, nodes in zip("vt", refined.attention, refined.nodes, strict=True):
        close(dense(attention), built.recording[f"out/{letter}_alpha"].reshape(-1), relative=1e-10)
        close(nodes, built.recording[f"out/{letter}_rep"], relative=1e-10)
    close(dense(refined.weights), built.recording["out/edge_weight"].reshape(-1), relative=1e-10)
    close(built.method.id_nodes(refined.weights), built.recording["out/id_rep"], relative=1e-10)
