"""Stages as DGL transforms. Importing this module imports DGL; only `bench.graph.compile` does so, and late.

Edges run from sender to receiver; weights are float64 in `edata["weight"]`. A source ignores the graph it
is given; the other transforms change it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.errors import BenchError, DataError, UserError, did_you_mean
from bench.graph import stages
from bench.graph.knn import nearest_neighbours
from bench.graph.view import View
from bench.graph.weights import row_norm, sample_edges_by_degree, symmetric_norm

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.types import Modality, RecommendationData

WEIGHT = "weight"


def load_dgl() -> Any:
    """Imports DGL with the PyTorch backend chosen, so that it neither prints nor writes `~/.dgl`.

    Raises:
        BenchError: DGL cannot be imported.
    """
    before = os.environ.get("DGLBACKEND")
    os.environ["DGLBACKEND"] = "pytorch"
    try:
        import dgl
    except (ImportError, OSError) as error:
        raise BenchError(
            f"graphs are compiled with DGL, which cannot be imported: {error}",
            hint="Install dgl==1.1.3 on Python 3.10 or 3.11, or copy the compiled views into $BENCH_CACHE/views.",
        ) from error
    finally:
        if before is None:
            del os.environ["DGLBACKEND"]
        else:
            os.environ["DGLBACKEND"] = before
    return dgl


dgl = load_dgl()
_BaseTransform: Any = dgl.transforms.BaseTransform


def compose(pipeline: stages.Pipeline, data: RecommendationData) -> Any:
    """Returns the `dgl.transforms.Compose` of a pipeline over a dataset."""
    return dgl.transforms.Compose([TRANSFORMS[type(stage)](stage, data) for stage in pipeline])


def run(pipeline: stages.Pipeline, data: RecommendationData) -> Any:
    """Returns the DGL graph that a pipeline makes of a dataset."""
    return compose(pipeline, data)(dgl.graph(([], [])))


def to_view(graph: Any) -> View:
    """Returns a weighted DGL graph as a view: row = receiver, column = sender; parallel edges are summed."""
    senders, receivers = graph.edges()
    size = graph.num_nodes()
    return View.from_edges(receivers, senders, graph.edata[WEIGHT], (size, size))


def _graph(rows: Tensor, cols: Tensor, weights: Tensor, size: int) -> Any:
    graph = dgl.graph((cols, rows), num_nodes=size, idtype=torch.int64)
    graph.edata[WEIGHT] = weights
    return graph


class StageTransform(_BaseTransform):
    """A stage bound to the data it reads.

    Args:
        stage: The declaration.
        data: Training rows and item content.
    """

    def __init__(self, stage: Any, data: RecommendationData) -> None:
        self.stage = stage
        self.data = data

    def __repr__(self) -> str:
        return repr(self.stage)

    def modality(self) -> Modality:
        """Returns the modality the stage names.

        Raises:
            UserError: The dataset has none of that name.
        """
        name, known = self.stage.modality, self.data.modalities
        if name not in known:
            raise UserError(
                f"stage {self.stage.key()!r} needs modality {name!r}, "
                f"{self.data.name!r} has {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
            )
        return known[name]


class BipartiteTransform(StageTransform):
    """See `stages.Bipartite`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the user-item graph; `graph` is ignored."""
        n_users, n_items = self.data.n_users, self.data.n_items
        users = torch.from_numpy(self.data.train.users.astype(np.int64))
        items = torch.from_numpy(self.data.train.items.astype(np.int64))
        pairs = View.from_edges(users, items, torch.ones(len(users), dtype=torch.float64), (n_users, n_items))
        left, right = pairs.rows, pairs.indices + n_users
        rows, cols = torch.cat([left, right]), torch.cat([right, left])
        return _graph(rows, cols, pairs.values.repeat(2), n_users + n_items)


class KNNTransform(StageTransform):
    """See `stages.KNN`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the item-item graph; `graph` is ignored."""
        features = self.modality().features
        if len(features) != self.data.n_items:
            raise DataError(
                f"the vectors of {self.stage.modality!r} in {self.data.name!r} must have one row per item "
                f"({self.data.n_items}), but have {len(features)}."
            )
        try:
            edges = nearest_neighbours(
                features, self.stage.k, weighted=self.stage.weighted, self_loop=self.stage.self_loop
            )
        except ValueError as error:
            raise DataError(f"the vectors of {self.stage.modality!r} in {self.data.name!r}: {error}.") from error
        return _graph(edges.rows, edges.cols, edges.weights, self.data.n_items)


class NeighboursTransform(StageTransform):
    """See `stages.Neighbours`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the item-item graph; `graph` is ignored."""
        name, size = self.stage.modality, self.data.n_items
        lists = self.modality().neighbours
        if lists is None:
            raise UserError(
                f"modality {name!r} of {self.data.name!r} comes with vectors, not with neighbour lists.",
                hint=f"Use {{knn: {{modality: {name}}}}}.",
            )
        pairs = torch.from_numpy(np.asarray(lists, dtype=np.int64))
        if pairs.numel() and not (0 <= int(pairs.min()) and int(pairs.max()) < size):
            raise DataError(f"the neighbour lists of {name!r} in {self.data.name!r} name items outside [0, {size}).")
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        if self.stage.self_loop:
            pairs = torch.cat([pairs, torch.arange(size)[:, None].expand(-1, 2)])
        code = torch.unique(pairs[:, 0] * size + pairs[:, 1])
        return _graph(code // size, code % size, torch.ones(len(code), dtype=torch.float64), size)


class MergeTransform(StageTransform):
    """See `stages.Merge`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the weighted sum of the parts' graphs; `graph` is ignored."""
        views = [to_view(run(part, self.data)) for part in self.stage.parts]
        merged = View.from_edges(
            torch.cat([view.rows for view in views]),
            torch.cat([view.indices for view in views]),
            torch.cat([view.values * weight for view, weight in zip(views, self.stage.weights, strict=True)]),
            views[0].shape,
        )
        return _graph(merged.rows, merged.indices, merged.values, merged.n_rows)


