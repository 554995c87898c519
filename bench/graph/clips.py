"""The stage of graphs over the clips of a video, in every video the same. Neither torch nor DGL is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bench.graph.stages import STAGES, Stage, StageError


@dataclass(frozen=True)
class ClipGraph(Stage):
    """Every clip receives from every clip of its video, or from those at most `window` clips away, with weight 1.

    Shape (N, N), N the number of clips of every video of the dataset; symmetric. The complete graph is DualVGR's.
    """

    # Wider than the parent's literal, which knows no clips.
    nodes: ClassVar[Any] = "clips"

    window: int | None = None
    """Largest distance of two neighbours in clips; None for the complete graph."""
    self_loop: bool = True
    """Whether every clip also receives from itself."""

    def __post_init__(self) -> None:
        window = self.window
        if window is not None and (not isinstance(window, int) or isinstance(window, bool) or window < 1):
            raise StageError(f"clip_graph: window must be a whole number from 1, or null, but got {window!r}.")
        if not isinstance(self.self_loop, bool):
            raise StageError(f"clip_graph: self_loop must be true or false, but got {self.self_loop!r}.")


STAGES[ClipGraph.key()] = ClipGraph
