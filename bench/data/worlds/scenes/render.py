"""From descriptions to pixels and masks: signed distances over a whole batch, blended from the back to the front.

Only the window that an object can touch is drawn. An image depends on its own row alone, bit by bit: every step is
element by element, and what is in the batch beside it changes at most how wide the windows are, whose edges are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.scenes.description import Scenes, count_scenes, take
from bench.data.worlds.scenes.draws import mix
from bench.data.worlds.scenes.forms import box_distance, distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.data.worlds.scenes.description import Light, Objects, Occluders, View

BACKGROUND, HIDDEN = -1, -2
"""What `owners` says where no object is seen, and where an occluder is in the way."""

_PIXELS_PER_CHUNK = 1 << 19
_EDGE = 0.35
"""Half width of a shadow's soft edge, in units of the picture."""


class _Layer(NamedTuple):
    """How much of some pixels one slot covers: rows (m, 1, 1), ys (m, P, 1), xs (m, 1, P), cover (m, P, P)."""

    slot: int
    rows: np.ndarray
    ys: np.ndarray
    xs: np.ndarray
    cover: np.ndarray


def render(scenes: Scenes, side: int = 32) -> np.ndarray:
    """Draws scenes.

    Args:
        scenes: n descriptions.
        side: Height and width in pixels, at least 2.

    Returns:
        (n, side, side, 3) uint8 RGB.
    """
    pixels = np.empty((count_scenes(scenes), side, side, 3), dtype=np.uint8)
    for part in _chunks(scenes, side):
        chunk = take(scenes, part)
        # Channel by channel: gathering and scattering single numbers is several times faster than triples.
        canvas = np.empty((3, len(chunk.ground), side, side), dtype=np.float32)
        canvas[:] = chunk.ground.astype(np.float32).T[:, :, None, None]
        colours = chunk.objects.rgb.astype(np.float32)
        for layer in _layers(chunk.objects, chunk.view, side):
            _blend(canvas, layer, colours)
        _shade(canvas, chunk.light, side)
        bars = chunk.occluders.rgb.astype(np.float32)
        for layer in _bars(chunk.occluders, side):
            _blend(canvas, layer, bars)
        pixels[part] = _quantised(canvas, chunk.light, side).transpose(1, 2, 3, 0)
    return pixels


def owners(scenes: Scenes, side: int = 32, *, share: float = 0.5) -> np.ndarray:
    """Says which object is seen at each pixel.

    Args:
        scenes: n descriptions.
        side: Height and width in pixels.
        share: How much of a pixel must be covered; more than this counts.

    Returns:
        (n, side, side) int8: the front-most slot that covers more than the share, `BACKGROUND`, or `HIDDEN`.
    """
    found = np.full((count_scenes(scenes), side, side), BACKGROUND, dtype=np.int8)
    for part in _chunks(scenes, side):
        chunk = take(scenes, part)
        view = found[part]
        for layer in _layers(chunk.objects, chunk.view, side):
            _claim(view, layer, layer.slot, share)
        for layer in _bars(chunk.occluders, side):
            _claim(view, layer, HIDDEN, share)
    return found


def foreground(scenes: Scenes, side: int = 32, *, share: float = 0.5) -> np.ndarray:
    """Returns (n, side, side) bool: where any object is seen, as `owners` says."""
    return np.asarray(owners(scenes, side, share=share) >= 0)


def object_masks(scenes: Scenes, side: int = 32) -> np.ndarray:
    """Returns (n, K, side, side) bool: where each object is seen."""
    return np.asarray(owners(scenes, side)[:, None] == np.arange(scenes.objects.present.shape[1])[None, :, None, None])