class SymNormTransform(StageTransform):
    """See `stages.SymNorm`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the graph with normalised weights."""
        graph = graph.clone()
        cols, rows = graph.edges()
        size = graph.num_nodes()
        graph.edata[WEIGHT] = symmetric_norm(rows, cols, graph.edata[WEIGHT], (size, size), self.stage.eps)
        return graph


class RowNormTransform(StageTransform):
    """See `stages.RowNorm`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the graph with normalised weights."""
        graph = graph.clone()
        graph.edata[WEIGHT] = row_norm(graph.edges()[1], graph.edata[WEIGHT], graph.num_nodes())
        return graph


class SelfLoopsTransform(StageTransform):
    """See `stages.SelfLoops`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the graph with one loop of weight 1 at every node."""
        cols, rows = graph.edges()
        other, loops = rows != cols, torch.arange(graph.num_nodes())
        weights = torch.cat([graph.edata[WEIGHT][other], torch.ones(len(loops), dtype=torch.float64)])
        return _graph(torch.cat([rows[other], loops]), torch.cat([cols[other], loops]), weights, len(loops))


class DropEdgesTransform(StageTransform):
    """See `stages.DropEdges`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the graph without the node pairs that were not drawn."""
        view = to_view(graph)
        size, rows, cols = view.n_rows, view.rows, view.indices
        pairs, pair_of_edge = torch.unique(
            torch.minimum(rows, cols) * size + torch.maximum(rows, cols), return_inverse=True
        )
        generator = torch.Generator().manual_seed(self.stage.seed)
        degree = torch.bincount(rows, minlength=size)
        chosen = sample_edges_by_degree(
            (pairs // size, pairs % size), int(len(pairs) * self.stage.keep), generator, degrees=(degree, degree)
        )
        stays = torch.zeros(len(pairs), dtype=torch.bool)
        stays[chosen] = True
        kept = stays[pair_of_edge]
        return _graph(rows[kept], cols[kept], view.values[kept], size)


TRANSFORMS: dict[type[stages.Stage], type[StageTransform]] = {
    stages.Bipartite: BipartiteTransform,
    stages.KNN: KNNTransform,
    stages.Neighbours: NeighboursTransform,
    stages.Merge: MergeTransform,
    stages.SymNorm: SymNormTransform,
    stages.RowNorm: RowNormTransform,
    stages.SelfLoops: SelfLoopsTransform,
    stages.DropEdges: DropEdgesTransform,
}
