"""Frames of a story as cells of one picture, and which of them are given (StoryImager, arXiv 2404.05979)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from bench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Order = Literal["rows", "columns"]
MOST_FRAMES = 12
"""Longest story whose mask patterns are listed."""


class Storyboard(NamedTuple):
    """A grid of frames; cells beyond the last frame are padding.

    Attributes:
        rows: Rows of cells.
        columns: Columns of cells.
        frames: F, at most rows · columns.
        order: Whether frames fill row after row or, as in the paper's figure, column after column.
    """

    rows: int
    columns: int
    frames: int
    order: Order = "rows"

    @property
    def cells(self) -> int:
        """Cells of the grid, padding included."""
        return self.rows * self.columns

    def tile(self, frames: Tensor) -> Tensor:
        """Lays (B, F, C, h, w) frames out as (B, C, rows · h, columns · w) boards; padded cells are 0."""
        batch, _, channels, height, width = frames.shape
        if self.cells > self.frames:
            blank = frames.new_zeros(batch, self.cells - self.frames, channels, height, width)
            frames = torch.cat([frames, blank], dim=1)
        if self.order == "rows":
            grid = frames.view(batch, self.rows, self.columns, channels, height, width)
        else:
            grid = frames.view(batch, self.columns, self.rows, channels, height, width).transpose(1, 2)
        return grid.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, self.rows * height, self.columns * width)

    def untile(self, board: Tensor) -> Tensor:
        """Cuts (B, C, rows · h, columns · w) boards into (B, F, C, h, w) frames; padded cells are dropped."""
        batch, channels, height, width = board.shape
        cell = (height // self.rows, width // self.columns)
        grid = board.view(batch, channels, self.rows, cell[0], self.columns, cell[1]).permute(0, 2, 4, 1, 3, 5)
        if self.order == "columns":
            grid = grid.transpose(1, 2)
        return grid.reshape(batch, self.cells, channels, *cell)[:, : self.frames]

    def spread(self, values: Tensor, cell: int) -> Tensor:
        """Blows (B, F) values up to (B, 1, rows · cell, columns · cell); padded cells are 0."""
        return self.tile(values[:, :, None, None, None].expand(-1, -1, 1, cell, cell))


def storyboard(frames: int, *, rows: int | None, columns: int | None, order: Order) -> Storyboard:
    """Returns the grid of a story.

    Args:
        frames: F.
        rows: Rows; None takes what the columns leave, or the largest number up to the root of F.
        columns: Columns; None takes what the rows leave.
        order: See `Storyboard`.

    Raises:
        UserError: The frames do not fit, or a story is too long.
    """
    if frames > MOST_FRAMES:
        raise UserError(f"storyimager lays out at most {MOST_FRAMES} frames; the data set's stories have {frames}.")
    if rows is None:
        rows = max(1, int(frames**0.5)) if columns is None else -(-frames // columns)
    if columns is None:
        columns = -(-frames // rows)
    if rows * columns < frames:
        raise UserError(
            f"a grid of {rows} x {columns} cells has no room for {frames} frames.",
            hint="Raise `rows` or `columns`, or leave both out.",
        )
    return Storyboard(rows, columns, frames, order)


class MaskBank(NamedTuple):
    """Which frames are given, as StoryImager draws them in training.

    A third of the masks gives nothing (visualisation), a third a prefix of 1 to F − 1 frames (continuation), a third
    any other pattern but the whole story (completion). The shares are RECONSTRUCTED.

    Attributes:
        prefixes: (F − 1, F) bool.
        others: (n, F) bool.
        frames: F.
    """

    prefixes: Tensor
    others: Tensor
    frames: int

    @classmethod
    def of(cls, frames: int) -> MaskBank:
        """Lists the patterns for stories of `frames` frames."""
        position = torch.arange(frames)
        prefixes = position[None] < torch.arange(1, frames)[:, None]
        every = (torch.arange(2**frames)[:, None] >> position & 1).bool()
        known = every.sum(1)
        is_prefix = (every == (position[None] < known[:, None])).all(1)  # the empty and the whole story are prefixes
        return cls(prefixes, every[~is_prefix], frames)

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Draws (count, F) bool masks, true where a frame is given, from the global stream."""
        kinds = torch.randint(3, (count,))
        given = torch.zeros(count, self.frames, dtype=torch.bool)
        for kind, patterns in ((1, self.prefixes), (2, self.others)):
            if len(patterns):
                chosen = patterns[torch.randint(len(patterns), (count,))]
                given = torch.where((kinds == kind)[:, None], chosen, given)
        return given.to(device)
