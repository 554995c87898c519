"""Grad-CAM without classes: how much each part of a spatial map adds to what an encoder's feature is like.

The map is the last one before pooling: the (h, w) cells of a convolutional network, the patch tokens of a ViT, or here
the parts of an item's picture, whose mean is the item's vector. The similarity of the feature with a reference takes
the place of a class score, so no class head is needed. RECONSTRUCTED: the abstract of BeFA (Fan et al., AAAI 2025,
arXiv 2406.00323) calls its attribution similarity-based and visual; weights and sum are those of Grad-CAM (Selvaraju
et al., ICCV 2017, equations 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bench.methods.base import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn


def gradient_heat(spatial: Tensor, features: Tensor, reference: Tensor | None = None) -> Tensor:
    """Returns H_p = ReLU(Σ_c w_c A_pc) with w_c = mean_p ∂s/∂A_pc, s the similarity of a feature with a reference.

    With a reference r, s = cos(v, r). Without one, the reference is the feature itself: s = v · r / ‖r‖², r a copy of v
    that is held fixed. That is their cosine with both norms held fixed: a cosine proper is largest where its arguments
    are equal, so that its gradient would be zero for every part.

    Args:
        spatial: (n, parts, C) maps A, which `features` were made of and whose gradient is wanted; class tokens left
            out.
        features: (n, d) features v; row i is a function of `spatial[i]` alone.
        reference: (n, d) what to compare with; None for each row's own feature.

    Returns:
        (n, parts) heat ≥ 0, not scaled; 0 throughout where a feature does not depend on its map.
    """
    if not features.requires_grad:
        return torch.zeros(spatial.shape[:2], dtype=spatial.dtype)
    if reference is None:
        own = features.detach()
        squares = (own * own).sum(1)
        similarity = (features * own).sum(1) / torch.where(squares > 0, squares, 1.0)
    else:
        similarity = functional.cosine_similarity(features, reference.detach(), dim=1)
    (gradient,) = torch.autograd.grad(similarity.sum(), spatial, retain_graph=True, allow_unused=True)
    if gradient is None:
        return torch.zeros(spatial.shape[:2], dtype=spatial.dtype)
    weights = gradient.mean(dim=1, keepdim=True)
    return functional.relu((weights * spatial.detach()).sum(dim=2))


@dataclass(frozen=True, eq=False)
class TracedContext(Context):
    """A context whose vectors of one modality are those of the dataset, and for torch a function of given ones.

    Attributes:
        modality: Which.
        vectors: (items, dim) of the context's type; their values are not used.
    """

    modality: str = ""
    vectors: Tensor | None = None

    def features(self, modality: str) -> Tensor:
        """Returns the (items, dim) vectors of a modality."""
        plain = super().features(modality)
        return plain + carried(self.vectors) if self.vectors is not None and modality == self.modality else plain


def carried(vectors: Tensor) -> Tensor:
    """Returns zeros with the gradient of `vectors`."""
    return vectors - vectors.detach()


def trace_tables(method: nn.Module, names: Iterable[str], vectors: Tensor) -> None:
    """Makes parameters that hold the dataset's vectors a function of given ones: a parameter ends the graph."""
    for name in names:
        place, _, key = name.rpartition(".")
        module = method.get_submodule(place)
        value = module._parameters.pop(key)
        assert value is not None  # noqa: S101 - the name comes from the module's own state
        module._buffers[key] = value.detach() + carried(vectors)


class PlainStatistics(TorchFunctionMode):
    """Within it, what is computed once from the whole table of vectors is a constant: its largest entry, its clusters.

    One item's vector would otherwise change the features of all.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function of torch, of a detached tensor where it leaves torch or reduces a tensor to one number."""
        if func in (torch.Tensor.numpy, torch.Tensor.max):
            args = (args[0].detach(), *args[1:])
        return func(*args, **(kwargs or {}))
