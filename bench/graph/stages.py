"""Graphs as data: a pipeline is a tuple of stages, written in YAML or in a method's `views`.

The first stage makes a graph, the others change its edges or weights. Nothing is computed here and DGL is not
imported: `bench.graph.compile` turns stages into DGL transforms. Rows receive, columns send.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from bench.data.types import ModalityInfo

Nodes = Literal["users+items", "items"]


class StageError(UserError, ValueError):
    """A stage or a pipeline that is not well formed. Also a ValueError, so that Pydantic reports it with its place."""


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    Class attributes:
        nodes: The nodes of the graph a source makes: `users+items` (users 0..U-1, then item i as U+i) or `items`.
            None for a stage that changes the graph it is given.
    """

    nodes: ClassVar[Nodes | None] = None

    @classmethod
    def key(cls) -> str:
        """Returns the stage's name in YAML: the class name in snake case."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def to_yaml(self) -> str | dict[str, Any]:
        """Returns what `parse_stage` reads back: the bare name when all is default, else {name: parameters}."""
        parameters = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        if not parameters or self == _default(type(self)):
            return self.key()
        return {self.key(): parameters}

    def resolve(self) -> Nodes | None:
        """Returns the nodes of the graph the stage makes, or None for a stage that changes one."""
        return self.nodes


Pipeline = tuple[Stage, ...]


@dataclass(frozen=True)
class Bipartite(Stage):
    """Training rows as edges between users and items, both directions, weighted by how often the pair occurs.

    Shape (U + I, U + I); symmetric; the two diagonal blocks are empty.
    """

    nodes: ClassVar[Nodes | None] = "users+items"


@dataclass(frozen=True)
class KNN(Stage):
    """Each item receives from its k nearest items by cosine of the modality's vectors. Exact; shape (I, I); directed.

    The item itself counts among the k and is always one of them. Equal cosines: the lower item id first. Negative
    cosines weigh 0. An all-zero vector is near nothing: its row holds the item itself alone, and no other row holds it.
    With fewer than k items the row holds them all.
    """

    nodes: ClassVar[Nodes | None] = "items"

    modality: str
    """Whose vectors are compared."""
    k: int = 10
    """Entries of a row."""
    weighted: bool = True
    """Weights are cosines (MGCN, LATTICE); otherwise 1 (FREEDOM)."""
    self_loop: bool = True
    """Whether the item itself is one of the k, with weight 1; otherwise it is left out and k others are taken."""

    def __post_init__(self) -> None:
        _check_name(self, "modality", self.modality)
        _check_int(self, "k", self.k, low=1)
        _check_bool(self, "weighted", self.weighted)
        _check_bool(self, "self_loop", self.self_loop)


@dataclass(frozen=True)
class Neighbours(Stage):
    """The published lists of similar items of a modality, weight 1; a pair listed twice is one edge. Shape (I, I)."""

    nodes: ClassVar[Nodes | None] = "items"

    modality: str
    """Whose lists are read."""
    self_loop: bool = True
    """Whether every item also receives from itself; otherwise self-pairs of the lists are left out."""

    def __post_init__(self) -> None:
        _check_name(self, "modality", self.modality)
        _check_bool(self, "self_loop", self.self_loop)


@dataclass(frozen=True)
class Merge(Stage):
    """The weighted sum of graphs over the same nodes: Σ_p weights[p] · parts[p]."""

    parts: tuple[Pipeline, ...]
    """The pipelines to add up."""
    weights: tuple[float, ...]
    """One factor per part."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(tuple(part) for part in self.parts))
        object.__setattr__(self, "weights", tuple(self.weights))
        if not self.parts or len(self.parts) != len(self.weights):
            raise StageError(
                f"merge needs one weight per part and at least one part, "
                f"but got {len(self.parts)} parts and {len(self.weights)} weights."
            )
        for weight in self.weights:
            _check_float(self, "weights", weight)
        made = sorted({str(check_pipeline(part)) for part in self.parts})
        if len(made) > 1:
            raise StageError(f"merge needs parts over the same nodes, but they are over {' and '.join(made)}.")

    def resolve(self) -> Nodes | None:
        """Returns the nodes of the parts."""
        return check_pipeline(self.parts[0])


@dataclass(frozen=True)
class SymNorm(Stage):
    """w_ij ← w_ij / √((d_i + ε)(d_j + ε)), d the row sums. Edges at a node whose degree is not positive get 0."""

    eps: float = 0.0
    """ε, added to every degree: 1e-7 in LightGCN, BM3 and FREEDOM, 0 in MGCN and LATTICE."""

    def __post_init__(self) -> None:
        _check_float(self, "eps", self.eps, low=0.0)


@dataclass(frozen=True)
class RowNorm(Stage):
    """w_ij ← w_ij / Σ_j w_ij. Rows whose sum is 0 get 0."""


@dataclass(frozen=True)
class SelfLoops(Stage):
    """Sets the weight of every node's edge to itself to 1 (A + I for a graph without such edges)."""


@dataclass(frozen=True)
class DropEdges(Stage):
    """Keeps int(E · keep) of the E node pairs, drawn without replacement with p ∝ 1/√(d_i d_j) (FREEDOM's rule).

    d counts a row's edges. The two directions of a pair are kept or dropped together; weights stay as they are.
    """

    keep: float
    """Share of the pairs that stays, in (0, 1]. Truncated in floating point, as in the authors' code."""
    seed: int = 0
    """Seed of the draw."""

    def __post_init__(self) -> None:
        _check_float(self, "keep", self.keep)
        if not 0.0 < self.keep <= 1.0:
            raise StageError(f"drop_edges: 0 < keep <= 1 must hold, but got (keep={self.keep}).")
        _check_int(self, "seed", self.seed, low=0)


