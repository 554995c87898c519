"""Captioned images, editing pairs and stories in splits: what the readers of generation data share.

Vocabularies are made of the training captions, and so is the number of tokens: a word that is only in validation or
test captions is unknown, and of a caption that is longer than any in training the end is cut.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data.content import Content
from bench.data.generation import CaptionedImages, Edits, GenerationData, Stories, Texts
from bench.data.readers.images import IMAGES_VERSION, load_pixels
from bench.data.readers.text import TOKENIZER_VERSION, vocabulary_of, words
from bench.data.types import ModalityInfo
from bench.data.vqa import PADDING, UNKNOWN
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.data.content import Request
    from bench.data.readers.images import Source

DEFAULT_SIDE = 32
"""Side in pixels where a card names none."""
MAX_WORDS = 64
"""Most words of a caption that become tokens; its text is kept whole."""
PARTS = ("train", "valid", "test")


class CaptionPart(NamedTuple):
    """One split of captioned images.

    Attributes:
        names: Where each image lies inside the zip or folder; also its id.
        captions: The caption of each.
    """

    names: Sequence[str]
    captions: Sequence[str]


class EditPart(NamedTuple):
    """One split of editing pairs.

    Attributes:
        ids: Of the pairs.
        sources: Names of the images to change.
        captions: What they show.
        targets: Names of the images that the change should give.
        wanted: What those show.
    """

    ids: Sequence[str]
    sources: Sequence[str]
    captions: Sequence[str]
    targets: Sequence[str]
    wanted: Sequence[str]


class StoryPart(NamedTuple):
    """One split of stories.

    Attributes:
        ids: Of the stories.
        captions: n lists of F captions.
        frames: Returns the (n, F, side, side, 3) uint8 frames.
        labels: (n, F, K) bool attributes of each frame; None where nobody labelled them.
    """

    ids: Sequence[str]
    captions: Sequence[Sequence[str]]
    frames: Callable[[], np.ndarray]
    labels: np.ndarray | None = None


class Words:
    """The vocabulary of the training captions, and a width that holds the longest of them.

    Args:
        train: The training captions.
    """

    def __init__(self, train: Sequence[str]) -> None:
        told = [words(text) for text in train]
        self.vocabulary = vocabulary_of(told)
        self._index = {word: token for token, word in enumerate(self.vocabulary)}
        self._width = max(1, min(MAX_WORDS, max(map(len, told), default=1)))

    def encode(self, captions: Sequence[str], places: Sequence[str]) -> Texts:
        """Encodes captions.

        Args:
            captions: As written.
            places: Where each was read, for messages.

        Raises:
            DataError: A caption has no word; names its place.
        """
        tokens = np.full((len(captions), self._width), PADDING, dtype=np.int32)
        lengths = np.empty(len(captions), dtype=np.int64)
        for row, caption in enumerate(captions):
            found = [self._index.get(word, UNKNOWN) for word in words(caption)[: self._width]]
            if not found:
                raise DataError(f"{places[row]} has no word in it.", hint="Every image needs a caption.")
            tokens[row, : len(found)] = found
            lengths[row] = len(found)
        return Texts(tokens, lengths, np.array(captions, dtype=str))


def side_of(request: Request) -> int:
    """Returns the side in pixels that a card's option `side` asks for."""
    return int(request.card.options.get("side", DEFAULT_SIDE))


