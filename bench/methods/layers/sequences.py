"""Encoders of item sequences: the causal transformers of SASRec and the recurrent network of GRU4Rec."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.sequential_recommender import PADDING

_MASKED = -10_000.0
"""What RecBole adds to the logits of a masked key; a row of padding alone stays finite."""
_LOGITS = 1_000_000
"""Logits held at a time: 4 MB in float32."""


def cut(tokens: Tensor, length: int) -> Tensor:
    """Returns the last `length` places of (B, L) left-padded tokens."""
    return tokens[:, -length:]


class SelfAttention(nn.Module):
    """Multi-head attention over (B, L, d) with residual and LayerNorm after it (RecBole's `MultiHeadAttention`).

    Args:
        dim: d, divisible by `heads`.
        heads: Number of heads.
        dropout: On attention weights and on the output.
        eps: Of the LayerNorm.
    """

    def __init__(self, dim: int, heads: int, *, dropout: float, attention_dropout: float, eps: float) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dense = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, L, d); `mask` (B, 1, L, L) is added to the logits."""
        batch, length, dim = inputs.shape
        query, key, value = (
            part(inputs).view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        rate = self.attention_dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        merged = found.transpose(1, 2).reshape(batch, length, dim)
        normed: Tensor = self.norm(self.dropout(self.dense(merged)) + inputs)
        return normed


class FeedForward(nn.Module):
    """Two layers with GELU, residual and LayerNorm after them (RecBole's `FeedForward`)."""

    def __init__(self, dim: int, inner: int, *, dropout: float, eps: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (…, d)."""
        normed: Tensor = self.norm(self.dropout(self.second(functional.gelu(self.first(inputs)))) + inputs)
        return normed


class TransformerEncoder(nn.Module):
    """SASRec's encoder as RecBole has it: no √d scaling, positions count real items from the oldest, GELU, post-norm.

    Args:
        dim: d.
        length: Longest sequence.
        blocks: Number of blocks.
        heads: Heads of each.
        inner: Width of the feed-forward layers.
        dropout: On embeddings, attention outputs and feed-forward outputs.
        attention_dropout: On attention weights.
        eps: Of every LayerNorm.
    """

    def __init__(
        self,
        dim: int,
        length: int,
        *,
        blocks: int,
        heads: int,
        inner: int,
        dropout: float,
        attention_dropout: float,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.length = length
        self.positions = nn.Embedding(length, dim)
        self.norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.attentions = nn.ModuleList(
            SelfAttention(dim, heads, dropout=dropout, attention_dropout=attention_dropout, eps=eps)
            for _ in range(blocks)
        )
        self.forwards = nn.ModuleList(FeedForward(dim, inner, dropout=dropout, eps=eps) for _ in range(blocks))
        self.apply(_normal_init)

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """Encodes (B, L, d) item vectors of (B, L) left-padded tokens; returns (B, L, d) states."""
        real = tokens != PADDING
        places = (real.cumsum(1) - 1).clamp_(min=0)
        states: Tensor = self.dropout(self.norm(vectors + self.positions(places)))
        causal = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).tril_()
        allowed = causal[None, None] & real[:, None, None, :]
        mask = torch.zeros(allowed.shape, dtype=states.dtype, device=states.device).masked_fill_(~allowed, _MASKED)
        for attend, transform in zip(self.attentions, self.forwards, strict=True):
            states = transform(attend(states, mask))
        return states


class PlainTransformerEncoder(nn.Module):
    """SASRec's encoder as pmixer's port has it: vectors × √d, positions count places, ReLU, keys of padding are seen.

    A place counts from the left of a row that is always `length` wide, so that the newest item has the last position;
    padding has position 0. LayerNorm follows each residual sum (`norm_first` is off there by default), eps 1e-8.

    Args:
        dim: d.
        length: Places of a row.
        blocks: Number of blocks.
        heads: Heads of each.
        dropout: On embeddings, attention weights and feed-forward layers.
    """

    def __init__(self, dim: int, length: int, *, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.length, self.scale = length, dim**0.5
        self.positions = nn.Embedding(length + 1, dim, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True) for _ in range(blocks)
        )
        self.attention_norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-8) for _ in range(blocks))
        self.firsts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(blocks))
        self.seconds = nn.ModuleList(nn.Linear(dim, dim) for _ in range(blocks))
        self.forward_norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-8) for _ in range(blocks))
        self.last_norm = nn.LayerNorm(dim, eps=1e-8)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        with torch.no_grad():
            self.positions.weight[0].zero_()

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """Encodes (B, L, d) item vectors of (B, L) left-padded tokens; returns (B, L, d) states."""
        width = tokens.shape[1]
        missing = self.length - width
        vectors = functional.pad(vectors, (0, 0, missing, 0))
        real = functional.pad(tokens, (missing, 0)) != PADDING
        places = torch.arange(1, self.length + 1, device=tokens.device) * real
        states: Tensor = self.dropout(vectors * self.scale + self.positions(places))
        blocked = ~torch.ones(self.length, self.length, dtype=torch.bool, device=tokens.device).tril_()
        layers = zip(
            self.attentions, self.attention_norms, self.firsts, self.seconds, self.forward_norms, strict=True
        )
        for attend, attention_norm, first, second, forward_norm in layers:
            found, _ = attend(states, states, states, attn_mask=blocked, need_weights=False)
            states = attention_norm(states + found)
            inner = self.dropout(second(functional.relu(self.dropout(first(states)))))
            states = forward_norm(states + inner)
        out: Tensor = self.last_norm(states)[:, missing:]
        return out


class RecurrentEncoder(nn.Module):
    """GRU4Rec's encoder as RecBole has it: dropout on the vectors, a GRU without biases, a dense layer back to d.

    Weights start as in RecBole, which touches the first GRU layer only (xavier-uniform): further layers and the dense
    layer keep torch's defaults.

    Args:
        dim: d.
        hidden: Width of the GRU.
        layers: Number of its layers.
        dropout: On the item vectors.
    """

    def __init__(self, dim: int, hidden: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(dim, hidden, layers, bias=False, batch_first=True)
        self.dense = nn.Linear(hidden, dim)
        for name, parameter in self.gru.named_parameters():
            if name.endswith("_l0"):
                nn.init.xavier_uniform_(parameter)

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """Encodes (B, L, d) item vectors of (B, L) left-padded tokens; returns (B, L, d) states.

        A row is turned so that its real items come first: padding before them would change the states.
        """
        length = tokens.shape[1]
        shift = (tokens == PADDING).sum(1, keepdim=True)
        place = torch.arange(length, device=tokens.device)
        forth = ((place + shift) % length).unsqueeze(2)
        back = ((place - shift) % length).unsqueeze(2)
        turned = torch.gather(self.dropout(vectors), 1, forth.expand(-1, -1, vectors.shape[2]))
        states = self.dense(self.gru(turned)[0])
        return torch.gather(states, 1, back.expand(-1, -1, states.shape[2]))


def full_cross_entropy(states: Tensor, targets: Tensor, table: Tensor, *, padding: bool = True) -> Tensor:
    """Returns the mean cross-entropy of next tokens over the whole table.

    Args:
        states: (B, L, d).
        targets: (B, L) tokens; `PADDING` where nothing is to be predicted.
        table: (I + 1, d) token vectors.
        padding: Whether the padding row is a class too, as in RecBole.
    """
    wanted = targets != PADDING
    first = 0 if padding else PADDING + 1
    # Under mixed precision an encoder may end in half precision; the sums over all items are taken in the table's.
    chosen = states[wanted].to(table.dtype)
    loss: Tensor = _LinearCrossEntropy.apply(chosen, table[first:], targets[wanted] - first)
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of `states @ table.T`, rows in blocks; the gradient is formed on the way.

    The logits of a batch are tens of megabytes, and most of the time of the plain form goes into fetching that memory:
    a block that stays in the cache takes a third of it.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """Returns the scalar mean over (n, d) states and (n,) targets, classes (C, d)."""
        n, classes = states.shape[0], table.shape[0]
        rows = max(1, min(n, _LOGITS // classes))
        buffer = states.new_empty(rows, classes)
        toward_states, toward_table = torch.empty_like(states), torch.zeros_like(table)
        total = states.new_zeros(())
        for start in range(0, n, rows):
            state, target = states[start : start + rows], targets[start : start + rows, None]
            logits = torch.mm(state, table.T, out=buffer[: state.shape[0]])
            logits.sub_(logits.amax(1, keepdim=True))
            at_target = logits.gather(1, target).sum()
            sums = logits.exp_().sum(1, keepdim=True)
            total += sums.log().sum() - at_target
            softmax = logits.div_(sums)
            softmax.scatter_add_(1, target, torch.full_like(target, -1, dtype=softmax.dtype))
            torch.mm(softmax, table, out=toward_states[start : start + rows])
            toward_table.addmm_(softmax.T, state)
        ctx.save_for_backward(toward_states.div_(n), toward_table.div_(n))
        return total / n

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Scales what `forward` formed."""
        toward_states, toward_table = ctx.saved_tensors
        return toward_states * grad, toward_table * grad, None


def pairwise_cross_entropy(states: Tensor, targets: Tensor, negatives: Tensor, table: Tensor) -> Tensor:
    """Returns SASRec's loss (equation 6): binary cross-entropy of the next token and of one negative, each a mean.

    Args:
        states: (B, L, d).
        targets: (B, L) tokens; `PADDING` where nothing is to be predicted.
        negatives: (B, L) tokens beside them.
        table: (I + 1, d) token vectors.
    """
    wanted = targets != PADDING
    state = states[wanted]
    positive = (state * functional.embedding(targets[wanted], table)).sum(1)
    negative = (state * functional.embedding(negatives[wanted], table)).sum(1)
    return functional.softplus(-positive).mean() + functional.softplus(negative).mean()


def _normal_init(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
