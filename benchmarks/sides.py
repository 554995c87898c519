"""Builds the same model twice: with `bench` and with the plain reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from bench.graph.compile import compile_view
from bench.methods.base import Context, Recommender
from bench.methods.registry import METHODS
from bench.training.build import build_method
from benchmarks.reference import graphs, models

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from bench.data.types import RecommendationData


class Case(NamedTuple):
    """One workload: a method and its configuration (the defaults otherwise)."""

    method: str
    config: dict[str, bool]
    title: str


CASES = {
    "mgcn": Case("mgcn", {"train_features": True}, "MGCN, raw features trained"),
    "mgcn-frozen": Case("mgcn", {"train_features": False}, "MGCN, raw features frozen"),
    "lightgcn": Case("lightgcn", {}, "LightGCN"),
}


def ours(case: Case, data: RecommendationData, cache: Path, dtype: torch.dtype = torch.float32) -> Recommender:
    """Returns the method of `bench`; its views are compiled, or read from the cache."""
    cls = METHODS.get(case.method)
    infos = {name: modality.info for name, modality in data.modalities.items()}
    pipelines = cls.views(cls.Config.model_validate(case.config), infos)
    views = {
        name: compile_view(pipeline, data, cache_dir=cache).view.to(dtype=dtype) for name, pipeline in pipelines.items()
    }
    return build_method({"method": case.method}, case.config, Context(data, views, dtype))


def reference(case: Case, data: RecommendationData, cache: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Returns the plain model with the same settings; its neighbour graphs are cached as repositories do."""
    config = METHODS.get(case.method).Config.model_validate(case.config)
    sizes = (data.train.users, data.train.items, data.n_users, data.n_items)
    if case.method == "lightgcn":
        graph = graphs.to_coo(graphs.user_item(*sizes, eps=1e-7), dtype)
        return models.LightGCN(
            graph, data.n_users, data.n_items, dim=config.dim, layers=config.layers, reg=config.reg, dtype=dtype
        )
    whole = graphs.user_item(*sizes, eps=0.0)
    features = {name: torch.from_numpy(modality.features.copy()) for name, modality in data.modalities.items()}
    return models.MGCN(
        graphs.to_coo(whole, dtype),
        graphs.to_coo(whole[: data.n_users, data.n_users :], dtype),
        {name: _neighbours(name, feature, config.k, cache, dtype) for name, feature in features.items()},
        features,
        dim=config.dim,
        layers=config.ui_layers,
        reg=config.reg,
        contrast=config.contrast,
        train_features=config.train_features,
        dtype=dtype,
    )


def _neighbours(name: str, features: torch.Tensor, k: int, cache: Path, dtype: torch.dtype) -> torch.Tensor:
    path = cache / f"reference-{name}-{features.shape[1]}-{k}-{dtype}.safetensors"
    if not path.exists():
        graph = graphs.nearest_neighbours(features.to(dtype), k, dtype).coalesce()
        save_file({"index": graph.indices().contiguous(), "value": graph.values()}, path)
    stored = load_file(path)
    return torch.sparse_coo_tensor(stored["index"], stored["value"], (len(features), len(features)))


def same_weights(method: Recommender, model: nn.Module) -> dict[str, str]:
    """Copies the method's weights into the reference; returns our parameter names to the reference's."""
    names = {"users": "user", "items": "item"}
    if isinstance(model, models.MGCN):
        names = {"users": "user.weight", "items": "item.weight"}
        names |= {f"query.{part}": f"query.{part}" for part in ("0.weight", "0.bias", "2.weight")}
        for name in model.raw:
            names[f"content.raw.{name}"] = f"raw.{name}.weight"
            for part in ("weight", "bias"):
                names[f"content.project.{name}.{part}"] = f"project.{name}.{part}"
                names[f"gates.{name}.{part}"] = f"gate.{name}.0.{part}"
                names[f"preferences.{name}.{part}"] = f"prefer.{name}.0.{part}"
    state = method.state_dict()
    model.load_state_dict({theirs: state[mine] for mine, theirs in names.items()}, strict=True)
    return names
