"""Small encoded images for the readers of image data."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

COLOURS = [(200, 40, 40), (40, 180, 60), (60, 70, 210)]


def encoded(
    colour: tuple[int, int, int], size: tuple[int, int] = (24, 18), form: str = "JPEG", **options: Any
) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form, **options)
    return buffer.getvalue()
