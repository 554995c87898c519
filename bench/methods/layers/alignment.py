"""Contrastive alignment of images with their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from bench.methods.classifier import ImageBatch


def same_class_targets(labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns T, (B, B): T_ij = 1 / n where i and j share a class that has n rows in the batch, else 0.

    Rows sum to 1 and T is symmetric.
    """
    same = (labels[:, None] == labels[None, :]).to(dtype)
    return same / same.sum(1, keepdim=True)


def alignment_targets(batch: ImageBatch, dtype: torch.dtype, *, by_class: bool) -> Tensor:
    """Returns the same-class targets of a batch, or the identity: each image's own text alone."""
    if by_class:
        return same_class_targets(batch.labels, dtype)
    return torch.eye(len(batch.labels), dtype=dtype, device=batch.labels.device)


def symmetric_info_nce(images: Tensor, texts: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Returns ½ [CE(cos(u, s) / τ, T) + CE(cos(s, u) / τ, Tᵀ)], means over rows.

    Args:
        images: u, (B, d).
        texts: s, (B, d).
        targets: T, (B, B), rows and columns sum to 1.
        temperature: τ.
    """
    logits = functional.normalize(images, dim=1) @ functional.normalize(texts, dim=1).T / temperature
    rows = functional.cross_entropy(logits, targets)
    columns = functional.cross_entropy(logits.T, targets.T)
    return 0.5 * (rows + columns)


def projection(inner: int, width: int, dtype: torch.dtype) -> nn.Sequential:
    """Returns P, Linear-ReLU-Linear from `inner` to `width`."""
    return nn.Sequential(nn.Linear(inner, width, dtype=dtype), nn.ReLU(), nn.Linear(width, width, dtype=dtype))
