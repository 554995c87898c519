"""Wu-Palmer similarity of nouns, read from WordNet's own files (`index.noun`, `data.noun`, `noun.exc`).

The arithmetic is that of nltk's `wup_similarity`, which the published WUPS numbers were made with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.paths import search_folders
from bench.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEBIAN = Path("/usr/share/wordnet")
_INDEX, _DATA, _EXCEPTIONS = "index.noun", "data.noun", "noun.exc"
_HYPERNYMS = ("@", "@i")
_ENDINGS = (
    ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"),
    ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
)  # fmt: skip
"""WordNet's rules of detachment for nouns."""


@dataclass(frozen=True, eq=False)
class WordNet:
    """The nouns of WordNet.

    Attributes:
        senses: Lemma to its synsets, the most frequent first.
        hypernyms: Synset to the ones right above it.
        irregular: Inflected form to its lemmas.
    """

    senses: Mapping[str, tuple[int, ...]]
    hypernyms: Mapping[int, tuple[int, ...]]
    irregular: Mapping[str, tuple[str, ...]]
    _distances: dict[int, dict[int, int]] = field(default_factory=dict, repr=False)
    _depths: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)
    _known: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    def synsets(self, word: str) -> tuple[int, ...]:
        """Returns the senses of a word and of the lemmas it may be an inflected form of; spaces may be underscores."""
        form = "_".join(word.lower().split())
        if form in self.irregular:
            lemmas = self._lemmas([form, *self.irregular[form]])
        else:
            shorter = _shortened([form])
            lemmas = self._lemmas([form, *shorter])
            # Endings are cut again only while nothing is found.
            while shorter and not lemmas:
                shorter = _shortened(shorter)
                lemmas = self._lemmas(shorter)
        return tuple(dict.fromkeys(synset for lemma in lemmas for synset in self.senses[lemma]))

    def _lemmas(self, forms: list[str]) -> list[str]:
        return [form for form in dict.fromkeys(forms) if form in self.senses]

    def similarity(self, first: str, second: str) -> float:
        """Returns the largest Wu-Palmer similarity of any two senses; 1 for equal words, 0 for an unknown one."""
        if first == second:
            return 1.0
        key = (first, second) if first < second else (second, first)
        if key not in self._known:
            pairs = [self.wup(a, b) for a in self.synsets(key[0]) for b in self.synsets(key[1])]
            self._known[key] = max(pairs, default=0.0)
        return self._known[key]

    def wup(self, first: int, second: int) -> float:
        """Returns 2 d / (l1 + l2) of two synsets.

        d is the depth of their deepest common hypernym (largest, counted from 1; chosen by smallest depth), l1 and l2
        are d plus the shortest ways down to the two.
        """
        above, beyond = self._above(first), self._above(second)
        common = above.keys() & beyond.keys()
        if not common:
            return 0.0
        deepest = max(self._depth(synset)[0] for synset in common)
        candidates = sorted(synset for synset in common if self._depth(synset)[0] == deepest)
        subsumer = first if first in candidates else candidates[0]
        depth = self._depth(subsumer)[1] + 1
        return 2.0 * depth / (above[subsumer] + beyond[subsumer] + 2 * depth)

    def _above(self, synset: int) -> dict[int, int]:
        """Returns every hypernym with its shortest distance; itself at 0."""
        if synset not in self._distances:
            distances = {synset: 0}
            front = [synset]
            while front:
                nearer = [up for one in front for up in self.hypernyms.get(one, ()) if up not in distances]
                step = distances[front[0]] + 1
                distances.update(dict.fromkeys(nearer, step))
                front = list(dict.fromkeys(nearer))
            self._distances[synset] = distances
        return self._distances[synset]

    def _depth(self, synset: int) -> tuple[int, int]:
        """Returns the shortest and the longest way to a root."""
        if synset not in self._depths:
            above = [self._depth(up) for up in self.hypernyms.get(synset, ())]
            shortest = min((low + 1 for low, _ in above), default=0)
            self._depths[synset] = (shortest, max((high + 1 for _, high in above), default=0))
        return self._depths[synset]


def _shortened(forms: list[str]) -> list[str]:
    return [form[: -len(old)] + new for form in forms for old, new in _ENDINGS if form.endswith(old)]


def wordnet_folder() -> Path | None:
    """Returns the first folder that holds WordNet: $WNHOME, wordnet/ under $BENCH_DATA or the cache, Debian's."""
    home = os.environ.get("WNHOME")
    own = [Path(home), Path(home) / "dict"] if home else []
    folders = [*own, *search_folders("wordnet"), DEBIAN]
    return next((folder for folder in folders if (folder / _INDEX).is_file() and (folder / _DATA).is_file()), None)


_open: dict[Path, WordNet] = {}


def open_wordnet() -> WordNet:
    """Reads WordNet once per process.

    Raises:
        UserError: It is nowhere.
        DataError: A file is damaged.
    """
    folder = wordnet_folder()
    if folder is None:
        raise UserError(
            "wups needs WordNet's noun files, and they are nowhere on this machine.",
            hint="Run `apt-get install wordnet-base`, or set WNHOME to a folder with index.noun and data.noun "
            "(WordNet 3.0 or 3.1), or leave wups out of the metrics.",
        )
    if folder not in _open:
        _open[folder] = read_wordnet(folder)
    return _open[folder]


def read_wordnet(folder: Path) -> WordNet:
    """Reads the noun files of a folder.

    Raises:
        DataError: A line is not what wndb(5WN) says; names file and line.
    """
    senses: dict[str, tuple[int, ...]] = {}
    for number, line in _lines(folder / _INDEX):
        fields = line.split()
        try:
            senses[fields[0].lower()] = tuple(map(int, fields[6 + int(fields[3]) :]))
        except (IndexError, ValueError) as error:
            raise DataError(f"{folder / _INDEX} line {number} is no line of an index: {line[:60]!r}.") from error
    hypernyms: dict[int, tuple[int, ...]] = {}
    for number, line in _lines(folder / _DATA):
        fields = line.partition(" | ")[0].split()
        try:
            begin = 4 + 2 * int(fields[3], 16)
            pointers = [fields[begin + 1 + 4 * k : begin + 5 + 4 * k] for k in range(int(fields[begin]))]
            hypernyms[int(fields[0])] = tuple(int(one[1]) for one in pointers if one[0] in _HYPERNYMS)
        except (IndexError, ValueError) as error:
            raise DataError(f"{folder / _DATA} line {number} is no synset: {line[:60]!r}.") from error
    irregular: dict[str, tuple[str, ...]] = {}
    if (folder / _EXCEPTIONS).is_file():
        for _, line in _lines(folder / _EXCEPTIONS):
            form, *lemmas = line.split()
            irregular[form] = tuple(lemmas)
    return WordNet(senses, hypernyms, irregular)


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}.") from error
    # Lines of the licence begin with two spaces.
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip() and not line.startswith("  ")]
