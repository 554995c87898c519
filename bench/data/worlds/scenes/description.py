"""What a scene is: arrays of objects on a ground, seen from somewhere under some light. Pixels are a function of it.

All arrays have the scenes as their first axis, so a value describes a whole batch. Lengths are in scene units: the
ordinary view shows the square [0, 1] x [0, 1], x to the right and y down.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np


class Objects(NamedTuple):
    """Up to K objects in every scene. Later slots lie in front of earlier ones.

    Attributes:
        present: (n, K) bool; what the other arrays hold in an absent object's place means nothing.
        form: (n, K) integers, an index into `bench.data.worlds.scenes.forms.FORMS`.
        rgb: (n, K, 3) floating in [0, 1].
        x: (n, K) centre.
        y: (n, K) centre.
        size: (n, K) half of the extent along the longer axis of an upright form.
        rotation: (n, K) radians, clockwise.
        aspect: (n, K) height over width, at most 1.
    """

    present: np.ndarray
    form: np.ndarray
    rgb: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    rotation: np.ndarray
    aspect: np.ndarray


class View(NamedTuple):
    """Where the camera is, each (n,). The ordinary view is zoom 1 and zeros.

    Attributes:
        rotation: Radians by which the picture turns.
        zoom: Above 1, things look larger.
        shear: Horizontal shift per unit of height.
        tilt_x: Perspective: how much farther the right side is, relative to the left.
        tilt_y: Perspective: how much farther the bottom is, relative to the top.
        shift_x: Scene units by which the camera moves right.
        shift_y: Scene units by which the camera moves down.
    """

    rotation: np.ndarray
    zoom: np.ndarray
    shear: np.ndarray
    tilt_x: np.ndarray
    tilt_y: np.ndarray
    shift_x: np.ndarray
    shift_y: np.ndarray


class Light(NamedTuple):
    """How the scene is lit. Ordinary light is gain 1, tint 1 and zeros.

    Attributes:
        gain: (n,) factor of brightness.
        tint: (n, 3) factor of each colour channel.
        slope: (n, 2) relative change of brightness from the left to the right side, and from top to bottom.
        shadow: (n,) share of light that a soft-edged shadow takes from one side of the picture.
        shadow_angle: (n,) radians.
        shadow_offset: (n,) distance of the shadow's edge from the middle of the picture.
        noise: (n,) half width of uniform noise on brightness, in units of 255.
        noise_state: (n,) uint64 that decides the noise.
    """

    gain: np.ndarray
    tint: np.ndarray
    slope: np.ndarray
    shadow: np.ndarray
    shadow_angle: np.ndarray
    shadow_offset: np.ndarray
    noise: np.ndarray
    noise_state: np.ndarray


class Occluders(NamedTuple):
    """Up to M bars before the lens, each (n, M) but `rgb`, in units of the picture and not of the scene.

    Attributes:
        present: Bool.
        x: Centre.
        y: Centre.
        angle: Radians.
        half_length: Half of the long side.
        half_width: Half of the short side.
        rgb: (n, M, 3).
    """

    present: np.ndarray
    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    half_length: np.ndarray
    half_width: np.ndarray
    rgb: np.ndarray


class Scenes(NamedTuple):
    """A batch of scenes.

    Attributes:
        objects: What stands in them.
        ground: (n, 3) colour behind everything.
        view: From where they are seen.
        light: How they are lit.
        occluders: What hides a part of them.
    """

    objects: Objects
    ground: np.ndarray
    view: View
    light: Light
    occluders: Occluders


_Part = TypeVar("_Part", bound=tuple[Any, ...])


def take(part: _Part, rows: np.ndarray | slice) -> _Part:
    """Returns some scenes of a batch, or the same rows of any part of it."""
    return type(part)(*(take(field, rows) if isinstance(field, tuple) else field[rows] for field in part))


def count_scenes(scenes: Scenes) -> int:
    """Returns the number of scenes."""
    return len(scenes.ground)


def plain_view(n: int) -> View:
    """Returns the ordinary view."""
    zeros = np.zeros(n)
    return View(zeros, np.ones(n), zeros, zeros, zeros, zeros, zeros)


def plain_light(n: int) -> Light:
    """Returns ordinary light, without noise."""
    zeros = np.zeros(n)
    return Light(np.ones(n), np.ones((n, 3)), np.zeros((n, 2)), zeros, zeros, zeros, zeros, np.zeros(n, np.uint64))


def no_occluders(n: int) -> Occluders:
    """Returns a free line of sight."""
    none = np.zeros((n, 0))
    return Occluders(none.astype(bool), none, none, none, none, none, np.zeros((n, 0, 3)))


def plain(objects: Objects, ground: np.ndarray) -> Scenes:
    """Returns scenes in the ordinary view and light with nothing in the way."""
    n = len(ground)
    return Scenes(objects, ground, plain_view(n), plain_light(n), no_occluders(n))
