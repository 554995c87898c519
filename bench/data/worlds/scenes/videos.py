"""Videos of simple things that move, appear and vanish: what happens, and the 32 frames that show it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.data.worlds.scenes.description import Objects, Scenes, plain
from bench.data.worlds.scenes.draws import between, pick, shuffled, uniforms
from bench.data.worlds.scenes.forms import form_index
from bench.data.worlds.scenes.render import owners, render
from bench.data.worlds.scenes.vocabulary import COLOURS, GROUNDS, SHAPE_SCALE, SHAPES

CLIPS, CLIP_FRAMES = 8, 4
FRAMES = CLIPS * CLIP_FRAMES
SLOTS = 6
"""Most objects of a video; the fewest are 3."""

VIDEO_SHAPES = ("circle", "square", "triangle", "cross")
VIDEO_COLOURS = ("red", "yellow", "green", "blue")
VIDEO_GROUNDS = ("grey", "black", "white")
MOTIONS = ("left", "right", "up", "down", "still")
STILL = MOTIONS.index("still")
STAYS, APPEARS, VANISHES = range(3)

_FORMS = form_index(*VIDEO_SHAPES)
_SCALE = np.array([SHAPE_SCALE[SHAPES.index(shape)] for shape in VIDEO_SHAPES])
_RGB = np.array([COLOURS[name] for name in VIDEO_COLOURS])
_GROUNDS = np.array([GROUNDS[name] for name in VIDEO_GROUNDS])
_STEP = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])
_SIZE = 0.115
_PATH = 0.46
"""Length of the way of a moving object."""
_CELLS = np.array([[x, y] for y in (0.2, 0.5, 0.8) for x in (0.2, 0.5, 0.8)])


class Events(NamedTuple):
    """What happens in videos; what stands in an absent object's column means nothing.

    Attributes:
        present: (n, K) bool: which slots hold an object.
        colour: (n, K) index into `VIDEO_COLOURS`.
        shape: (n, K) index into `VIDEO_SHAPES`.
        motion: (n, K) index into `MOTIONS`.
        presence: (n, K) `STAYS`, `APPEARS` (after frame 0) or `VANISHES` (before the last frame).
        first: (n, K) first frame the object is in.
        last: (n, K) last frame the object is in.
        start: (n, K) frame in which its motion begins.
        end: (n, K) frame in which its motion is over, after `start`.
        x: (n, K) where it is half-way, in units of the scene.
        y: (n, K).
        rotation: (n, K) radians.
        ground: (n,) index into `VIDEO_GROUNDS`.
    """

    present: np.ndarray
    colour: np.ndarray
    shape: np.ndarray
    motion: np.ndarray
    presence: np.ndarray
    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    end: np.ndarray
    x: np.ndarray
    y: np.ndarray
    rotation: np.ndarray
    ground: np.ndarray


def draw_events(seed: int, part: str, index: np.ndarray) -> Events:
    """Draws what happens in the videos `index` of a part.

    Objects begin in different cells of a 3 x 3 grid, so that none hides another for good.
    """
    draws = np.moveaxis(uniforms(seed, f"videos/{part}", index, (12, SLOTS)), 1, 0)
    present = np.arange(SLOTS) < (3 + pick(SLOTS - 2, uniforms(seed, f"videos/{part}/count", index)))[:, None]
    motion = np.where(draws[2] < 0.3, STILL, pick(4, draws[3]))
    presence = np.select([draws[4] < 0.5, draws[4] < 0.75], [STAYS, APPEARS], VANISHES)
    first = np.where(presence == APPEARS, 6 + pick(11, draws[5]), 0)
    last = np.where(presence == VANISHES, 15 + pick(11, draws[5]), FRAMES - 1)
    length = 12 + pick(4, draws[6])
    start = first + pick(1_000_000, draws[7]) % (last - first + 2 - length)
    cell = _CELLS[shuffled(9, uniforms(seed, f"videos/{part}/cells", index, (9,)))[:, :SLOTS]]
    centre = cell + between(-0.05, 0.05, np.stack([draws[8], draws[9]], axis=-1))
    # A moving object must have room for its way.
    room = 0.5 - _PATH / 2 - 0.13
    along = _STEP[motion] != 0
    centre = np.where(along, np.clip(centre, 0.5 - room, 0.5 + room), centre)
    return Events(
        present=present,
        colour=pick(len(VIDEO_COLOURS), draws[0]),
        shape=pick(len(VIDEO_SHAPES), draws[1]),
        motion=motion,
        presence=presence,
        first=first,
        last=last,
        start=start,
        end=start + length - 1,
        x=centre[..., 0],
        y=centre[..., 1],
        rotation=between(-0.15, 0.15, draws[10]),
        ground=pick(len(VIDEO_GROUNDS), uniforms(seed, f"videos/{part}/ground", index)),
    )


def frame_scenes(events: Events) -> Scenes:
    """Returns the n * 32 scenes of the frames, video by video."""
    n = len(events.ground)
    time = np.arange(FRAMES)[None, :, None]

    def every(field: np.ndarray) -> np.ndarray:
        return np.asarray(field[:, None, :])

    progress = np.clip((time - every(events.start)) / every(events.end - events.start), 0, 1) - 0.5
    step = _STEP[events.motion] * _PATH
    shape = (n * FRAMES, SLOTS)

    def flat(field: np.ndarray) -> np.ndarray:
        return np.broadcast_to(field, (n, FRAMES, SLOTS)).reshape(shape)

    here = every(events.present) & (time >= every(events.first)) & (time <= every(events.last))
    objects = Objects(
        present=flat(here),
        form=flat(every(_FORMS[events.shape])),
        rgb=np.repeat(_RGB[events.colour], FRAMES, axis=0),
        x=flat(every(events.x) + progress * every(step[..., 0])),
        y=flat(every(events.y) + progress * every(step[..., 1])),
        size=flat(every(_SIZE * _SCALE[events.shape])),
        rotation=flat(every(events.rotation)),
        aspect=np.ones(shape),
    )
    return plain(objects, np.repeat(_GROUNDS[events.ground], FRAMES, axis=0))


def render_videos(events: Events, side: int = 32) -> np.ndarray:
    """Returns (n, 32, side, side, 3) uint8 frames."""
    return render(frame_scenes(events), side).reshape(len(events.ground), FRAMES, side, side, 3)


def frames_seen(events: Events, side: int = 32, *, pixels: int = 4) -> np.ndarray:
    """Returns (n, K) in how many frames each object shows at least `pixels` pixels."""
    found = owners(frame_scenes(events), side).reshape(len(events.ground), FRAMES, -1)
    seen = [((found == slot).sum(axis=2) >= pixels).sum(axis=1) for slot in range(SLOTS)]
    return np.stack(seen, axis=1)
