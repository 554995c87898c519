"""The words of the world of shapes and what they look like."""

from __future__ import annotations

import numpy as np

from bench.data.worlds.scenes.forms import form_index

SHAPES = ("circle", "square", "triangle", "cross", "ring", "star", "heart", "moon")
"""Shapes of captions, edits and stories."""

COLOURS = {
    "red": (0.87, 0.13, 0.15),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.95, 0.82, 0.08),
    "green": (0.12, 0.65, 0.22),
    "cyan": (0.25, 0.82, 0.88),
    "blue": (0.15, 0.27, 0.88),
    "purple": (0.55, 0.15, 0.70),
    "pink": (0.98, 0.58, 0.78),
}
"""Colours of objects."""

GROUNDS = {
    "white": (0.96, 0.96, 0.96),
    "grey": (0.50, 0.50, 0.50),
    "black": (0.06, 0.06, 0.06),
    "brown": (0.42, 0.29, 0.18),
}
"""Colours of the ground; none is an object's."""

SIZES = {"small": 0.12, "large": 0.20}
"""Half of an object's extent, in units of the scene."""

COLOUR_NAMES, GROUND_NAMES, SIZE_NAMES = tuple(COLOURS), tuple(GROUNDS), tuple(SIZES)

SHAPE_FORMS = form_index(*SHAPES)
"""(8,) place of each shape among the renderer's forms."""
COLOUR_RGB = np.array(list(COLOURS.values()))
"""(8, 3) in [0, 1]."""
GROUND_RGB = np.array(list(GROUNDS.values()))
"""(4, 3) in [0, 1]."""
SIZE_VALUES = np.array(list(SIZES.values()))
"""(2,) in units of the scene."""

# A form of the same extent looks smaller the less of its square it fills; this evens the areas out a little.
SHAPE_SCALE = np.array([0.92, 0.88, 1.05, 0.95, 0.98, 1.12, 1.02, 1.02])
"""(8,) factor on the size of each shape."""
