"""Conditional relation units and the question's read-out of HCRN (Le et al., CVPR 2020, arXiv 2002.10698).

Formulas follow the authors' code (thaolmk54/hcrn-videoqa at eb92c9b).
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UserError
from bench.methods.layers.video import Attended, xavier_uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_OBJECTS = 64
"""Numbers of subsets of more objects do not fit 64 bits."""
MOST_SUBSETS = 4096
"""Most subsets of one size that are ever listed in full."""


def subset_sizes(objects: int, largest: int | None = None) -> tuple[int, ...]:
    """Returns the sizes of the subsets a relation unit looks at, largest first.

    All objects at once are left out, unless they are the only pair: sizes n − 1 … 2. Where fewer than n may be in a
    subset (`largest` = m < n), the authors' code starts at n all the same and takes m sizes, n, n − 1, …

    Two rules are ours, for videos that the authors' code cannot take: one object is a subset of its own, and two
    objects are one pair.

    Args:
        objects: n, at least 1.
        largest: m; None for n.
    """
    if objects == 1:
        return (1,)
    sizes = range(objects, 1, -1)
    largest = objects if largest is None else largest
    first = 1 if largest == objects and len(sizes) > 1 else 0
    return tuple(sizes[first:largest])


def subset_of(ranks: np.ndarray, objects: int, size: int) -> np.ndarray:
    """Returns the subsets at some places of the lexicographic order (that of `itertools.combinations`).

    Args:
        ranks: (…) int64 in 0 .. C(objects, size) − 1.
        objects: n.
        size: Objects in a subset.

    Returns:
        (…, n) bool, True at the objects in the subset.
    """
    rest, left = ranks.astype(np.int64), np.full(ranks.shape, size)
    member = np.zeros((*ranks.shape, objects), dtype=bool)
    for place in range(objects):
        later = objects - 1 - place
        table = np.array([0] + [comb(later, k) for k in range(size)], dtype=np.int64)
        # How many of the subsets that are still possible contain this object: they come first.
        containing = table[left]
        take = rest < containing
        member[..., place] = take
        rest -= np.where(take, 0, containing)
        left -= take
    return member


def draw_subsets(rng: np.random.Generator, objects: int, size: int, *, draws: int | None, groups: int) -> np.ndarray:
    """Draws distinct subsets, for each group its own.

    Args:
        rng: Where chance comes from.
        objects: n.
        size: Objects in a subset.
        draws: Subsets to draw; None, or as many as there are, gives all of them, once for all groups.
        groups: Number of draws that share nothing.

    Returns:
        (groups or 1, t, n) floating weights of a subset's mean: 1 / size at its objects.
    """
    total = comb(objects, size)
    if draws is None or draws >= total:
        ranks = np.arange(total)[None]
    elif draws == 1:
        ranks = rng.integers(total, size=(groups, 1))
    else:
        ranks = np.sort(np.stack([rng.choice(total, draws, replace=False) for _ in range(groups)]), axis=1)
    return subset_of(ranks, objects, size) / size


class RelationUnit(nn.Module):
    """Conditional relation unit: from n objects to one vector for each size of subsets.

    For a subset S and a condition c: h = ELU(W_k [mean of S ; c]), times σ(G_k [mean of S ; c]) if gated; the output of
    size k is the mean of h over the subsets that were drawn. Training draws anew at each call, from torch's global
    stream. Evaluation takes every subset of the sizes that have no more than `eval_draws`, and of the others as many as
    that, drawn once when the unit is built and kept with its weights: an answer never depends on chance, on the batch,
    or on what was asked before. (The authors draw anew in evaluation as well.)

    Args:
        objects: n.
        dim: d.
        dtype: Floating type.
        gated: Whether there is a gate; the authors have one where the question is the condition.
        largest: See `subset_sizes`.
        draws: Subsets of each size in training; None for all.
        eval_draws: Subsets of each size in evaluation; None for all.
        groups: How many lists of objects stand beside each other; each gets its own draws.
        seed: Where the draws for evaluation start from.

    Raises:
        UserError: There are too many objects, or too many subsets to take all.
    """

    def __init__(
        self,
        objects: int,
        dim: int,
        dtype: torch.dtype,
        *,
        gated: bool = False,
        largest: int | None = None,
        draws: int | None = 1,
        eval_draws: int | None = None,
        groups: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.objects, self.draws, self.groups = objects, draws, groups
        self.sizes = subset_sizes(objects, largest)
        if objects > MOST_OBJECTS:
            raise UserError(
                f"a relation unit takes up to {MOST_OBJECTS} objects, but the videos have {objects} clips or frames in "
                "a clip",
                hint="Cut the videos into fewer clips, or take fewer frames of each.",
            )
        most = max(comb(objects, size) for size in self.sizes)
        if None in (draws, eval_draws) and most > MOST_SUBSETS:
            raise UserError(
                f"{objects} clips or frames have {most} subsets of one size, more than the {MOST_SUBSETS} that can be "
                "taken in full",
                hint="Use subsets: sampled, or fewer clips or frames.",
            )
        self.fuse = nn.ModuleList(nn.Linear(2 * dim, dim, dtype=dtype) for _ in self.sizes)
        self.gate = nn.ModuleList(nn.Linear(2 * dim, dim, dtype=dtype) for _ in self.sizes if gated)
        rng = np.random.default_rng(seed)
        for size in self.sizes:
            fixed = draw_subsets(rng, objects, size, draws=eval_draws, groups=groups)
            self.register_buffer(f"fixed_{size}", torch.from_numpy(fixed).to(dtype))
        xavier_uniform(self)

    @property
    def outputs(self) -> int:
        """Number of vectors that come out."""
        return len(self.sizes)

    def subsets(self) -> list[Tensor]:
        """Returns the subsets of this call by size, largest first; each (groups or 1, t, n) weights of the mean."""
        fixed = [self.get_buffer(f"fixed_{size}") for size in self.sizes]
        if not self.training:
            return fixed
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        return [
            torch.from_numpy(draw_subsets(rng, self.objects, size, draws=self.draws, groups=self.groups)).to(like)
            for size, like in zip(self.sizes, fixed, strict=True)
        ]

    def forward(self, objects: Tensor, condition: Tensor, subsets: Sequence[Tensor] | None = None) -> Tensor:
        """Relates objects.

        Args:
            objects: (B, G, n, d).
            condition: (B, G or 1, d).
            subsets: See `subsets`; None for those of this call.

        Returns:
            (B, G, `outputs`, d), the largest subsets first.
        """
        outputs = []
        for index, weights in enumerate(self.subsets() if subsets is None else subsets):
            related = functional.elu(_on_means(self.fuse[index], weights, objects, condition))
            if len(self.gate):
                related = related * torch.sigmoid(_on_means(self.gate[index], weights, objects, condition))
            outputs.append(related.mean(-2))
        return torch.stack(outputs, dim=-2)


def _on_means(layer: nn.Module, weights: Tensor, objects: Tensor, condition: Tensor) -> Tensor:
    """Returns (B, G, t, d): `layer` on [mean of the subset ; condition], without repeating the condition."""
    assert isinstance(layer, nn.Linear)  # noqa: S101 - ModuleList forgets the class of its members
    on_objects, on_condition = layer.weight.chunk(2, dim=1)
    # A linear layer and a mean may change places; the fewer vectors should pass the layer.
    if weights.shape[-2] <= objects.shape[-2]:
        means = functional.linear(weights @ objects, on_objects)
    else:
        means = weights @ functional.linear(objects, on_objects)
    return means + functional.linear(condition, on_condition, layer.bias).unsqueeze(-2)


class FeatureAggregation(nn.Module):
    """The question weighs what the relation units found: softmax of w · ELU(W [V x ; Q q ⊙ V x]), and the weighted sum.

    Args:
        dim: d.
        dtype: Floating type.
        dropout: Dropout of the vectors.
    """

    def __init__(self, dim: int, dtype: torch.dtype, *, dropout: float = 0.15) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.question = nn.Linear(dim, dim, bias=False, dtype=dtype)
        self.visual = nn.Linear(dim, dim, bias=False, dtype=dtype)
        self.join = nn.Linear(2 * dim, dim, dtype=dtype)
        self.score = nn.Linear(dim, 1, dtype=dtype)
        xavier_uniform(self)

    def forward(self, question: Tensor, visual: Tensor) -> Attended:
        """Reads (B, units, d) vectors for (B, d) questions."""
        dropped = self.dropout(visual)
        projected = self.visual(dropped)
        joined = self.join(torch.cat([projected, self.question(question)[:, None] * projected], dim=2))
        weights = torch.softmax(self.score(functional.elu(joined)).squeeze(-1), dim=1)
        return Attended((weights[:, :, None] * dropped).sum(1), weights)
