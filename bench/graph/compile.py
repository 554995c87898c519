"""From a pipeline and a dataset to a view: DGL does the work once, the cache keeps it."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from bench.errors import BenchError, DataError
from bench.graph.cache import load_or_build
from bench.graph.stages import Pipeline, check_pipeline, pipeline_to_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.types import RecommendationData
    from bench.graph.view import View

_CODE = tuple(f"bench.graph.{name}" for name in ("stages", "transforms", "knn", "weights", "view"))
"""Modules whose code decides what a view holds."""


class CompiledView(NamedTuple):
    """A compiled view and how it was had.

    Attributes:
        view: The graph, weights in float64 (`propagate` casts them to the type of its input).
        digest: Its identity, see `view_digest`.
        seconds: Wall time to make or to read it.
        cached: Whether it was read from disk.
    """

    view: View
    digest: str
    seconds: float
    cached: bool


def view_digest(pipeline: Pipeline, dataset_digest: str) -> str:
    """Returns the identity of a view: equal digests mean equal graphs. Reads no data and does not import DGL.

    Covers the dataset, every parameter of every stage (defaults included) and the code that runs them. Comments,
    docstrings and layout of that code do not count.

    Args:
        pipeline: The stages.
        dataset_digest: `Dataset.digest`.

    Raises:
        StageError: The stages do not follow each other.
    """
    check_pipeline(pipeline)
    content = {"dataset": dataset_digest, "stages": pipeline_to_yaml(pipeline), "code": _code_digest()}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def compile_view(pipeline: Pipeline, data: RecommendationData, *, cache_dir: Path | None = None) -> CompiledView:
    """Makes the graph a pipeline declares, or reads it from the cache.

    Args:
        pipeline: The stages.
        data: Training rows and item content. Data without a digest is compiled anew each time and not kept.
        cache_dir: Cache root instead of `$BENCH_CACHE`; views lie in its folder `views`.

    Raises:
        StageError: The stages do not follow each other.
        UserError: A stage needs a modality or neighbour lists the data lacks, or the cache cannot be written.
        DataError: The data's arrays contradict each other.
    """
    started = time.perf_counter()
    digest = view_digest(pipeline, data.digest)
    if data.digest:
        notes = {"dataset": data.name, "dataset_digest": data.digest, "stages": json.dumps(pipeline_to_yaml(pipeline))}
        view, cached = load_or_build(digest, lambda: _build(pipeline, data), cache_dir=cache_dir, notes=notes)
    else:
        view, cached = _build(pipeline, data), False
    return CompiledView(view, digest, time.perf_counter() - started, cached)


def _build(pipeline: Pipeline, data: RecommendationData) -> View:
    from bench.graph import transforms

    view = transforms.to_view(transforms.run(pipeline, data))
    if not torch.isfinite(view.values).all():
        raise DataError(f"the graph {pipeline_to_yaml(pipeline)} of {data.name!r} has weights that are not finite.")
    return view


@functools.cache
def _code_digest() -> str:
    total = hashlib.sha256()
    for module in _CODE:
        total.update(source_digest(_source(module)).encode())
    return total.hexdigest()


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    source = None
    if spec is not None and spec.loader is not None and hasattr(spec.loader, "get_source"):
        source = spec.loader.get_source(module)
    if source is None:
        raise BenchError(f"the source of {module} is not installed, so its views have no identity.")
    return str(source)


def source_digest(source: str) -> str:
    """Returns a digest of Python code that ignores comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [entry for entry in body if not _is_text(entry)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
