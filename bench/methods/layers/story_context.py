"""The contextual feature extractor of StoryImager (Context-FE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.methods.layers.captions import Words, transformer

if TYPE_CHECKING:
    from bench.methods.layers.storyboard import Storyboard


class StoryContext(NamedTuple):
    """What a story's captions say to the network.

    Attributes:
        tokens: (B, G, width) global-context tokens.
        prior: (B, C, rows · h, columns · w) latent prior; 0 in given and padded cells.
    """

    tokens: Tensor
    prior: Tensor


class ContextExtractor(nn.Module):
    """Context-FE: global-context tokens and a frame-aware latent prior from all captions and the mask.

    T1, shared by the frames, reads [words ; context queries ; prior query] of one caption; an MLP folds the prior
    query's output into the frame's cell. T2 reads the context outputs of all frames and G learnable queries, whose
    outputs are the global tokens. RECONSTRUCTED: widths, depths, a frame-index vector on every query, a given/target
    vector on the prior query, the queries of T2, and a last layer of the MLP that is zero at the start.

    Args:
        width: Of the words and of all tokens.
        board: Where the frames lie.
        cell: (channels, height, width) of a frame's latent cell.
        queries: Context queries of a frame.
        story_tokens: G.
        layers: Of T1 and of T2.
        heads: Attention heads.
        dtype: Floating type.
    """

    def __init__(
        self,
        width: int,
        board: Storyboard,
        cell: tuple[int, int, int],
        *,
        queries: int,
        story_tokens: int,
        layers: int,
        heads: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()

        def learnt(*shape: int) -> nn.Parameter:
            return nn.Parameter(0.02 * torch.randn(*shape, dtype=dtype))

        self.board, self.cell, self.queries = board, cell, queries
        self.caption = transformer(width, layers, heads, dtype)
        self.story = transformer(width, layers, heads, dtype)
        self.asked = learnt(queries + 1, width)
        self.frame_index = learnt(board.frames, 1, width)
        self.target_or_given = learnt(2, width)
        self.story_queries = learnt(story_tokens, width)
        channels, height, across = cell
        last = nn.Linear(2 * width, channels * height * across, dtype=dtype)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.fold = nn.Sequential(nn.Linear(width, 2 * width, dtype=dtype), nn.GELU(), last)

    def forward(self, words: Words, given: Tensor) -> StoryContext:
        """Reads the captions of stories.

        Args:
            words: Of B · F captions, story by story.
            given: (B, F) bool.
        """
        stories, frames = given.shape
        flags = self.target_or_given[given.long()][:, :, None]
        asked = (self.asked + self.frame_index).expand(stories, -1, -1, -1)
        asked = torch.cat([asked[:, :, :-1], asked[:, :, -1:] + flags], dim=2).flatten(0, 1)
        known = words.real.new_ones(asked.shape[:2])
        read = self.caption(
            torch.cat([words.tokens, asked], dim=1), src_key_padding_mask=~torch.cat([words.real, known], dim=1)
        )[:, -self.queries - 1 :]
        contexts = read[:, :-1].reshape(stories, frames * self.queries, -1)
        queries = self.story_queries.expand(stories, -1, -1)
        tokens = self.story(torch.cat([contexts, queries], dim=1))[:, -queries.shape[1] :]
        cells = self.fold(read[:, -1]).view(stories, frames, *self.cell)
        return StoryContext(tokens, self.board.tile(cells * ~given[:, :, None, None, None]))
