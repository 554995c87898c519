"""The confusion matrix of a classification run: which classes are taken for which."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.errors import StoreError
from bench.pictures.canvas import LIGHT, WIDTH, Canvas, Palette, fitted, letters_on, mix, text_width

if TYPE_CHECKING:
    from bench.store.records import SampleRecord

PAIRS = 24
"""Most confusions that are listed beside a matrix."""
_MATRIX = 738
_LARGEST_CELL = 46
_COUNTS_FROM = 20
"""Units of a cell that has room for its count."""
_LEAST_LINE = 8.0
"""Units that a line of names needs."""
_FAINTEST = 0.18
"""Share of the full colour that the rarest confusion still gets."""


class Pair(NamedTuple):
    """Images of one class that were taken for another."""

    true: str
    predicted: str
    images: int
    """How many."""
    share: float
    """Of the images of the true class."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of test images.

    Attributes:
        classes: C names.
        counts: (C, C) int64, true class (row) by predicted class (column).
        condition: The test condition of the images.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    condition: str

    @property
    def images(self) -> np.ndarray:
        """(C,) images of each class."""
        total: np.ndarray = self.counts.sum(axis=1)
        return total

    @property
    def shares(self) -> np.ndarray:
        """(C, C) share of each class's images; 0 for a class without images."""
        shares: np.ndarray = self.counts / np.maximum(self.images, 1)[:, None]
        return shares

    @property
    def accuracy(self) -> np.ndarray:
        """(C,) share of each class's images that were named right; NaN for a class without images."""
        right = np.diag(self.counts).astype(np.float64)
        found: np.ndarray = np.where(self.images > 0, right / np.maximum(self.images, 1), np.nan)
        return found

    def taken(self, order: np.ndarray) -> Confusion:
        """Returns it with its classes in another order."""
        return Confusion(
            tuple(self.classes[place] for place in order.tolist()), self.counts[np.ix_(order, order)], self.condition
        )


def read_confusion(sample: SampleRecord) -> Confusion:
    """Reads a stored sample of kind `confusion`.

    Raises:
        StoreError: It is not one.
    """
    try:
        content = json.loads(sample.data)
        classes, counts = tuple(map(str, content["classes"])), np.array(content["counts"], dtype=np.int64)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"sample {sample.unit!r} is no confusion matrix: {error}.") from error
    if not classes or counts.shape != (len(classes), len(classes)) or (counts < 0).any():
        raise StoreError(f"sample {sample.unit!r} has {len(classes)} classes and counts of shape {counts.shape}.")
    return Confusion(classes, counts, str(sample.notes.get("condition", "")))


