"""The hidden truth of a generated world: item content, categories, crowds, popularity and tastes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

GENERATOR_VERSION = 1
"""Rises when the same seed and scale would give other files."""


@dataclass(frozen=True)
class WorldSpec:
    """Everything a generated recommendation world depends on.

    Attributes:
        name: Name of the dataset.
        users: Number of users.
        items: Number of items.
        rows: Number of interactions; every user and every item has at least five.
        image_dim: Width of the image vectors.
        text_dim: Width of the text vectors.
        seed: Seed of everything.
        leaf_density: There are leaf_density * sqrt(items) leaf categories, the finest level at which content decides
            what is bought; with the root, both their number and their size grow with the world.
        leaves_per_branch: Leaf categories under one branch.
        crowd_density: There are crowd_density * sqrt(items) crowds: items bought together for reasons that no content
            shows.
        by_content: Share of interactions drawn from a user's leaf categories.
        by_crowd: Share drawn from a user's crowds. The rest follows popularity alone.
        sharpness: How strongly the finer content decides within a leaf.
        image_noise: Standard deviation of what image vectors carry beside content, in units of the content's.
        text_noise: The same for text vectors.
    """

    name: str
    users: int
    items: int
    rows: int
    image_dim: int
    text_dim: int
    seed: int = 20_140
    leaf_density: float = 3.0
    leaves_per_branch: int = 5
    crowd_density: float = 2.0
    by_content: float = 0.5
    by_crowd: float = 0.2
    sharpness: float = 1.5
    image_noise: float = 1.0
    text_noise: float = 0.5

    def rng(self, *parts: object) -> np.random.Generator:
        """Returns the generator of one component, independent of all others."""
        key = hashlib.sha256(" ".join(map(str, (GENERATOR_VERSION, self.seed, *parts))).encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


CONTENT = 16
"""Width of the content factors: the first half shows in images, all but the first quarter in text."""
NUISANCE = 24
"""Width of the factors that vectors carry and nobody's taste depends on."""


