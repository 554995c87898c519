"""Every gradient method against the authors' recorded graphs, losses, gradients, scores and one Adam step, in float64.

Weights are loaded through a map from our names to the authors'; a recorded parameter that neither the map nor the
recording's own list of unused ones knows fails the test. Tolerances are those of the recordings' README, which also
gives those of the one float32 test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from bench.data.types import Interactions, Modality, ModalityInfo, RecommendationData
from bench.graph.compile import compile_view
from bench.graph.propagate import sample_edges_by_degree
from bench.methods.base import Context, PairBatch, RecommenderAdapter
from bench.methods.registry import METHODS
from bench.training.build import build_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recording

    from bench.graph.view import View
    from bench.methods.base import Loss, Recommender

    Read = Callable[[str], Recording]

MODALITIES = ("image", "text")


def content_names(**blocks: str) -> dict[str, str]:
    """Names of per-modality linear layers: `content_names(gates="gate_{v}.0")` maps gates.image.weight and so on."""
    names = {}
    for modality, letter in zip(MODALITIES, "vt", strict=True):
        for ours, theirs in blocks.items():
            place = theirs.format(m=modality, v=letter)
            for kind in ("weight", "bias"):
                names[f"{ours.format(m=modality)}.{kind}"] = f"{place}.{kind}"
    return names


TABLES = {"users": "user_embedding.weight", "items": "item_id_embedding.weight"}
FEATURES = {f"content.raw.{modality}": f"{modality}_embedding.weight" for modality in MODALITIES} | content_names(
    **{"content.project.{m}": "{m}_trs"}
)


@dataclass(frozen=True)
class Case:
    """How one of our methods corresponds to a recording."""

    recording: str
    method: dict[str, Any]
    config: dict[str, Any]
    names: dict[str, str]
    parts: dict[str, str]
    wrapped: dict[str, Any] | None = None
    order: tuple[str, ...] = MODALITIES
    graphs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.recording


MGCN_GRAPHS = {"ui": "norm_adj", "image": "image_original_adj", "text": "text_original_adj"}
MGCN_CONFIG = {
    "dim": "embedding_size",
    "ui_layers": "n_ui_layers",
    "item_layers": "n_layers",
    "k": "knn_k",
    "reg": "reg_weight",
    "batch_size": "train_batch_size",
    "lr": "adam_lr",
}
CASES = [
    Case(
        "bpr",
        {"method": "bpr"},
        {"dim": "embedding_size", "reg": "reg_weight", "lr": "adam_lr"},
        {"users": "user_embedding.weight", "items": "item_embedding.weight"},
        {"bpr": "loss_bpr", "reg": "loss_reg_unweighted"},
    ),
    Case(
        "lightgcn",
        {"method": "lightgcn"},
        {"dim": "embedding_size", "layers": "n_layers", "reg": "reg_weight", "lr": "adam_lr"},
        {"users": "embedding_dict.user_emb", "items": "embedding_dict.item_emb"},
        {"bpr": "loss_bpr", "reg": "loss_reg_unweighted"},
        graphs={"ui": "norm_adj_matrix"},
    ),
    Case(
        "vbpr",
        {"method": "vbpr"},
        {"dim": "embedding_size", "reg": "reg_weight", "lr": "adam_lr"},
        {
            "users": "u_embedding",
            "items": "i_embedding",
            "project.weight": "item_linear.weight",
            "project.bias": "item_linear.bias",
        },
        {"bpr": "loss_bpr", "reg": "loss_reg_unweighted"},
        # The authors' raw item vector is [text, image].
        order=("text", "image"),
    ),
    Case(
        "freedom",
        {"method": "freedom"},
        {
            "dim": "embedding_size",
            "ui_layers": "n_ui_layers",
            "item_layers": "n_mm_layers",
            "k": "knn_k",
            "image_weight": "mm_image_weight",
            "prune": "dropout",
            "reg": "reg_weight",
            "lr": "adam_lr",
        },
        TABLES | FEATURES,
        {"bpr": "loss_bpr", "image": "loss_bpr_image", "text": "loss_bpr_text"},
        graphs={"ui": "norm_adj", "items": "mm_adj"},
    ),
    Case(
        "mgcn",
        {"method": "mgcn"},
        MGCN_CONFIG | {"contrast": "cl_loss"},
        TABLES
        | FEATURES
        | content_names(**{"gates.{m}": "gate_{v}.0", "preferences.{m}": "gate_{m}_prefer.0"})
        | {
            name: name.replace("query.", "query_common.")
            for name in ("query.0.weight", "query.0.bias", "query.2.weight")
        },
        {
            "bpr": "loss_bpr",
            "reg": "loss_reg",
            "contrast_items": "loss_cl_items",
            "contrast_users": "loss_cl_users",
        },
        graphs=MGCN_GRAPHS,
    ),
    Case(
        "befa",
        {"method": "befa", "wrap": {"method": "mgcn_lite"}},
        {"width": "layer_times", "dropout": "dropout_rate"},
        {f"wrapped.{ours}": theirs for ours, theirs in (TABLES | FEATURES).items()}
        | content_names(**{f"adapters.{{m}}.layers.{place}": f"BeFA_{{v}}.{place}" for place in (0, 4, 7)}),
        {"bpr": "loss_bpr", "reg": "loss_reg"},
        wrapped=MGCN_CONFIG,
        graphs=MGCN_GRAPHS,
    ),
]


@dataclass(frozen=True)
class Built:
    case: Case
    recording: Recording
    method: Recommender
    inner: Recommender
    views: dict[str, View]
    batch: PairBatch

    def loss(self) -> Loss:
        return self.method.loss(self.batch)


def world(dataset: Recording, order: tuple[str, ...]) -> RecommendationData:
    def rows(name: str) -> Interactions:
        return Interactions(dataset[name][:, 0].astype(np.int32), dataset[name][:, 1].astype(np.int32))

    modalities = {}
    for name in order:
        features = dataset[f"{name}_feat"]
        modalities[name] = Modality(ModalityInfo("features", features.shape[1], None), features)
    n_users, n_items = int(dataset["n_users"]), int(dataset["n_items"])
    return RecommendationData("recorded", n_users, n_items, rows("train"), rows("valid"), modalities)


def settings(recording: Recording, keys: dict[str, str]) -> dict[str, Any]:
    return {ours: recording[f"hyper/{theirs}"].item() for ours, theirs in keys.items()}


def build(case: Case, golden: Read, dtype: torch.dtype) -> Built:
    recording = golden(case.recording)
    data = world(golden("dataset"), case.order)
    config = settings(recording, case.config)
    inner_config = config
    if case.wrapped is not None:
        inner_config = config["wrapped"] = settings(recording, case.wrapped)
    inner = METHODS.get(case.method.get("wrap", case.method)["method"])
    infos = {name: modality.info for name, modality in data.modalities.items()}
    pipelines = inner.views(inner.Config.model_validate(inner_config), infos)
    views = {name: compile_view(pipeline, data).view.to(dtype=dtype) for name, pipeline in pipelines.items()}
    method = build_method(case.method, config, Context(data, views, dtype))
    state = {ours: torch.from_numpy(recording[f"param/{theirs}"]) for ours, theirs in case.names.items()}
    method.load_state_dict(state, strict=True)
    batch = PairBatch(*(torch.from_numpy(recording[f"batch/{name}"]) for name in ("users", "pos", "neg")))
    wrapped = method.wrapped if isinstance(method, RecommenderAdapter) else method
    if case.recording == "freedom":
        wrapped.use_edges(torch.from_numpy(recording["graph/kept_edges"]))
    return Built(case, recording, method, wrapped, views, batch)


@pytest.fixture(params=CASES, ids=str)
def built(request: pytest.FixtureRequest, golden: Read) -> Built:
    return build(request.param, golden, torch.float64)


def close(found: torch.Tensor, recorded: np.ndarray, *, relative: float, floor: float = 0.0) -> None:
    """Compares arrays, the tolerance relative to the largest recorded entry."""
    values = found.detach().numpy()
    assert values.shape == recorded.shape
    assert np.abs(values - recorded).max(initial=0) <= max(relative * np.abs(recorded).max(initial=0), floor)


def test_every_recorded_parameter_has_a_place(built: Built):
    recorded = {key.removeprefix("param/") for key in built.recording if key.startswith("param/")}
    unused = set(built.recording["info/params_without_gradient"].tolist())
    assert set(built.case.names.values()) == recorded - unused
    for theirs in unused:
        assert not built.recording[f"grad/{theirs}"].any()


def test_graphs(built: Built):
    assert set(built.views) == set(built.case.graphs)
    for ours, theirs in built.case.graphs.items():
        close(built.views[ours].dense(), built.recording[f"graph/{theirs}"], relative=1e-10)
    if "graph/R" in built.recording:
        close(built.inner.user_item.dense(), built.recording["graph/R"], relative=1e-10)


def test_loss_and_its_parts(built: Built):
    total, parts = built.loss()
    assert total.item() == pytest.approx(built.recording["out/loss"].item(), rel=1e-10)
    assert set(parts) == set(built.case.parts)
    for ours, theirs in built.case.parts.items():
        assert parts[ours].item() == pytest.approx(built.recording[f"out/{theirs}"].item(), rel=1e-10), ours


def test_gradients(built: Built):
    built.loss().total.backward()
    parameters = dict(built.method.named_parameters())
    assert set(parameters) == set(built.case.names)
    for ours, theirs in built.case.names.items():
        assert parameters[ours].grad is not None, ours
        close(parameters[ours].grad, built.recording[f"grad/{theirs}"], relative=1e-9, floor=1e-12)


def test_scores_and_representations(built: Built):
    built.method.eval()
    with torch.no_grad():
        built.method.begin_scoring()
        close(built.method.score(torch.arange(built.method.n_users)), built.recording["out/scores"], relative=1e-10)
        users, items = built.inner.represent()
    close(users, built.recording["out/user_emb"], relative=1e-10)
    close(items, built.recording["out/item_emb"], relative=1e-10)


def test_loss_after_one_adam_step(built: Built):
    lr = built.recording["hyper/adam_lr"].item()
    adam = torch.optim.Adam(built.method.parameters(), lr=lr, fused=True)
    built.loss().total.backward()
    adam.step()
    assert built.loss().total.item() == pytest.approx(built.recording["out/loss_after_adam"].item(), rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_single_precision_agrees(case: Case, golden: Read):
    """Training runs in float32, where propagation takes another kernel."""
    built = build(case, golden, torch.float32)
    total = built.loss().total
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(built.recording["out/loss"].item(), rel=1e-6)
    total.backward()
    parameters = dict(built.method.named_parameters())
    for ours, theirs in case.names.items():
        close(parameters[ours].grad, built.recording[f"grad/{theirs}"], relative=1e-3, floor=1e-6)
    built.method.eval()
    with torch.no_grad():
        built.method.begin_scoring()
        scores = built.method.score(torch.arange(built.method.n_users))
    close(scores, built.recording["out/scores"], relative=1e-6)


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("built", [case for case in CASES if case.recording == name], ids=str, indirect=True)


@only("mgcn")
def test_mgcn_views_before_they_are_added(built: Built):
    behaviour, content = built.inner.nodes()
    close(content, built.recording["out/side_embeds"], relative=1e-10)
    close(behaviour, built.recording["out/content_embeds"], relative=1e-10)


@only("freedom")
def test_freedom_training_graph_is_renormalised_from_the_kept_edges(built: Built):
    close(built.inner.training_graph.dense(), built.recording["graph/masked_adj"], relative=1e-10)
    users, items = built.inner._represent(built.inner.training_graph)
    close(users, built.recording["out/user_emb_train"], relative=1e-10)
    close(items, built.recording["out/item_emb_train"], relative=1e-10)
    edges = built.inner.edges
    built.inner.use_edges(edges)
    assert built.loss().total.item() == pytest.approx(built.recording["out/loss_full_graph"].item(), rel=1e-10)


@only("freedom")
def test_freedom_keeps_as_many_edges_as_the_authors_and_draws_them_with_their_weights(built: Built):
    built.inner.begin_epoch(1, torch.Generator().manual_seed(0))
    assert built.inner.training_graph.n_edges == 2 * built.recording["graph/kept_edges"].shape[1]
    users, items = torch.from_numpy(built.recording["graph/edge_list"])
    weight = built.recording["graph/edge_sampling_weight"]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([sample_edges_by_degree((users, items), 1, generator) for _ in range(20_000)])
    expected = weight / weight.sum() * len(drawn)
    # Chi-square with 399 degrees of freedom: mean 399, standard deviation 28.
    assert ((np.bincount(drawn, minlength=len(weight)) - expected) ** 2 / expected).sum() < 399 + 5 * 28


class _Mask(torch.nn.Module):
    """Dropout with a recorded mask."""

    def __init__(self, keep: np.ndarray, p: float) -> None:
        super().__init__()
        self.factor = torch.from_numpy(keep) / (1 - p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@only("befa")
def test_befa_gates(built: Built):
    projected = built.inner.content()
    for modality in MODALITIES:
        gate = built.method.adapters[modality](projected[modality])
        close(gate, built.recording[f"out/befa_gate_{modality}"], relative=1e-10)
        assert ((gate > 0) & (gate < 1)).all()


@only("befa")
def test_befa_drops_units_where_the_authors_do(built: Built):
    p = built.recording["drop/p"].item()
    for modality in MODALITIES:
        layers = built.method.adapters[modality].layers
        places = [index for index, layer in enumerate(layers) if isinstance(layer, torch.nn.Dropout)]
        for number, place in enumerate(places, start=1):
            layers[place] = _Mask(built.recording[f"drop/keep_mask_{modality}_{number}"], p)
    assert built.loss().total.item() == pytest.approx(built.recording["drop/loss"].item(), rel=1e-10)
