"""Contrastive losses over a batch or over all nodes, without a table of all logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_LOGITS = 1 << 20
"""Logits held at a time: 4 MB in float32, about what a core's share of the cache holds; reused from block to block."""


def in_batch_cross_entropy(anchors: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of anchors a against the positives p of all batch rows, by inner product (SLMRec).

    L = mean_k −log( exp(a_k·p_k / τ) / Σ_l exp(a_k·p_l / τ) ). A node repeated in the batch is its own false negative.

    Args:
        anchors: (B, d).
        positives: (B, d); row k is the positive of anchor k.
        temperature: τ.
    """
    share = anchors.new_full((len(anchors),), 1.0 / len(anchors))
    log_sums: Tensor = _LogSums.apply(anchors, positives, share, temperature)
    return log_sums - (anchors * positives).sum() / (len(anchors) * temperature)


def info_nce_over_all(anchors: Tensor, candidates: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """InfoNCE by cosine whose denominator runs over all nodes, as in the authors' code of DiffMM.

    L = mean_k −log( exp(cos(a_k, c_k) / τ) / Σ_l exp(cos(a_k, c_l) / τ) ), k over the batch, l over all nodes.

    Args:
        anchors: (nodes, d).
        candidates: (nodes, d); row k is the positive of anchor k.
        rows: (B,) int64 nodes in the batch, repeats allowed.
        temperature: τ.
    """
    nodes, counts = rows.unique(return_counts=True)
    anchor = functional.normalize(anchors.index_select(0, nodes), dim=1)
    candidate = functional.normalize(candidates, dim=1)
    share = counts.to(anchor.dtype) / rows.numel()
    log_sums: Tensor = _LogSums.apply(anchor, candidate, share, temperature)
    positive: Tensor = (share[:, None] * anchor * candidate.index_select(0, nodes)).sum()
    return log_sums - positive / temperature


class _LogSums(torch.autograd.Function):
    """Σ_k share_k log Σ_l exp(a_k·c_l / τ). Gradients are made beside the value, a block of anchors at a time."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, share: Tensor, temperature: float) -> Tensor:
        scaled = anchors / temperature
        block = max(1, min(len(anchors), _LOGITS // max(1, len(candidates))))
        buffer = anchors.new_empty(block, len(candidates))
        d_anchors, d_candidates = torch.empty_like(anchors), torch.zeros_like(candidates)
        total = anchors.new_zeros(())
        for start in range(0, len(anchors), block):
            part = scaled[start : start + block]
            weights = torch.mm(part, candidates.T, out=buffer[: len(part)])
            top = weights.amax(1)
            weights.sub_(top[:, None]).exp_()
            sums = weights.sum(1)
            share_of = share[start : start + block]
            total += (share_of * (sums.log() + top)).sum()
            factor = (share_of / sums)[:, None]
            d_anchors[start : start + block] = torch.mm(weights, candidates).mul_(factor / temperature)
            d_candidates.addmm_(weights.T, factor * part)
        ctx.save_for_backward(d_anchors, d_candidates)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_anchors, d_candidates = ctx.saved_tensors
        return grads[0] * d_anchors, grads[0] * d_candidates, None, None