STAGES: dict[str, type[Stage]] = {
    stage.key(): stage for stage in (Bipartite, KNN, Neighbours, Merge, SymNorm, RowNorm, SelfLoops, DropEdges)
}


def item_graph(modality: str, info: ModalityInfo, *, k: int = 10, weighted: bool = True) -> Pipeline:
    """Returns the item-item graph a modality allows: nearest neighbours of its raw vectors, or the published lists.

    Args:
        modality: The modality's name.
        info: What is known of it.
        k: Entries of a row, the item itself included; published lists keep their own length.
        weighted: Cosine weights; published lists carry none and weigh 1.
    """
    if info.kind == "neighbours":
        return (Neighbours(modality),)
    return (KNN(modality, k=k, weighted=weighted),)


def parse_stage(raw: object) -> Stage:
    """Reads one stage: a bare name (`sym_norm`) or one name and its parameters (`{knn: {modality: image}}`).

    Raises:
        StageError: An unknown stage or parameter (the nearest name is given), a missing one, or a value out of bounds.
    """
    if isinstance(raw, Stage):
        return raw
    name: object
    parameters: object
    if isinstance(raw, str):
        name, parameters = raw, {}
    elif isinstance(raw, Mapping) and len(raw) == 1:
        name, parameters = next(iter(raw.items()))
        parameters = {} if parameters is None else parameters
    else:
        raise StageError(
            f"a stage is a name or a mapping of one name to its parameters, but got {raw!r}.", hint=_known()
        )
    if not isinstance(name, str) or name not in STAGES:
        raise StageError(f"unknown stage {name!r}.{did_you_mean(str(name), STAGES)}", hint=_known())
    if not isinstance(parameters, Mapping):
        raise StageError(f"the parameters of {name!r} must be a mapping, but got {parameters!r}.")
    stage = STAGES[name]
    known = [field.name for field in fields(stage)]
    for parameter in parameters:
        if parameter not in known:
            allowed = ", ".join(known) or "none"
            raise StageError(
                f"stage {name!r} has no parameter {parameter!r}.{did_you_mean(str(parameter), known)}",
                hint=f"Its parameters: {allowed}.",
            )
    arguments = dict(parameters)
    if stage is Merge:
        arguments = _merge_arguments(arguments)
    try:
        return stage(**arguments)
    except TypeError:
        missing = [parameter for parameter in _required(stage) if parameter not in arguments]
        raise StageError(f"stage {name!r} needs {', '.join(map(repr, missing))}.") from None


def parse_pipeline(raw: object) -> Pipeline:
    """Reads a list of stages and checks that they follow each other.

    Raises:
        StageError: See `parse_stage` and `check_pipeline`.
    """
    if isinstance(raw, str) or not isinstance(raw, list | tuple):
        raise StageError(f"a pipeline is a list of stages, but got {raw!r}.", hint=_known())
    pipeline = tuple(parse_stage(stage) for stage in raw)
    check_pipeline(pipeline)
    return pipeline


def pipeline_to_yaml(pipeline: Pipeline) -> list[str | dict[str, Any]]:
    """Returns the plain list that `parse_pipeline` reads back."""
    return [stage.to_yaml() for stage in pipeline]


def check_pipeline(pipeline: Pipeline) -> Nodes:
    """Returns the nodes of a pipeline's graph.

    Raises:
        StageError: The pipeline is empty, its first stage makes no graph, or a later one makes another graph.
    """
    sources = "bipartite, knn, neighbours or merge"
    if not pipeline:
        raise StageError(f"a pipeline must hold at least one stage; the first makes the graph: {sources}.")
    nodes = pipeline[0].resolve()
    if nodes is None:
        raise StageError(f"a pipeline's first stage must make the graph ({sources}), but is {pipeline[0].key()!r}.")
    for stage in pipeline[1:]:
        if stage.resolve() is not None:
            raise StageError(
                f"only a pipeline's first stage may make a graph, but {stage.key()!r} comes later.",
                hint="To combine graphs use merge.",
            )
    return nodes


def _known() -> str:
    return f"Stages: {', '.join(STAGES)}."


def _required(stage: type[Stage]) -> list[str]:
    optional = vars(stage)
    return [field.name for field in fields(stage) if field.name not in optional]


def _default(stage: type[Stage]) -> Stage | None:
    return None if _required(stage) else stage()


def _plain(value: object) -> object:
    if isinstance(value, Stage):
        return value.to_yaml()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value


def _merge_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    for name in ("parts", "weights"):
        if name in arguments and not isinstance(arguments[name], list | tuple):
            raise StageError(f"merge: {name} must be a list, but got {arguments[name]!r}.")
    if "parts" in arguments:
        arguments["parts"] = tuple(parse_pipeline(part) for part in arguments["parts"])
    return arguments


def _check_name(stage: Stage, parameter: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise StageError(f"{stage.key()}: {parameter} must be a name, but got {value!r}.")


def _check_bool(stage: Stage, parameter: str, value: object) -> None:
    if not isinstance(value, bool):
        raise StageError(f"{stage.key()}: {parameter} must be true or false, but got {value!r}.")


def _check_int(stage: Stage, parameter: str, value: object, *, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise StageError(f"{stage.key()}: {parameter} must be a whole number from {low}, but got {value!r}.")


def _check_float(stage: Stage, parameter: str, value: object, *, low: float = -math.inf) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < low:
        bound = "" if low == -math.inf else f" from {low:g}"
        raise StageError(f"{stage.key()}: {parameter} must be a finite number{bound}, but got {value!r}.")
