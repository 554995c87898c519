"""What visually-aware recommenders share: which content they read, and where it joins an item's ID vector."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from scipy.cluster.vq import kmeans2, vq
from torch.nn import functional

from bench.methods.layers.content import ContentRecommender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from bench.methods.base import Context

Content = Literal["image", "all"]
"""`all`: every modality of the dataset. `image`: the image alone, or everything where a dataset has no image."""

_ROUNDS = 20
"""Rounds of k-means."""
_WIDTH = 128
"""Wider vectors are first projected at random, which about keeps their distances and takes a tenth of the time."""
_STARTS = 4
"""Times that k-means starts, of which the tightest result is kept."""


class VisualRecommender(ContentRecommender):
    """Score p_u · (q_i + x_i), x_i made of an item's content; its loss reads the ID vectors of the batch's items alone.

    That is what lets an adapter put other ID vectors in the place of q (`bench.methods.cold_start.cierec`).
    """

    summed: ClassVar[bool] = False
    """Whether the ranking loss is a sum over the batch's rows, not a mean."""

    def content_names(self) -> tuple[str, ...]:
        """Returns the one name for everything that is read."""
        return ("content",)

    def adapted(self, content: Tensor, items: Tensor) -> Tensor:
        """Returns (n, d) projected content as an adapter of content remakes it, if there is one.

        Args:
            content: (n, d).
            items: (n, ≥ d) ID vectors of the same items.
        """
        return content if self.content_adapter is None else self.content_adapter("content", content, items)


def read_modalities(present: Iterable[str], content: Content) -> tuple[str, ...]:
    """Returns the modalities a method reads, in the dataset's order."""
    names = tuple(present)
    return ("image",) if content == "image" and "image" in names else names


def visual_features(context: Context, content: Content, *, scaled: bool = False) -> Tensor:
    """Returns the (items, D) vectors a method reads, those of several modalities side by side.

    Args:
        context: Supplies them.
        content: What is read.
        scaled: Divide each modality by its largest absolute entry, as the authors' code of AMR does.
    """
    found = [context.features(name) for name in read_modalities(context.data.modalities, content)]
    if scaled:
        found = [features / features.abs().max().clamp_min(torch.finfo(features.dtype).tiny) for features in found]
    return torch.cat(found, dim=1)


def add_content(items: Tensor, content: Tensor) -> Tensor:
    """Returns (n, w) item vectors with (n, d) content added to their first d columns; the others are an adapter's."""
    width = content.shape[1]
    if items.shape[1] == width:
        return items + content
    return torch.cat([items[:, :width] + content, items[:, width:]], dim=1)


def trained_items(context: Context) -> Tensor:
    """Returns (items,) bool: which items have a training row."""
    trained = torch.zeros(context.data.n_items, dtype=torch.bool)
    trained[torch.from_numpy(np.unique(context.data.train.items).astype(np.int64))] = True
    return trained


def visual_clusters(features: Tensor, fitted: Tensor, count: int) -> Tensor:
    """Groups items by the direction of their features; the same for every seed.

    Args:
        features: (items, D).
        fitted: (items,) bool: items that the centres are made of; the others go to the nearest centre.
        count: Wanted groups; fewer where there are fewer distinct vectors.

    Returns:
        (items,) int64 group from 0.
    """
    unit = functional.normalize(features.float(), dim=1).numpy()
    rng = np.random.default_rng(0)
    if unit.shape[1] > _WIDTH:
        unit = unit @ (rng.normal(size=(unit.shape[1], _WIDTH)) / _WIDTH**0.5).astype(unit.dtype)
    own = unit[fitted.numpy()]
    distinct = len(np.unique((own @ rng.normal(size=own.shape[1])).round(6)))
    groups = min(count, distinct)
    if groups <= 1:
        return torch.zeros(len(unit), dtype=torch.int64)
    best, least = own[:groups], np.inf
    with warnings.catch_warnings():
        # A centre that loses its last item stays where it is, which is as good a centre as any.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(_STARTS):
            centres, _ = kmeans2(own, groups, iter=_ROUNDS, minit="++", seed=rng)
            spread = float(np.square(vq(own, centres.astype(own.dtype))[1]).sum())
            if spread < least:
                best, least = centres.astype(own.dtype), spread
    return torch.from_numpy(vq(unit, best)[0].astype(np.int64))