def _chunks(scenes: Scenes, side: int) -> Iterator[slice]:
    rows = max(1, _PIXELS_PER_CHUNK // side**2)
    for start in range(0, count_scenes(scenes), rows):
        yield slice(start, start + rows)


def _blend(canvas: np.ndarray, layer: _Layer, colours: np.ndarray) -> None:
    side = canvas.shape[-1]
    at = (layer.rows * side + layer.ys) * side + layer.xs
    for channel, plane in enumerate(canvas.reshape(3, -1)):
        here = plane.take(at)
        here += layer.cover * (colours[layer.rows, layer.slot, channel] - here)
        plane[at] = here


def _claim(found: np.ndarray, layer: _Layer, value: int, share: float) -> None:
    at = (layer.rows, layer.ys, layer.xs)
    found[at] = np.where(layer.cover > share, np.int8(value), found[at])


def _layers(objects: Objects, view: View, side: int) -> Iterator[_Layer]:
    """Yields what each slot covers, form by form, from the back to the front."""
    forward = _Camera(view)
    half = np.where(objects.present, objects.size, 0.0)
    px, py, reach = forward.project(objects.x, objects.y, half * np.sqrt(2.0))
    radius = np.ceil(reach * side).astype(np.int64) + 2
    cosine, sine = np.cos(objects.rotation), np.sin(objects.rotation)
    for slot in range(objects.present.shape[1]):
        for form in np.unique(objects.form[objects.present[:, slot], slot]):
            rows = np.flatnonzero(objects.present[:, slot] & (objects.form[:, slot] == form))
            width = min(side, 2 * int(radius[rows, slot].max()) + 1)
            ys, xs = _window(py[rows, slot], px[rows, slot], width, side)
            gx, gy, unit = forward.unproject(rows, xs, ys, side)
            c, s, size, aspect, x, y = (
                array[rows, slot].astype(np.float32)[:, None, None]
                for array in (cosine, sine, objects.size, objects.aspect, objects.x, objects.y)
            )
            gx -= x
            gy -= y
            u = (gx * c + gy * s) / size
            v = (gy * c - gx * s) / (size * aspect)
            # A squeezed form's distances are squeezed too: along the short side they must not be taken for longer ones.
            cover = np.clip(np.float32(0.5) - distance(int(form), u, v) * (size * aspect) / unit, 0, 1)
            yield _Layer(slot, rows[:, None, None], ys, xs, cover)


def _bars(occluders: Occluders, side: int) -> Iterator[_Layer]:
    grid = ((np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)).astype(np.float32)
    axis = np.arange(side)
    cosine, sine = np.cos(occluders.angle), np.sin(occluders.angle)
    for slot in range(occluders.present.shape[1]):
        rows = np.flatnonzero(occluders.present[:, slot])
        if not len(rows):
            continue
        x, y, c, s, length, width = (
            array[rows, slot].astype(np.float32)[:, None, None]
            for array in (occluders.x, occluders.y, cosine, sine, occluders.half_length, occluders.half_width)
        )
        gx, gy = grid[None, None, :] - x, grid[None, :, None] - y
        cover = np.clip(np.float32(0.5) - box_distance(gx * c + gy * s, gy * c - gx * s, length, width) * side, 0, 1)
        yield _Layer(slot, rows[:, None, None], axis[None, :, None], axis[None, None, :], cover)


def _window(cy: np.ndarray, cx: np.ndarray, width: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (m, width, 1) and (m, 1, width) indices of square windows about points, moved inside the picture."""
    corner_y = np.clip(np.floor(cy * side).astype(np.int64) - width // 2, 0, side - width)
    corner_x = np.clip(np.floor(cx * side).astype(np.int64) - width // 2, 0, side - width)
    axis = np.arange(width)
    return corner_y[:, None, None] + axis[:, None], corner_x[:, None, None] + axis[None, :]


class _Camera:
    """The map between picture and scene: scene = centre + shift + A p / (1 + tilt . p), p = picture - centre.

    A rotates, shears and divides by the zoom.
    """

    def __init__(self, view: View) -> None:
        c, s = np.cos(view.rotation), np.sin(view.rotation)
        self.a = np.stack([c, s + view.shear * c, -s, c - view.shear * s], axis=-1) / view.zoom[:, None]
        self.tilt = np.stack([view.tilt_x, view.tilt_y], axis=-1)
        self.shift = np.stack([view.shift_x, view.shift_y], axis=-1)

    def project(self, x: np.ndarray, y: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns picture coordinates of (n, K) scene points, and how far discs of a radius about them reach there."""
        a, b, c, d = (self.a[:, place, None] for place in range(4))
        determinant = a * d - b * c
        dx, dy = x - 0.5 - self.shift[:, :1], y - 0.5 - self.shift[:, 1:]
        rx, ry = (d * dx - b * dy) / determinant, (a * dy - c * dx) / determinant
        tilt = np.sqrt((self.tilt**2).sum(axis=1))[:, None]
        # The Frobenius norm of A's inverse bounds its spectral norm.
        grown = reach * np.sqrt(a * a + b * b + c * c + d * d) / np.abs(determinant)
        nearest = 1.0 - (self.tilt[:, :1] * rx + self.tilt[:, 1:] * ry)
        closest = np.maximum(nearest - tilt * grown, 0.1)
        far = np.sqrt(rx * rx + ry * ry)
        scale = np.maximum(nearest, 0.1)
        # |d(r / (1 - t.r))/dr| is at most 1/m + |t||r|/m^2 where 1 - t.r is at least m.
        bound = grown * (1.0 / closest + tilt * (far + grown) / closest**2)
        return rx / scale + 0.5, ry / scale + 0.5, np.minimum(bound, 2.0)

    def unproject(
        self, rows: np.ndarray, xs: np.ndarray, ys: np.ndarray, side: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns float32 scene coordinates of pixel centres, and the scene length of a pixel, (m, P, P) each."""
        px = (xs.astype(np.float32) + np.float32(0.5)) / np.float32(side) - np.float32(0.5)
        py = (ys.astype(np.float32) + np.float32(0.5)) / np.float32(side) - np.float32(0.5)
        a, b, c, d = (self.a[rows, place].astype(np.float32)[:, None, None] for place in range(4))
        tx, ty = (self.tilt[rows, place].astype(np.float32)[:, None, None] for place in range(2))
        sx, sy = (self.shift[rows, place].astype(np.float32)[:, None, None] + np.float32(0.5) for place in range(2))
        depth = np.float32(1.0) + tx * px + ty * py
        gx = (a * px + b * py) / depth + sx
        gy = (c * px + d * py) / depth + sy
        unit = np.sqrt(np.abs(a * d - b * c)) / (depth * np.float32(side))
        return gx, gy, unit


def _shade(canvas: np.ndarray, light: Light, side: int) -> None:
    """Multiplies (3, m, side, side) colours by the light that falls on them, in place."""
    axis = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    slope = light.slope.astype(np.float32)
    shade = np.float32(1.0) + slope[:, :1, None] * axis[None, None, :] + slope[:, 1:, None] * axis[None, :, None]
    cosine, sine, offset, depth = (
        array.astype(np.float32)[:, None, None]
        for array in (np.cos(light.shadow_angle), np.sin(light.shadow_angle), light.shadow_offset, light.shadow)
    )
    reach = axis[None, None, :] * cosine + axis[None, :, None] * sine - offset
    shade *= np.float32(1.0) - depth * np.clip(reach / np.float32(2 * _EDGE) + np.float32(0.5), 0, 1)
    colour = (light.gain[:, None] * light.tint).astype(np.float32)
    canvas *= shade
    canvas *= colour.T[:, :, None, None]


def _quantised(canvas: np.ndarray, light: Light, side: int) -> np.ndarray:
    """Returns (3, m, side, side) uint8 levels, with noise; `canvas` is used up."""
    canvas *= np.float32(255.0)
    noisy = np.flatnonzero(light.noise > 0)
    if len(noisy):
        places = np.arange(1, side * side + 1, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
        bits = mix(light.noise_state[noisy, None] + places) >> np.uint64(40)
        noise = bits.astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)
        scaled = noise.reshape(-1, side, side) * light.noise[noisy].astype(np.float32)[:, None, None]
        canvas[:, noisy] += scaled
    canvas += np.float32(0.5)
    return np.clip(canvas, 0, 255.99, out=canvas).astype(np.uint8)
