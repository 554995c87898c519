"""Losses and regularisers of pairwise ranking. Weights of different regularisers are not interchangeable."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_EPSILON = 1e-10


def pair_scores(users: Tensor, items: Tensor) -> Tensor:
    """Returns the (B,) inner products of paired rows of two (B, d) tensors."""
    return (users * items).sum(-1)


def bpr(users: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """Bayesian personalised ranking, −mean log σ(s⁺ − s⁻), from three (B, d) tensors (Rendle et al., UAI 2009)."""
    return -F.logsigmoid(pair_scores(users, pos) - pair_scores(users, neg)).mean()


def bpr_shifted(users: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """BPR as MMRec's BPR, VBPR and LightGCN compute it: −mean log(1e-10 + σ(s⁺ − s⁻))."""
    return -torch.log(LOG_EPSILON + torch.sigmoid(pair_scores(users, pos) - pair_scores(users, neg))).mean()


def norm_regulariser(*rows: Tensor) -> Tensor:
    """MMRec's EmbLoss: the sum of un-squared Frobenius norms over the number of rows of the last tensor."""
    return torch.stack([tensor.norm(p=2) for tensor in rows]).sum() / rows[-1].shape[0]


def half_squares(*rows: Tensor, batch_size: int) -> Tensor:
    """½ Σ‖·‖² over the configured batch size (MGCN, LATTICE); the divisor stays B on a smaller last batch."""
    return torch.stack([tensor.square().sum() for tensor in rows]).sum() * 0.5 / batch_size


def info_nce(anchors: Tensor, positives: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """In-batch InfoNCE in one direction: each batch row's anchor against the positives of all batch rows, by cosine.

    L = mean_k −log( exp(cos(a_k, p_k) / τ) / Σ_l exp(cos(a_k, p_l) / τ) ). A node repeated in the batch is its own
    false negative, as in the authors' code of MGCN; it is computed once here and weighed by how often it occurs.

    Args:
        anchors: (nodes, d).
        positives: (nodes, d); row k is the positive of anchor k.
        rows: (B,) int64 nodes in the batch, repeats allowed.
        temperature: τ.

    Returns:
        Scalar mean over the batch.
    """
    nodes, counts = rows.unique(return_counts=True)
    anchor = F.normalize(anchors.index_select(0, nodes), dim=1)
    positive = F.normalize(positives.index_select(0, nodes), dim=1)
    loss: Tensor = _WeightedInfoNCE.apply(anchor, positive, counts.to(anchor.dtype), temperature)
    return loss


class _WeightedInfoNCE(torch.autograd.Function):
    """Σ_k c_k / Σc · (log Σ_l c_l exp(s_kl / τ) − s_kk / τ), with one (n, n) matrix and no temporaries of its size."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, positives: Tensor, counts: Tensor, temperature: float) -> Tensor:
        scale = 1.0 / temperature
        # Cosines are at most 1, so exp((s − 1) / τ) cannot overflow and needs no row maximum.
        weights = torch.addmm(anchors.new_full((1,), -scale), anchors, positives.T, alpha=scale).exp_()
        sums = weights.mv(counts)
        share = counts / counts.sum()
        ctx.save_for_backward(anchors, positives, counts, weights, sums, share)
        ctx.scale = scale
        return (share * (sums.log() + scale - scale * (anchors * positives).sum(1))).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        anchors, positives, counts, weights, sums, share = ctx.saved_tensors
        factor = (share / sums)[:, None]
        d_anchors = factor * (weights @ (counts[:, None] * positives)) - share[:, None] * positives
        d_positives = counts[:, None] * (weights.T @ (factor * anchors)) - share[:, None] * anchors
        scale = grads[0] * ctx.scale
        return scale * d_anchors, scale * d_positives, None, None
