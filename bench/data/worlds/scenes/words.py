"""Texts of the world as rows of word numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAD_WORD, UNKNOWN_WORD = "<pad>", "<unknown>"


def closed_vocabulary(words: Iterable[str]) -> tuple[str, ...]:
    """Returns padding, unknown, and the distinct words in alphabetical order."""
    return (PAD_WORD, UNKNOWN_WORD, *sorted(set(words)))


def as_tokens(
    texts: Sequence[str], vocabulary: Sequence[str], *, length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Splits texts at spaces and looks their words up.

    Args:
        texts: n texts of at least one word.
        vocabulary: Words by number, padding and unknown first.
        length: Width of the rows; that of the longest text when None. Longer texts are cut.

    Returns:
        (n, length) int32 words, 0 behind the last one, 1 for an unknown one; and (n,) int64 lengths.
    """
    number = {word: place for place, word in enumerate(vocabulary)}
    rows = [[number.get(word, 1) for word in text.split()] for text in texts]
    width = length if length is not None else max(map(len, rows), default=1)
    tokens = np.zeros((len(rows), width), dtype=np.int32)
    for row, found in zip(tokens, rows, strict=True):
        row[: len(found)] = found[:width]
    return tokens, np.array([min(len(row), width) for row in rows], dtype=np.int64)