def confused_order(confusion: Confusion) -> np.ndarray:
    """Returns (C,) int64 places of the classes so that those taken for each other stand side by side.

    Average linkage of one minus the symmetrised share of confusions, with the optimal order of leaves (Bar-Joseph et
    al., Bioinformatics 2001).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    n = len(confusion.classes)
    if n < 3:
        return np.arange(n)
    shares = confusion.shares
    distance = 1.0 - np.clip((shares + shares.T) / 2, 0, 1)
    condensed = distance[np.triu_indices(n, 1)]
    order: np.ndarray = leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))
    return order.astype(np.int64)


def most_confused(confusion: Confusion, count: int = PAIRS) -> list[Pair]:
    """Returns the classes that are most often taken for another, by number of images, then by share, then by name."""
    counts, shares = confusion.counts, confusion.shares
    pairs = [
        Pair(confusion.classes[true], confusion.classes[named], int(counts[true, named]), float(shares[true, named]))
        for true, named in np.argwhere(counts > 0).tolist()
        if true != named
    ]
    pairs.sort(key=lambda pair: (-pair.images, -pair.share, pair.true, pair.predicted))
    return pairs[:count]


def draw_confusion(confusion: Confusion, palette: Palette = LIGHT) -> bytes:
    """Draws a matrix as PNG: rows are true classes, their accuracy beside them, and the worst confusions listed.

    A cell is as dark as its share of the true class's images: blue where the class is right, red where it is not.
    """
    ordered = confusion.taken(confused_order(confusion))
    n = len(ordered.classes)
    cell = min(_LARGEST_CELL, _MATRIX / n)
    size = min(13.0, max(7.5, cell * 0.86))
    names = min(190.0, max(text_width(name, size) for name in ordered.classes) + 8)
    top, side, left = 76.0 + names, cell * n, 8.0 + names
    listed = most_confused(ordered)
    accuracy = left + side + 12
    beside = accuracy + 96
    canvas = Canvas(WIDTH, max(top + side, 98.0 + 30 * len(listed)) + 44, palette)
    _heading(canvas, confusion)
    _cells(canvas, ordered, left, top, cell, size)
    # Where there is no room for every name, some still say where one is.
    for place in range(0, n, max(1, math.ceil(_LEAST_LINE / cell))):
        name, middle = ordered.classes[place], (place + 0.5) * cell
        canvas.text(left - 5, top + middle, fitted(name, names - 8, size), size=size, anchor="rm")
        canvas.upright(left + middle, top - 5, fitted(name, names - 8, size), size=size)
    canvas.box(left, top, side, side, outline=palette.line)
    canvas.text(left, top + side + 8, "across: what the images were taken for; down: what they show", fill=palette.soft)
    _accuracies(canvas, ordered, accuracy, top, cell)
    _list(canvas, listed, beside)
    return canvas.png()


def _heading(canvas: Canvas, confusion: Confusion) -> None:
    total, right = int(confusion.images.sum()), int(np.diag(confusion.counts).sum())
    condition = f" ({confusion.condition})" if confusion.condition else ""
    canvas.text(8, 10, "Confusion matrix", size=18)
    share = f", {100 * right / total:.1f} % named right" if total else ""
    text = f"{total:,} test images{condition} of {len(confusion.classes)} classes{share}."
    canvas.text(8, 36, f"{text} Classes taken for each other stand together.", fill=canvas.palette.soft)


def _cells(canvas: Canvas, confusion: Confusion, left: float, top: float, cell: float, size: float) -> None:
    palette, shares, n = canvas.palette, confusion.shares, len(confusion.classes)
    for row in range(n):
        if row % 2 == 0:
            canvas.box(left, top + row * cell, cell * n, cell, fill=mix(palette.paper, palette.line, 0.28))
    for row, column in np.argwhere(confusion.counts > 0).tolist():
        strength = _FAINTEST + (1 - _FAINTEST) * float(shares[row, column])
        colour = mix(palette.paper, palette.right if row == column else palette.wrong, strength)
        x, y = left + column * cell, top + row * cell
        canvas.box(x, y, cell, cell, fill=colour)
        if cell >= _COUNTS_FROM:
            count = str(int(confusion.counts[row, column]))
            canvas.text(x + cell / 2, y + cell / 2, count, size=size * 0.9, fill=letters_on(colour), anchor="mm")


def _accuracies(canvas: Canvas, confusion: Confusion, x: float, top: float, cell: float) -> None:
    palette, size = canvas.palette, min(11.0, max(7.5, cell * 0.82))
    canvas.text(x, top - 20, "right", size=11, fill=palette.soft)
    for place, share in enumerate(confusion.accuracy.tolist()):
        y = top + place * cell
        if share == share:
            canvas.box(x, y + cell * 0.14, 46, cell * 0.72, fill=mix(palette.paper, palette.line, 0.6))
            if share > 0:
                canvas.box(x, y + cell * 0.14, max(1.0, 46 * share), cell * 0.72, fill=palette.right)
        told = f"{100 * share:.0f} %" if share == share else "none"
        canvas.text(x + 78, y + cell / 2, told, size=size, anchor="rm")


def _list(canvas: Canvas, pairs: list[Pair], x: float) -> None:
    canvas.text(x, 76, "Most confused" if pairs else "Nothing is confused", size=14)
    for place, pair in enumerate(pairs):
        y, room = 100 + 30 * place, WIDTH - x - 8
        count = f"{pair.images} ({100 * pair.share:.0f} %)"
        canvas.text(x + room, y, count, size=11, anchor="ra")
        canvas.text(x, y, fitted(pair.true, room - text_width(count, 11) - 10, 11), size=11)
        canvas.text(x + 10, y + 13, fitted(f"as {pair.predicted}", room - 10, 11), size=11, fill=canvas.palette.soft)
