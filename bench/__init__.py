"""A declarative, config-driven benchmark suite for multimodal learning.

The names below are the public API. Each is loaded when first used, so `import bench` costs next to nothing and loads
neither torch nor dgl.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench._version import __version__
from bench.errors import BenchError, UserError

if TYPE_CHECKING:
    from bench.data import make_dataset
    from bench.data.dataset import open_dataset
    from bench.data.registry import DATASETS
    from bench.methods.base import Method, Recommender
    from bench.methods.registry import METHODS
    from bench.metrics.registry import METRICS
    from bench.spec.config import MethodConfig
    from bench.spec.loader import load_spec
    from bench.spec.models import Spec
    from bench.spec.space import Choices, IntRange, Log, Uniform
    from bench.store import Store
    from bench.tasks.registry import TASKS

__all__ = [
    "DATASETS",
    "METHODS",
    "METRICS",
    "TASKS",
    "BenchError",
    "Choices",
    "IntRange",
    "Log",
    "Method",
    "MethodConfig",
    "Recommender",
    "Spec",
    "Store",
    "Uniform",
    "UserError",
    "__version__",
    "load_spec",
    "make_dataset",
    "open_dataset",
]

_HOMES = {
    "DATASETS": "bench.data.registry",
    "METHODS": "bench.methods.registry",
    "METRICS": "bench.metrics.registry",
    "TASKS": "bench.tasks.registry",
    "Choices": "bench.spec.space",
    "IntRange": "bench.spec.space",
    "Log": "bench.spec.space",
    "Method": "bench.methods.base",
    "MethodConfig": "bench.spec.config",
    "Recommender": "bench.methods.base",
    "Spec": "bench.spec.models",
    "Store": "bench.store",
    "Uniform": "bench.spec.space",
    "load_spec": "bench.spec.loader",
    "make_dataset": "bench.data",
    "open_dataset": "bench.data.dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
