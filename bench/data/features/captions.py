"""Captions as vectors whose cosine says which words they share: TF-IDF on normalised latent word vectors.

A word w has the vector idf(w) · u(w), u(w) its row of the right singular vectors of the training texts' TF-IDF matrix
(latent semantic analysis), scaled to length 1. A text is the sum of its words' vectors. Plain LSA gives rare words
almost no length, although they decide between candidates. On the 770 validation questions of nextqa-captions the
nearest candidate is right 44.3 % of the time with 512 numbers of equal length, 42 % with 256, and 45.3 % with the
sparse TF-IDF itself.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from bench.data.readers.text import stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CAPTIONS_VERSION = 1

_OVERSAMPLED, _ITERATIONS = 16, 4


class WordSpace(NamedTuple):
    """Vectors of stems.

    Attributes:
        rows: Row of each stem.
        vectors: (stems, dim) float32, weighted by idf.
    """

    rows: Mapping[str, int]
    vectors: np.ndarray

    def of_words(self, words: Iterable[str]) -> np.ndarray:
        """Returns (words, dim) float32 vectors; 0 for words whose stem is unknown."""
        words = list(words)
        places = np.array([self.rows.get(stem(word), -1) for word in words], dtype=np.int64)
        vectors: np.ndarray = np.where((places >= 0)[:, None], self.vectors[places], np.float32(0))
        return vectors

    def of_texts(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Returns (texts, dim) float32 vectors of length 1; 0 for a text without a known word.

        A word that stands c times in a text counts 1 + ln c.
        """
        total = counts_matrix(texts, self.rows) @ self.vectors
        length = np.linalg.norm(total, axis=1, keepdims=True)
        vectors: np.ndarray = (total / np.where(length > 0, length, 1)).astype(np.float32)
        return vectors


def counts_matrix(texts: Sequence[Sequence[str]], index: Mapping[str, int]) -> sparse.csr_array:
    """Returns (texts, stems) values 1 + ln c of the stems that stand c times in a text."""
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        for word, count in Counter(map(stem, text)).items():
            if word in index:
                rows.append(row)
                columns.append(index[word])
                values.append(1.0 + np.log(count))
    return sparse.csr_array((np.array(values), (rows, columns)), shape=(len(texts), len(index)))


def stems_of(texts: Iterable[Sequence[str]]) -> dict[str, int]:
    """Returns the row of each stem of some texts, in alphabetical order."""
    return {word: row for row, word in enumerate(sorted({stem(word) for text in texts for word in text}))}


def fit_space(texts: Sequence[Sequence[str]], dim: int) -> WordSpace:
    """Fits word vectors on training texts.

    idf(w) = ln((1 + n) / (1 + n_w)) + 1 over all n texts, n_w of them with the stem w.

    Args:
        texts: Training captions, questions and candidates as words.
        dim: Width; columns beyond the rank that so few texts allow are 0.
    """
    index = stems_of(texts)
    documents = Counter(word for text in texts for word in set(map(stem, text)))
    idf = np.log((1 + len(texts)) / (1 + np.array([documents[word] for word in index]))) + 1
    weighted = (counts_matrix(texts, index) @ sparse.diags_array(idf)).tocsr()
    length = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)).ravel())
    weighted = (sparse.diags_array(1 / np.where(length > 0, length, 1)) @ weighted).tocsr()
    right = right_singular_vectors(weighted, min(dim, min(weighted.shape)))
    norms = np.linalg.norm(right, axis=1, keepdims=True)
    vectors = np.zeros((len(index), dim), dtype=np.float32)
    vectors[:, : right.shape[1]] = right / np.where(norms > 0, norms, 1) * idf[:, None]
    return WordSpace(index, vectors)


def right_singular_vectors(matrix: sparse.csr_array, count: int) -> np.ndarray:
    """Returns (columns, count) leading right singular vectors, by subspace iteration from a fixed random start.

    Halko, Martinsson, Tropp: Finding structure with randomness, SIAM Review 2011, algorithm 4.4 on the transpose.
    """
    rng = np.random.default_rng(0)
    width = min(count + _OVERSAMPLED, min(matrix.shape))
    basis = rng.standard_normal((matrix.shape[1], width))
    for _ in range(_ITERATIONS):
        left, _ = np.linalg.qr(matrix @ basis)
        basis, _ = np.linalg.qr(matrix.T @ left)
    _, _, turn = np.linalg.svd(matrix @ basis, full_matrices=False)
    vectors: np.ndarray = basis @ turn[:count].T
    return vectors