def captioned_content(
    request: Request,
    source: Source,
    parts: Mapping[str, CaptionPart],
    *,
    identity: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Content:
    """Returns what `open_content` wants of images with one caption each.

    Training decodes all three splits, so that a damaged test image is an error before training and not after it; it
    hands out train and validation alone.

    Args:
        request: What was asked for.
        source: Where the images lie.
        parts: The splits train, valid and test.
        identity: What else the data is a function of.
        sizes: Counts besides those of the splits.
        notes: What a result should carry along.

    Raises:
        DataError: A split is empty, or a caption has no word.
    """
    counts = _filled(request, {part: len(rows.names) for part, rows in parts.items()})
    book = Words(parts["train"].captions)

    def load(part: str) -> CaptionedImages:
        names, captions = parts[part]
        texts = book.encode(captions, [f"{source.where}: the caption of {name}" for name in names])
        return CaptionedImages(_pixels(request, source, names, part), texts, np.array(names))

    listed = {part: [list(rows.names), list(rows.captions)] for part, rows in parts.items()}
    return _content(
        request, {**identity, "images": source.digest}, listed, counts | dict(sizes or {}), book, load, notes=notes
    )


def edits_content(
    request: Request,
    source: Source,
    parts: Mapping[str, EditPart],
    *,
    identity: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
) -> Content:
    """Returns what `open_content` wants of editing pairs with a true target; arguments as in `captioned_content`.

    Raises:
        DataError: A split is empty, or a caption has no word.
    """
    counts = _filled(request, {part: len(rows.ids) for part, rows in parts.items()})
    book = Words([*parts["train"].captions, *parts["train"].wanted])

    def load(part: str) -> Edits:
        rows = parts[part]
        before = book.encode(rows.captions, [f"{source.where}: the caption of {name}" for name in rows.sources])
        after = book.encode(rows.wanted, [f"{source.where}: the caption of {name}" for name in rows.targets])
        images = CaptionedImages(_pixels(request, source, rows.sources, part), before, np.array(rows.sources))
        return Edits(images, after, _pixels(request, source, rows.targets, f"{part} targets"), np.array(rows.ids))

    listed = {part: [list(column) for column in rows] for part, rows in parts.items()}
    return _content(request, {**identity, "images": source.digest}, listed, counts | dict(sizes or {}), book, load)


def stories_content(
    request: Request,
    parts: Mapping[str, StoryPart],
    *,
    attributes: Sequence[str] = (),
    identity: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Content:
    """Returns what `open_content` wants of stories.

    Args:
        request: What was asked for.
        parts: The splits train, valid and test; all have the same number of frames.
        attributes: Names of the K frame labels.
        identity: What the data is a function of; of frames that are read, their digest is part of it.
        sizes: Counts besides those of the splits.
        notes: What a result should carry along.

    Raises:
        DataError: A split is empty, or a caption has no word.
    """
    counts = _filled(request, {part: len(rows.ids) for part, rows in parts.items()})
    flat = {part: [text for story in rows.captions for text in story] for part, rows in parts.items()}
    book = Words(flat["train"])

    def load(part: str) -> Stories:
        rows = parts[part]
        frames = rows.frames()
        number = frames.shape[1]
        places = [f"{request.id}: caption {frame} of {id_}" for id_ in rows.ids for frame in range(number)]
        texts = book.encode(flat[part], places)
        shape = (len(rows.ids), number)
        return Stories(
            frames=frames,
            tokens=texts.tokens.reshape(*shape, -1),
            lengths=texts.lengths.reshape(shape),
            texts=texts.texts.reshape(shape),
            labels=rows.labels,
            ids=np.array(rows.ids),
        )

    listed = {part: [list(rows.ids), [list(story) for story in rows.captions]] for part, rows in parts.items()}
    return _content(
        request,
        {**identity, "attributes": list(attributes)},
        listed,
        counts | dict(sizes or {}),
        book,
        load,
        attributes=tuple(attributes),
        notes=notes,
    )


def story_pixels(
    request: Request, source: Source, stories: Sequence[Sequence[str]], part: str
) -> Callable[[], np.ndarray]:
    """Returns a function that loads the (n, F, side, side, 3) frames of stories given as n lists of F image names."""

    def load() -> np.ndarray:
        pixels = _pixels(request, source, [name for story in stories for name in story], part)
        return pixels.reshape(len(stories), -1, *pixels.shape[1:])

    return load


def _content(
    request: Request,
    identity: Mapping[str, Any],
    listed: Mapping[str, Any],
    sizes: Mapping[str, int],
    book: Words,
    load: Callable[[str], CaptionedImages | Edits | Stories],
    *,
    attributes: tuple[str, ...] = (),
    notes: Mapping[str, Any] | None = None,
) -> Content:
    side = side_of(request)

    def training(digest: str) -> GenerationData:
        loaded = {part: load(part) for part in PARTS}
        return GenerationData(
            name=request.id,
            side=side,
            vocabulary=book.vocabulary,
            train=loaded["train"],
            valid=loaded["valid"],
            attributes=attributes,
            digest=digest,
        )

    return Content(
        identity={
            **identity,
            "decode": IMAGES_VERSION,
            "rows": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
            "side": side,
            "tokenizer": TOKENIZER_VERSION,
            "max_words": MAX_WORDS,
        },
        modalities={
            "image": ModalityInfo("images", side, None),
            "text": ModalityInfo("text", len(book.vocabulary), None),
        },
        sizes=dict(sizes),
        training=training,
        test=lambda: load("test"),
        notes=dict(notes or {}),
    )


def _pixels(request: Request, source: Source, names: Sequence[str], what: str) -> np.ndarray:
    label = f"decoding {request.id} {what}"
    return load_pixels(source, names, side_of(request), what=label, progress=request.progress)


def _filled(request: Request, counts: dict[str, int]) -> dict[str, int]:
    for part, rows in counts.items():
        if not rows:
            raise DataError(f"{request.folder}: the part {part!r} of {request.id!r} is empty.")
    return counts
