"""What the contracts of several families share: a method built and trained as a job would, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bench.graph.compile import compile_view
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.training.build import build_method
from bench.training.loop import Settings, TrainResult, train
from bench.training.seeds import component_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.data.types import ModalityInfo
    from bench.methods.base import Method
    from bench.tasks.base import Task

CPU = torch.device("cpu")


def build_as_job(
    entry: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Any,
    infos: Mapping[str, ModalityInfo] | None = None,
    *,
    seed: int,
    dtype: torch.dtype,
) -> Method:
    """Builds a method with its views compiled and its weights drawn from the stream of a job's.

    Args:
        entry: The method, and what it wraps under `wrap`.
        config: The whole configuration, the wrapped method's under `wrapped`.
        data: Training and validation split.
        infos: Modalities that views may name.
        seed: Of the run.
        dtype: Of weights and views.
    """
    inner, settings = entry, config
    while inner.get("wrap"):
        inner, settings = inner["wrap"], settings["wrapped"]
    cls = METHODS.get(inner["method"])
    pipelines = cls.views(cls.Config.model_validate(settings), infos or {})
    views = {name: compile_view(stages, data).view.to(CPU, dtype) for name, stages in pipelines.items()}
    torch.manual_seed(component_seed(seed, "init"))
    return build_method(entry, config, Context(data, views, dtype))


def train_briefly(method: Method, data: Any, task: Task, select: str, *, epochs: int, seed: int) -> TrainResult:
    """Trains a method on the CPU for some epochs, the best of which a metric that is to be high chooses."""
    settings = Settings(epochs=epochs, patience=None, select=select, maximize=True, metrics=(select,), seed=seed)
    return train(method, data, task, settings, device=CPU)
