"""Frame-story cross attention and low-rank adapters for the attentions of a diffusers U-Net (StoryImager, FS-CAM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UserError

if TYPE_CHECKING:
    from bench.methods.layers.storyboard import Storyboard


class LowRank(nn.Module):
    """ΔW = up · down of a linear layer; zero at the start (LoRA, Hu et al. 2022, scale 1).

    Args:
        base: The layer it stands beside; its weights are not held.
        rank: Of ΔW.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.down = nn.Linear(base.in_features, rank, bias=False, **like)
        self.up = nn.Linear(rank, base.out_features, bias=False, **like)
        nn.init.normal_(self.down.weight, std=1.0 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Returns ΔW x, (..., out)."""
        change: Tensor = self.up(self.down(x))
        return change


class LowRankSet(nn.Module):
    """Adapters of the four projections of one attention; a whole attention with them.

    A(x, c) = (W_o + ΔW_o) softmax((W_q + ΔW_q) x ((W_k + ΔW_k) c)ᵀ / √d) (W_v + ΔW_v) c, heads side by side. The biases
    of the projections stay.

    Args:
        attention: A `diffusers` attention, whose projections are not held.
        rank: Of every ΔW.
    """

    def __init__(self, attention: Any, rank: int) -> None:
        super().__init__()
        self.query = LowRank(attention.to_q, rank)
        self.key = LowRank(attention.to_k, rank)
        self.value = LowRank(attention.to_v, rank)
        self.out = LowRank(attention.to_out[0], rank)

    def forward(self, attention: Any, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attends.

        Args:
            attention: The attention with the shared weights.
            x: (B, n, width).
            context: (B, m, context width).
            bias: (B, 1, m) added to the scores; None adds nothing.

        Returns:
            (B, n, width).
        """

        def heads(rows: Tensor) -> Tensor:
            split: Tensor = rows.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            return split

        query = heads(attention.to_q(x) + self.query(x))
        key = heads(attention.to_k(context) + self.key(context))
        value = heads(attention.to_v(context) + self.value(context))
        mask = None if bias is None else bias[:, None].to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joined = mixed.transpose(1, 2).flatten(2)
        out: Tensor = attention.to_out[1](attention.to_out[0](joined) + self.out(joined))
        return out


class AdaptedSelfAttention(nn.Module):
    """Processor of a self-attention: all cells of the board see each other, through one set of adapters.

    Args:
        attention: The `diffusers` attention it is for.
        rank: Of the adapters.
    """

    def __init__(self, attention: Any, rank: int) -> None:
        super().__init__()
        self.adapters = LowRankSet(attention, rank)

    def forward(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Returns (B, n, width) of (B, n, width); the names are those of `diffusers`."""
        mixed: Tensor = self.adapters(attn, hidden_states, hidden_states, attention_mask)
        return mixed


class FrameStoryAttention(nn.Module):
    """FS-CAM: one cross-attention, two sets of adapters.

        FS(h) = tile_i(A_frame(h_i, W_i)) + A_story(h, C)

    Cell i of the board sees the words W_i of its own caption alone; the uncut board sees the global tokens C. Both
    branches are whole attentions, the output's bias included. Padded cells have no frame branch. With all adapters at
    zero each branch is the base attention of its context; their sum, as the formula has it, is not the base network's.

    The context is packed: the words of frame 1 to F, equally many, then the global tokens.

    Args:
        attention: The `diffusers` attention it is for.
        rank: Of the adapters.
        board: Where the frames lie.
        story_tokens: Number of global tokens.
    """

    def __init__(self, attention: Any, rank: int, board: Storyboard, story_tokens: int) -> None:
        super().__init__()
        self.frame = LowRankSet(attention, rank)
        self.story = LowRankSet(attention, rank)
        self.board, self.story_tokens = board, story_tokens

    def forward(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attends; the names of the arguments are those of `diffusers`.

        Args:
            attn: The attention with the shared weights.
            hidden_states: (B, rows · s · columns · s, width), a board of cells with side s, row by row.
            encoder_hidden_states: (B, F · L + story_tokens, context width).
            attention_mask: (B, 1, F · L + story_tokens) added to the scores, or None.
        """
        if encoder_hidden_states is None:
            raise ValueError("a frame-story attention needs captions, but got none")
        board, frames = self.board, self.board.frames
        batch, places, width = hidden_states.shape
        side = round((places / board.cells) ** 0.5)
        if side * side * board.cells != places:
            raise ValueError(f"{places} places are no board of {board.rows} x {board.columns} square cells")
        split = encoder_hidden_states.shape[1] - self.story_tokens
        words = encoder_hidden_states[:, :split].reshape(batch * frames, split // frames, -1)
        frame_bias = story_bias = None
        if attention_mask is not None:
            frame_bias = attention_mask[..., :split].reshape(batch * frames, 1, -1)
            story_bias = attention_mask[..., split:]
        grid = hidden_states.transpose(1, 2).reshape(batch, width, board.rows * side, board.columns * side)
        cells = board.untile(grid).flatten(3).transpose(2, 3).reshape(batch * frames, side * side, width)
        seen = self.frame(attn, cells, words, frame_bias).view(batch, frames, side, side, width)
        tiled = board.tile(seen.permute(0, 1, 4, 2, 3)).flatten(2).transpose(1, 2)
        told = self.story(attn, hidden_states, encoder_hidden_states[:, split:], story_bias)
        both: Tensor = tiled + told
        return both


def adapt(unet: Any, board: Storyboard, *, rank: int, story_tokens: int) -> None:
    """Puts the processors above into every attention of a `UNet2DConditionModel`.

    Raises:
        UserError: The network has attentions of another kind.
    """
    from diffusers.models.attention_processor import Attention

    for name, module in list(unet.named_modules()):
        if not isinstance(module, Attention):
            continue
        if not name.endswith((".attn1", ".attn2")):
            raise UserError(f"the U-Net's attention {name!r} is none of a Stable Diffusion transformer block.")
        cross = name.endswith(".attn2")
        module.set_processor(
            FrameStoryAttention(module, rank, board, story_tokens) if cross else AdaptedSelfAttention(module, rank)
        )


def adapter_parameters(unet: nn.Module) -> list[nn.Parameter]:
    """Returns the weights that `adapt` added."""
    kinds = (AdaptedSelfAttention, FrameStoryAttention)
    return [weight for part in unet.modules() if isinstance(part, kinds) for weight in part.parameters()]


def as_bias(real: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns 0 where (B, n) is true and a large negative number elsewhere, as `diffusers` builds it."""
    return (1.0 - real.to(dtype)) * -10_000.0
