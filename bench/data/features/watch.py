"""`watch`: the frames that one question is about, for people to look at."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.data.card import ContentCard
from bench.data.content import Request
from bench.data.dataset import open_dataset
from bench.data.registry import resolve_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.data.features.frames import Watched


def watch(id_: str, about: str, *, protocol: str | None = None, digest: str | None = None) -> Watched | None:
    """Reads or draws again what one question of a dataset is about.

    Args:
        id_: The dataset.
        about: Name of the video or image.
        protocol: Name of the protocol; the card's default when None.
        digest: Content that the dataset must have; another one's frames would show what no method saw.

    Returns:
        The frames; None where the card tells of none (features alone), where there is no such video, or where the
        dataset's content is another.

    Raises:
        UserError: The dataset is unknown or not here, or a file is damaged.
    """
    parsed, card = resolve_dataset(id_)
    if not isinstance(card, ContentCard) or "watch" not in card.options:
        return None
    opened = open_dataset(id_, protocol=protocol)
    if digest is not None and opened.digest != digest:
        return None
    module, _, function = str(card.options["watch"]).partition(":")
    look: Callable[[Request, str], Watched | None] = getattr(importlib.import_module(module), function)
    return look(Request(id_, parsed.scale, opened.folder, card, opened.protocol, lambda what, done, total: None), about)
