"""`bench data sheet NAME --out FILE.png`: what the training images of a dataset look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from bench.data.classification import ClassificationData

Id = Annotated[str, typer.Argument(metavar="ID", help="A dataset with images, e.g. dishes or dishes@0.1.")]

_CELLS = 40
_CELL_PIXELS = 128
_WIDTH = 1100
_LINE = 12
_LETTER = 6
"""Width of a letter in pixels, for breaking lines; wider than it is on average."""


def sheet(
    id_: Id,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="Where the picture goes.")],
) -> None:
    """Draw a contact sheet of a dataset's training images with their classes and texts."""
    import io

    from bench.data.files import write_atomic

    cells = samples(id_)
    stream = io.BytesIO()
    contact_sheet(cells).save(stream, format="png")
    write_atomic(out, stream.getvalue())
    output.say(f"{len(cells)} samples of {id_} are in {out}")


def samples(id_: str) -> list[tuple[np.ndarray, str]]:
    """Returns images of a dataset's training part with the text to set beneath each.

    Raises:
        UserError: The dataset has no images.
    """
    import importlib

    from bench.data.card import ContentCard
    from bench.data.classification import ClassificationData
    from bench.data.dataset import open_dataset
    from bench.data.registry import resolve_dataset
    from bench.errors import UserError

    parsed, card = resolve_dataset(id_)
    drawn_by = card.options.get("pictures") if isinstance(card, ContentCard) else None
    if drawn_by is not None:
        module, _, function = str(drawn_by).partition(":")
        found: list[tuple[np.ndarray, str]] = getattr(importlib.import_module(module), function)(12, parsed.scale)
        return found
    data = open_dataset(id_).training() if isinstance(card, ContentCard) else None
    if not isinstance(data, ClassificationData):
        raise UserError(
            f"dataset {id_!r} has no images to draw.",
            hint="`bench data list` shows the modalities of each dataset; ask for one with images.",
        )
    return labelled(data)


def labelled(data: ClassificationData) -> list[tuple[np.ndarray, str]]:
    """Returns training images spread evenly over the classes, with class and words."""
    import numpy as np

    order = np.argsort(data.train.labels, kind="stable")
    rows = order[np.linspace(0, len(order) - 1, min(_CELLS, len(order))).astype(np.int64)]
    cells = []
    for row in rows.tolist():
        text = data.classes[int(data.train.labels[row])]
        if data.text is not None:
            words = [data.text.vocabulary[token] for token in data.text.tokens[row].tolist() if token]
            text += ": " + (", " if data.text.form == "set" else " ").join(words)
        cells.append((np.asarray(data.train.pixels[row]), text))
    return cells


def contact_sheet(cells: list[tuple[np.ndarray, str]]) -> Image.Image:
    """Sets images in rows, each with its text beneath.

    Args:
        cells: (height, width, 3) uint8 images of one size, with texts.
    """
    import textwrap

    from PIL import Image, ImageDraw

    height, width = cells[0][0].shape[:2]
    zoom = max(1, round(_CELL_PIXELS / height)) if width <= 2 * height else max(1, _WIDTH // width)
    scale = min(1.0, _CELL_PIXELS / height) if zoom == 1 and width <= 2 * height else float(zoom)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    texts = [
        [piece for line in text.splitlines() for piece in textwrap.wrap(line, max(8, size[0] // _LETTER))]
        for _, text in cells
    ]
    step = (size[0] + 8, size[1] + _LINE * min(6, max(len(lines) for lines in texts)) + 8)
    columns = max(1, _WIDTH // step[0])
    picture = Image.new("RGB", (columns * step[0], -(-len(cells) // columns) * step[1]), "white")
    draw = ImageDraw.Draw(picture)
    for place, ((pixels, _), lines) in enumerate(zip(cells, texts, strict=True)):
        x, y = place % columns * step[0] + 4, place // columns * step[1] + 4
        way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
        picture.paste(Image.fromarray(pixels).resize(size, way), (x, y))
        draw.text((x, y + size[1] + 1), "\n".join(lines[:6]), fill="black", font_size=10, spacing=2)
    return picture
