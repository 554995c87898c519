"""A sheet to draw on: text, boxes and images in plain units, drawn at twice the size so that small print reads."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

Colour = tuple[int, int, int]

WIDTH = 1240
"""Units across a wide picture: what a page of 1280 pixels can show."""
SCALE = 2
"""Pixels of the file for each unit."""
_DARK = 140
"""Brightness under which a colour wants light letters on it."""


class Palette(NamedTuple):
    """Colours of a picture."""

    paper: Colour
    ink: Colour
    soft: Colour
    """Captions and axes."""
    line: Colour
    """Grids and frames."""
    right: Colour
    """What is right, kept or attended to."""
    wrong: Colour
    """What is wrong."""


LIGHT = Palette((255, 255, 255), (28, 32, 38), (96, 104, 114), (218, 222, 228), (32, 100, 148), (196, 74, 28))
DARK = Palette((23, 22, 20), (238, 237, 232), (158, 155, 148), (60, 58, 54), (98, 174, 226), (240, 134, 84))


def mix(low: Colour, high: Colour, share: float) -> Colour:
    """Returns the colour at a share (0 to 1) of the way from one to another."""
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue


def letters_on(colour: Colour) -> Colour:
    """Returns black or white, whichever reads on a colour."""
    red, green, blue = colour
    return (255, 255, 255) if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else (20, 20, 20)


class Canvas:
    """A picture that is being drawn.

    Args:
        width: In units.
        height: In units.
        palette: Its colours; the paper is laid at once.
    """

    def __init__(self, width: float, height: float, palette: Palette = LIGHT) -> None:
        self.palette = palette
        self.image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), palette.paper)
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, text: str, *, size: float = 12, fill: Colour | None = None, anchor: str = "la"
    ) -> None:
        """Writes one line; `anchor` is Pillow's (`la` left and top, `rm` right and middle, `mm` centred)."""
        self._draw.text((x * SCALE, y * SCALE), text, fill=fill or self.palette.ink, font=_font(size), anchor=anchor)

    def upright(self, x: float, y: float, text: str, *, size: float = 12, fill: Colour | None = None) -> None:
        """Writes one line turned by 90 degrees, read from below, that ends at the bottom (x, y), centred on x."""
        font = _font(size)
        left, top, right, bottom = font.getbbox(text)
        flat = Image.new("L", (max(1, round(right)), max(1, round(bottom))), 0)
        ImageDraw.Draw(flat).text((0, 0), text, fill=255, font=font)
        turned = flat.crop((round(left), round(top), flat.width, flat.height)).rotate(90, expand=True)
        place = (round(x * SCALE - turned.width / 2), round(y * SCALE - turned.height))
        self.image.paste(Image.new("RGB", turned.size, fill or self.palette.ink), place, turned)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Colour | None = None,
        outline: Colour | None = None,
        line: float = 1,
    ) -> None:
        """Draws a box."""
        corner = ((x + width) * SCALE - 1, (y + height) * SCALE - 1)
        self._draw.rectangle(((x * SCALE, y * SCALE), corner), fill, outline, max(1, round(line * SCALE)))

    def pixels(self, x: float, y: float, width: float, height: float, pixels: np.ndarray) -> None:
        """Sets a (h, w, 3) uint8 image into a box."""
        size = (round(width * SCALE), round(height * SCALE))
        image = Image.fromarray(np.ascontiguousarray(pixels))
        # Small drawings keep their hard edges; photos are smoothed.
        way = Image.Resampling.NEAREST if image.width <= 64 else Image.Resampling.BICUBIC
        self.image.paste(image.resize(size, way), (round(x * SCALE), round(y * SCALE)))

    def png(self) -> bytes:
        """Returns the picture as PNG."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


def text_width(text: str, size: float = 12) -> float:
    """Returns how many units a line of text is wide."""
    return _font(size).getlength(text) / SCALE


def fitted(text: str, width: float, size: float = 12) -> str:
    """Returns a text, cut with an ellipsis where it is wider than `width` units."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(f"{text[:middle]}...", size) <= width else (low, middle - 1)
    return f"{text[:low].rstrip()}..."


def wrapped(text: str, width: float, size: float = 12, *, lines: int = 4) -> list[str]:
    """Returns a text in lines of about `width` units, the last of them cut."""
    letters = max(8, int(width / max(1e-6, text_width("abcdefghij klmnop", size) / 17)))
    found = textwrap.wrap(text, letters) or [""]
    if len(found) > lines:
        found = [*found[: lines - 1], fitted(" ".join(found[lines - 1 :]), width, size)]
    return found


def evenly(rows: Sequence[object], width: float, gap: float) -> float:
    """Returns the width of each of some columns that share `width` units with gaps between them."""
    return (width - gap * (len(rows) - 1)) / max(1, len(rows))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)
