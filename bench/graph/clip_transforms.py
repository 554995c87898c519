"""`clips.ClipGraph` as a DGL transform. Importing this module imports DGL; only `bench.graph.compile` does so, late."""

from __future__ import annotations

from typing import Any

import torch

from bench.graph.clips import ClipGraph
from bench.graph.transforms import TRANSFORMS, WEIGHT, StageTransform, dgl


class ClipGraphTransform(StageTransform):
    """See `clips.ClipGraph`."""

    def __call__(self, graph: Any) -> Any:
        """Returns the graph over the N clips of a video; `graph` is ignored."""
        data: Any = self.data
        window = data.n_clips if self.stage.window is None else self.stage.window
        place = torch.arange(data.n_clips)
        distance = (place[:, None] - place).abs()
        near = distance <= window
        if not self.stage.self_loop:
            near &= distance > 0
        rows, cols = near.nonzero(as_tuple=True)
        made = dgl.graph((cols, rows), num_nodes=data.n_clips, idtype=torch.int64)
        made.edata[WEIGHT] = torch.ones(len(rows), dtype=torch.float64)
        return made


TRANSFORMS[ClipGraph] = ClipGraphTransform
