"""shapes-captions, shapes-edits and shapes-stories: generation data drawn from the world of shapes, at any scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.content import Content
from bench.data.generation import CaptionedImages, Edits, GenerationData, Stories, Texts
from bench.data.types import ModalityInfo
from bench.data.worlds.scenes.edits import edit_pairs
from bench.data.worlds.scenes.pictures import CAPTION_VOCABULARY, captioned_images
from bench.data.worlds.scenes.store import GENERATOR_VERSION
from bench.data.worlds.scenes.stories import CHARACTER_NAMES, FRAMES, STORY_VOCABULARY, captioned_stories
from bench.data.worlds.scenes.vocabulary import COLOUR_NAMES, GROUND_NAMES
from bench.data.worlds.scenes.words import as_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.data.content import Request

SEED = 18_030
SIDE = 32
PARTS = ("train", "valid", "test")
SMALLEST = 16
"""Rows of a part at the smallest scale."""
CAPTION_LENGTH = 2 * 8 + 1 + 4
"""Words of the longest caption: two objects of `a small red circle at the top left`, `and`, `on a white ground`."""
STORY_ATTRIBUTES = (*CHARACTER_NAMES, *COLOUR_NAMES, *(f"{name} ground" for name in GROUND_NAMES))
"""Names of the frame labels of stories."""


def read_captions(request: Request) -> Content:
    """Draws captioned images."""

    def load(part: str, n: int, progress: Callable[[int, int], None]) -> CaptionedImages:
        drawn = captioned_images(f"captions {part}", n, side=SIDE, seed=SEED, progress=progress)
        texts = _texts(drawn.captions, CAPTION_VOCABULARY)
        return CaptionedImages(drawn.pixels, texts, _ids(part, n), drawn.symbols.shape[:, 0].astype(np.int64))

    return _content(request, "captions", CAPTION_VOCABULARY, load)


def read_edits(request: Request) -> Content:
    """Draws editing pairs; the target's caption is the request, as in the data whose twin this is."""

    def load(part: str, n: int, progress: Callable[[int, int], None]) -> Edits:
        drawn = edit_pairs(f"pairs {part}", n, side=SIDE, seed=SEED, progress=progress)
        before, after = (_texts(told, CAPTION_VOCABULARY) for told in (drawn.source_captions, drawn.target_captions))
        ids = _ids(part, n)
        return Edits(CaptionedImages(drawn.source, before, ids), after, drawn.target, ids)

    return _content(request, "edits", CAPTION_VOCABULARY, load)


def read_stories(request: Request) -> Content:
    """Draws stories of four frames, with who and which colours are in each frame as labels."""

    def load(part: str, n: int, progress: Callable[[int, int], None]) -> Stories:
        return draw_stories(part, n, progress=progress)

    return _content(request, "stories", STORY_VOCABULARY, load, attributes=STORY_ATTRIBUTES)


def draw_stories(part: str, n: int, *, seed: int = SEED, progress: Callable[[int, int], None] | None = None) -> Stories:
    """Draws labelled stories.

    Args:
        part: Name of the split; parts are drawn apart from each other.
        n: How many.
        seed: Seed of the world; the data set's by default.
        progress: Called with (images done, images) while they are drawn.

    Raises:
        DataError: The cache cannot be written.
    """
    drawn = captioned_stories(f"stories {part}", n, side=SIDE, seed=seed, progress=progress)
    texts = [sentence for story in drawn.captions for sentence in story]
    tokens, lengths = as_tokens(texts, STORY_VOCABULARY, length=max(len(text.split()) for text in texts))
    who = drawn.labels.characters
    # A colour is in a frame when one of the characters there has it.
    coloured = drawn.labels.colours[:, None, :, None] == np.arange(len(COLOUR_NAMES))
    colours = (who[..., None] & coloured).any(axis=2)
    ground = drawn.labels.ground[:, None, None] == np.arange(len(GROUND_NAMES))
    grounds = np.broadcast_to(ground, (n, FRAMES, len(GROUND_NAMES)))
    return Stories(
        frames=drawn.pixels,
        tokens=tokens.reshape(n, FRAMES, -1),
        lengths=lengths.reshape(n, FRAMES),
        texts=np.array(texts).reshape(n, FRAMES),
        labels=np.concatenate([who, colours, grounds], axis=2),
        ids=_ids(part, n),
    )


def _content(
    request: Request,
    world: str,
    vocabulary: tuple[str, ...],
    load: Callable[[str, int, Callable[[int, int], None]], Any],
    *,
    attributes: tuple[str, ...] = (),
) -> Content:
    sizes = {part: max(SMALLEST, round(request.card.counts[part] * request.scale)) for part in PARTS}

    def rows(part: str) -> Any:
        def progress(done: int, total: int) -> None:
            request.progress(f"{request.id} {part}", done, total)

        return load(part, sizes[part], progress)

    def training(digest: str) -> GenerationData:
        train, valid = rows("train"), rows("valid")
        return GenerationData(request.id, SIDE, vocabulary, train, valid, attributes, digest)

    return Content(
        identity={"generator": GENERATOR_VERSION, "world": world, "seed": SEED, "side": SIDE, "sizes": sizes},
        modalities={
            "image": ModalityInfo("images", SIDE, None),
            "text": ModalityInfo("text", len(vocabulary), None),
        },
        sizes=sizes,
        training=training,
        test=lambda: rows("test"),
    )


def _texts(captions: Sequence[str], vocabulary: Sequence[str]) -> Texts:
    tokens, lengths = as_tokens(captions, vocabulary, length=CAPTION_LENGTH)
    return Texts(tokens, lengths, np.array(captions))


def _ids(part: str, n: int) -> np.ndarray:
    return np.array([f"{part}-{row:05d}" for row in range(n)])
