"""Conditions under which scenes are seen: the ordinary one, and three that training never meets."""

from __future__ import annotations

import numpy as np

from bench.data.classification import CLEAN
from bench.data.worlds.scenes.description import Light, Occluders, Scenes, View
from bench.data.worlds.scenes.draws import between, states, uniforms

CONDITIONS = (CLEAN, "viewpoint", "lighting", "occlusion")
"""`viewpoint`: turned, slanted, nearer or farther. `lighting`: dark or glaring, tinted, in a shadow. `occlusion`: two
bars before the lens. Each changes that alone; the rest is as in `clean`."""

BARS = 2


def conditioned(scenes: Scenes, condition: str, seed: int, stream: str, index: np.ndarray) -> Scenes:
    """Returns the same scenes as seen under a condition.

    Args:
        scenes: n scenes; their own view, light and occluders are replaced.
        condition: One of `CONDITIONS`.
        seed: Seed of the world.
        stream: What the draws are for.
        index: (n,) numbers of the scenes.

    Raises:
        ValueError: No such condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition must be one of {', '.join(CONDITIONS)}, but got {condition!r}")
    view = _far_view if condition == "viewpoint" else _near_view
    light = _harsh_light if condition == "lighting" else _mild_light
    bars = _bars(seed, stream, index)
    bars = bars._replace(present=bars.present & (condition == "occlusion"))
    return scenes._replace(view=view(seed, stream, index), light=light(seed, stream, index), occluders=bars)


def _signed(low: float, high: float, draws: np.ndarray) -> np.ndarray:
    """Stretches numbers in [0, 1) to (-high, -low] and [low, high)."""
    half = draws * 2.0
    return np.where(half < 1.0, between(low, high, half % 1.0), -between(low, high, half % 1.0))


def _near_view(seed: int, stream: str, index: np.ndarray) -> View:
    draws = uniforms(seed, f"{stream}/view", index, (7,)).T
    return View(
        rotation=between(-0.15, 0.15, draws[0]),
        zoom=between(0.95, 1.08, draws[1]),
        shear=between(-0.06, 0.06, draws[2]),
        tilt_x=between(-0.08, 0.08, draws[3]),
        tilt_y=between(-0.08, 0.08, draws[4]),
        shift_x=between(-0.03, 0.03, draws[5]),
        shift_y=between(-0.03, 0.03, draws[6]),
    )


def _far_view(seed: int, stream: str, index: np.ndarray) -> View:
    draws = uniforms(seed, f"{stream}/far view", index, (7,)).T
    return View(
        rotation=_signed(0.4, 1.0, draws[0]),
        zoom=np.where(draws[1] < 0.5, between(0.65, 0.8, draws[1] * 2 % 1), between(1.2, 1.4, draws[1] * 2 % 1)),
        shear=_signed(0.25, 0.5, draws[2]),
        tilt_x=_signed(0.2, 0.45, draws[3]),
        tilt_y=_signed(0.2, 0.45, draws[4]),
        shift_x=between(-0.06, 0.06, draws[5]),
        shift_y=between(-0.06, 0.06, draws[6]),
    )


def _mild_light(seed: int, stream: str, index: np.ndarray) -> Light:
    draws = uniforms(seed, f"{stream}/light", index, (7,)).T
    n = len(index)
    return Light(
        gain=between(0.88, 1.06, draws[0]),
        tint=between(0.96, 1.04, draws[1:4].T),
        slope=between(-0.12, 0.12, draws[4:6].T),
        shadow=np.zeros(n),
        shadow_angle=np.zeros(n),
        shadow_offset=np.zeros(n),
        noise=np.full(n, 6.0),
        noise_state=states(seed, f"{stream}/noise", index),
    )


def _harsh_light(seed: int, stream: str, index: np.ndarray) -> Light:
    draws = uniforms(seed, f"{stream}/harsh light", index, (8,)).T
    tints = np.array([[1.12, 0.98, 0.82], [0.85, 0.96, 1.12], [0.92, 1.08, 0.90], [1.08, 0.90, 1.06]])
    return Light(
        gain=np.where(draws[0] < 0.6, between(0.6, 0.75, draws[0] / 0.6 % 1), between(1.15, 1.3, draws[0] / 0.4 % 1)),
        tint=tints[(draws[1] * len(tints)).astype(np.int64)],
        slope=_signed(0.2, 0.45, draws[2:4].T),
        shadow=between(0.25, 0.5, draws[4]),
        shadow_angle=draws[5] * (2 * np.pi),
        shadow_offset=between(-0.2, 0.2, draws[6]),
        noise=np.full(len(index), 10.0),
        noise_state=states(seed, f"{stream}/noise", index),
    )


def _bars(seed: int, stream: str, index: np.ndarray) -> Occluders:
    draws = uniforms(seed, f"{stream}/bars", index, (BARS, 6))
    shades = np.array([[0.15, 0.15, 0.17], [0.75, 0.75, 0.78], [0.60, 0.42, 0.25]])
    return Occluders(
        present=np.ones((len(index), BARS), dtype=bool),
        x=between(0.3, 0.7, draws[..., 0]),
        y=between(0.3, 0.7, draws[..., 1]),
        angle=draws[..., 2] * np.pi,
        half_length=between(0.5, 0.9, draws[..., 3]),
        half_width=between(0.07, 0.11, draws[..., 4]),
        rgb=shades[(draws[..., 5] * len(shades)).astype(np.int64)],
    )
