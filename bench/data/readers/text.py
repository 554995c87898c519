"""Words of questions, candidates and captions: one tokenizer and one vocabulary for all readers of text about pictures.

A word is a run of letters and digits of the lower-cased text; everything else separates. HCRN and DualVGR split with
nltk and drop the question's last character, which gives the same words but for apostrophes and hyphens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from bench.data.vqa import PADDING
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SPECIAL = ("<pad>", "<unknown>")
"""Names of `PADDING` and `UNKNOWN`; no text has such a word."""
TOKENIZER_VERSION = 1

_WORD = re.compile(r"[^\W_]+")
_SUFFIXES = ("ing", "ed", "es", "s")
_SHORTEST_STEM = 3


def words(text: str) -> list[str]:
    """Returns the lower-case runs of letters and digits of a text; underscores separate."""
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """Cuts one of the endings -ing, -ed, -es and -s where at least three letters stay."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _SHORTEST_STEM:
            return word[: -len(suffix)]
    return word


def vocabulary_of(texts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Returns the distinct words of some texts in alphabetical order, `SPECIAL` before them."""
    return SPECIAL + tuple(sorted({word for text in texts for word in text}))


def as_tokens(
    texts: Sequence[Sequence[str]], token_of: Callable[[str], int], places: Sequence[str]
) -> tuple[np.ndarray, ...]:
    """Encodes texts.

    Args:
        texts: (n,) texts as words.
        token_of: From a word to its token, `UNKNOWN` for one that nobody knows.
        places: (n,) where each text was read, for messages.

    Returns:
        (n, L) int32 tokens, filled up with `PADDING`, and (n,) int64 lengths, L the largest of them.

    Raises:
        DataError: A text has no word; names its place.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise DataError(f"{places[int(empty[0])]} has no word in it.", hint="Every question and candidate needs text.")
    tokens = np.full((len(texts), int(lengths.max(initial=1))), PADDING, dtype=np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = [token_of(word) for word in text]
    return tokens, lengths
