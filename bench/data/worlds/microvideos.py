"""A generated set of micro-videos in which only some frames tell what people like.

A video belongs to one of `TOPICS` topics and has a fine position within it. Of its frames a few in a row carry both,
plus noise; the others show a backdrop that many videos of other topics share, so that their mean misleads. Where the
telling frames lie differs from video to video, and they begin with a visible change. Users move between neighbouring
topics of a ring and stay close to where they are within a topic; what is popular is popular everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.files import derived_array
from bench.data.readers.sequences import sequence_content
from bench.data.sequential import Histories
from bench.data.types import Modality, ModalityInfo

if TYPE_CHECKING:
    from bench.data.content import Content, Request

GENERATOR_VERSION = 1
TOPICS, FRAMES, DIM, TELLING = 24, 8, 48, 3
LENGTHS = (6, 16)
"""Shortest and longest history."""


def read(request: Request) -> Content:
    """Draws the world of a size: the card's users and items times the scale."""
    sizes = request.card.sizes
    users, items = max(50, round(sizes["users"] * request.scale)), max(60, round(sizes["items"] * request.scale))
    rng = np.random.default_rng([20_260_301, users, items])
    topic = rng.integers(TOPICS, size=items)
    place = rng.normal(size=(items, 4)).astype(np.float32)
    popular = rng.normal(scale=0.6, size=items)
    frames_seed = int(rng.integers(2**31))
    histories = _histories(rng, users, topic, place, popular)
    key = f"microvideos v{GENERATOR_VERSION} {users} {items} {frames_seed}"

    def build(target: object) -> None:
        np.save(target, _frames(np.random.default_rng(frames_seed), topic, place))  # type: ignore[arg-type]

    frames = derived_array(key, (items, FRAMES, DIM), build)
    modality = Modality(ModalityInfo("clips", DIM, None), frames)
    return sequence_content(request, histories, {"generator": key}, {"frames": modality}, n_items=items)


def _frames(rng: np.random.Generator, topic: np.ndarray, place: np.ndarray) -> np.ndarray:
    items = len(topic)
    topics = rng.normal(size=(TOPICS, DIM)) * 1.2
    inner = rng.normal(size=(4, DIM)) * 0.5
    backdrops = rng.normal(size=(2 * TOPICS, DIM)) * 1.6
    told = topics[topic] + place @ inner
    shown = backdrops[rng.integers(2 * TOPICS, size=items)]
    start = rng.integers(FRAMES - TELLING + 1, size=items)
    step = np.arange(FRAMES)
    tells = (step >= start[:, None]) & (step < start[:, None] + TELLING)
    frames = np.where(tells[:, :, None], told[:, None], shown[:, None])
    drawn: np.ndarray = (frames + 0.5 * rng.normal(size=frames.shape)).astype(np.float32)
    return drawn


def _histories(
    rng: np.random.Generator, users: int, topic: np.ndarray, place: np.ndarray, popular: np.ndarray
) -> Histories:
    lengths = rng.integers(LENGTHS[0], LENGTHS[1] + 1, size=users)
    longest = int(lengths.max())
    taken = np.zeros((users, len(topic)), dtype=bool)
    rows = np.full((users, longest), -1, dtype=np.int32)
    now = rng.integers(TOPICS, size=users)
    taste = rng.normal(size=(users, 4)).astype(np.float32)
    for step in range(longest):
        # Mostly the same topic or the next one on the ring; now and then anywhere.
        move = rng.choice([0, 1, -1], p=[0.55, 0.35, 0.10], size=users)
        now = np.where(rng.random(users) < 0.08, rng.integers(TOPICS, size=users), (now + move) % TOPICS)
        near = -((taste[:, None] - place[None]) ** 2).sum(2) * 0.5
        score = near + popular + np.where(topic[None] == now[:, None], 6.0, 0.0) + rng.gumbel(size=taken.shape)
        chosen = np.where(taken, -np.inf, score).argmax(1)
        taken[np.arange(users), chosen] = True
        rows[:, step] = chosen
        now = topic[chosen]
        taste = (0.8 * taste + 0.2 * place[chosen] + 0.1 * rng.normal(size=taste.shape)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    keep = np.arange(longest) < lengths[:, None]
    return Histories(offsets, rows[keep])
