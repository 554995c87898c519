"""From a pipeline and a dataset to a view: DGL does the work once, the cache keeps it."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bench.errors import BenchError, DataError, UserError
from bench.graph.cache import load_or_build
from bench.graph.stages import Merge, Pipeline, check_pipeline, pipeline_to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.data.types import RecommendationData
    from bench.data.vqa import VqaData
    from bench.graph.stages import Stage
    from bench.graph.view import View

_CODE = tuple(f"bench.graph.{name}" for name in ("stages", "transforms", "knn", "weights", "view"))
"""Modules whose code decides what a view holds."""

_MORE_CODE = {"bench.graph.clips": ("bench.graph.clips", "bench.graph.clip_transforms")}
"""The same for stages defined elsewhere, by the module that defines them: they count for pipelines that hold one, so
that the identities of all others stay. The last module binds the stages to their transforms."""


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
    code = _code_digest(_CODE)
    for modules in _more_code(pipeline):
        code = hashlib.sha256(f"{code}{_code_digest(modules)}".encode()).hexdigest()
    content = {"dataset": dataset_digest, "stages": pipeline_to_yaml(pipeline), "code": code}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def compile_view(
    pipeline: Pipeline, data: RecommendationData | VqaData, *, cache_dir: Path | None = None
) -> CompiledView:
    """Makes the graph a pipeline declares, or reads it from the cache.

    Args:
        pipeline: The stages.
        data: What the stages read: training rows and item content, or the number of clips. Data without a digest is
            compiled anew each time and not kept.
        cache_dir: Cache root instead of `$BENCH_CACHE`; views lie in its folder `views`.

    Raises:
        StageError: The stages do not follow each other.
        UserError: A stage needs a modality, neighbour lists or clips the data lacks, or the cache cannot be written.
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


def _build(pipeline: Pipeline, data: Any) -> View:
    from bench.graph import transforms

    nodes: str = check_pipeline(pipeline)
    if (nodes == "clips") != hasattr(data, "n_clips"):
        has = "clips" if hasattr(data, "n_clips") else "users and items"
        raise UserError(f"the graph {pipeline_to_yaml(pipeline)} is over {nodes}, but {data.name!r} has {has}.")
    for modules in _more_code(pipeline):
        importlib.import_module(modules[-1])
    view = transforms.to_view(transforms.run(pipeline, data))
    if not torch.isfinite(view.values).all():
        raise DataError(f"the graph {pipeline_to_yaml(pipeline)} of {data.name!r} has weights that are not finite.")
    return view


def _flat(pipeline: Pipeline) -> Iterator[Stage]:
    for stage in pipeline:
        yield stage
        if isinstance(stage, Merge):
            for part in stage.parts:
                yield from _flat(part)


def _more_code(pipeline: Pipeline) -> list[tuple[str, ...]]:
    defining = {type(stage).__module__ for stage in _flat(pipeline)}
    return [modules for name, modules in _MORE_CODE.items() if name in defining]


@functools.cache
def _code_digest(modules: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for module in modules:
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