class Groups(NamedTuple):
    """A partition of the items with a popularity-weighted way to draw from each part.

    Attributes:
        of_item: (items,) part of each item.
        order: (items,) items sorted by part.
        start: (parts + 1,) offsets into `order`.
        cumulative: (items + 1,) running popularity along `order`, from 0.
    """

    of_item: np.ndarray
    order: np.ndarray
    start: np.ndarray
    cumulative: np.ndarray

    @classmethod
    def build(cls, of_item: np.ndarray, n_parts: int, weight: np.ndarray) -> Groups:
        """Sorts items by part and accumulates their weights."""
        order = np.argsort(of_item, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(of_item, minlength=n_parts))])
        return cls(of_item, order, start, np.concatenate([[0.0], np.cumsum(weight[order])]))

    def draw(self, parts: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Draws one item by popularity from each given part.

        Args:
            parts: (...,) parts, none of them empty.
            uniform: (...,) numbers in [0, 1).
        """
        low, high = self.cumulative[self.start[parts]], self.cumulative[self.start[parts + 1]]
        found = np.searchsorted(self.cumulative, low + uniform * (high - low), side="right") - 1
        return np.asarray(self.order[np.clip(found, self.start[parts], self.start[parts + 1] - 1)])


class Latents(NamedTuple):
    """What is true of items and users.

    Attributes:
        popularity: (items,) how often an item is bought when nothing else decides.
        leaves: Items by leaf category.
        crowds: Items by crowd; unrelated to content.
        content: (items, CONTENT) content factors, unit variance.
        user_leaves: (users, 3) leaf categories a user buys from, the first one most.
        user_crowds: (users, 2) crowds a user buys from.
        taste: (users, CONTENT) preference over content factors within a leaf.
        degrees: (users,) number of interactions, at least five.
        leaves_per_branch: Leaf categories under one branch.
    """

    popularity: np.ndarray
    leaves: Groups
    crowds: Groups
    content: np.ndarray
    user_leaves: np.ndarray
    user_crowds: np.ndarray
    taste: np.ndarray
    degrees: np.ndarray
    leaves_per_branch: int


def draw_latents(world: WorldSpec) -> Latents:
    """Draws the hidden truth of a world. Memory grows with users + items only."""
    popularity = 4.0 + world.rng("popularity").lognormal(2.06, 1.32, world.items)
    leaves, centres = _leaves(world, popularity)
    n_crowds = max(2, round(world.crowd_density * world.items**0.5))
    crowd_of = np.concatenate([np.arange(n_crowds), world.rng("crowds").integers(0, n_crowds, world.items - n_crowds)])
    crowds = Groups.build(world.rng("crowd order").permutation(crowd_of), n_crowds, popularity)
    within = world.rng("content").standard_normal((world.items, CONTENT))
    content = (centres[leaves.of_item] + 0.7 * within) / np.sqrt(1.0 + 0.7**2)
    rng = world.rng("users")
    user_leaves = _user_leaves(world, leaves, rng)
    mass = np.diff(crowds.cumulative[crowds.start])
    user_crowds = _weighted(mass, rng.random((world.users, 2)))
    taste = rng.standard_normal((world.users, CONTENT))
    return Latents(
        popularity,
        leaves,
        crowds,
        content,
        user_leaves,
        user_crowds,
        taste,
        _user_degrees(world),
        world.leaves_per_branch,
    )


def _weighted(weight: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draws indices in proportion to `weight`, one per uniform number."""
    cumulative = np.cumsum(weight)
    found = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return np.asarray(np.minimum(found, len(weight) - 1))


def _leaves(world: WorldSpec, popularity: np.ndarray) -> tuple[Groups, np.ndarray]:
    branches = max(2, round(world.leaf_density * world.items**0.5 / world.leaves_per_branch))
    n_leaves = branches * world.leaves_per_branch
    while n_leaves > world.items // 4:
        branches -= 1
        n_leaves = branches * world.leaves_per_branch
    rng = world.rng("leaves")
    share = rng.lognormal(0.0, 0.5, n_leaves)
    spread = _weighted(share, rng.random(world.items - n_leaves))
    of_item = rng.permutation(np.concatenate([np.arange(n_leaves), spread]))
    branch_centres = rng.standard_normal((branches, CONTENT))
    own = rng.standard_normal((n_leaves, CONTENT))
    centres = 0.7 * np.repeat(branch_centres, world.leaves_per_branch, axis=0) + np.sqrt(1 - 0.7**2) * own
    return Groups.build(of_item, n_leaves, popularity), centres


def _user_leaves(world: WorldSpec, leaves: Groups, rng: np.random.Generator) -> np.ndarray:
    """Draws each user's leaves: one by popularity, a sibling in the same branch, and one more from anywhere."""
    mass = np.diff(leaves.cumulative[leaves.start])
    first = _weighted(mass, rng.random(world.users))
    branch = first // world.leaves_per_branch
    sibling = branch * world.leaves_per_branch + rng.integers(0, world.leaves_per_branch, world.users)
    other = _weighted(mass, rng.random(world.users))
    return np.stack([first, sibling, other], axis=1)


def _user_degrees(world: WorldSpec) -> np.ndarray:
    """Draws long-tailed user degrees of at least five that sum to the number of rows."""
    rng = world.rng("user degrees")
    largest = max(6, min(400, world.items // 4))
    degrees = np.minimum(5 + rng.lognormal(0.602, 1.204, world.users).astype(np.int64), largest)
    gap = world.rows - int(degrees.sum())
    while gap:
        room = np.flatnonzero(degrees < largest) if gap > 0 else np.flatnonzero(degrees > 5)
        chosen = rng.permutation(room)[: abs(gap)]
        degrees[chosen] += 1 if gap > 0 else -1
        gap = world.rows - int(degrees.sum())
    return np.asarray(degrees)
