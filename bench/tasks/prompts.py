"""Prompts that people type, read with the words a method was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from bench.data.readers.captions import MAX_WORDS
from bench.data.readers.text import SPECIAL, words
from bench.data.vqa import UNKNOWN
from bench.errors import UserError, nearest
from bench.methods.generator import Prompts, StoryPrompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.generation import GenerationData
    from bench.tasks.scoring import Place

LONGEST_PROMPT = 2_000
"""Characters of a prompt that are read; what follows is left out, with a notice."""
SHOWN = 40
"""Characters of a prompt that a message repeats."""


class Typed(NamedTuple):
    """What was typed, as a method reads it.

    Attributes:
        prompts: One row each.
        notices: What was left out or is unknown, in whole sentences.
    """

    prompts: Prompts
    notices: tuple[str, ...]


def read_prompts(texts: Sequence[str], data: GenerationData, place: Place, *, any_words: bool = False) -> Typed:
    """Reads prompts as the captions of training were read: of each the first 2,000 characters and 64 words.

    Args:
        texts: At least one.
        data: Whose training captions gave the words.
        place: Where the method computes.
        any_words: Whether the method reads text with a pretrained tokenizer, which knows every word.

    Raises:
        UserError: A prompt has no word, or none that was in training.
    """
    index = {word: token for token, word in enumerate(data.vocabulary) if word not in SPECIAL}
    rows, notices, unknown = [], [], dict[str, None]()
    for text in texts:
        cut, notice = shortened(text)
        notices += notice
        found = words(cut)[:MAX_WORDS]
        if not found:
            raise UserError(f"the prompt {_quoted(text)} has no word in it.", hint="Write letters or digits.")
        rows.append([index.get(word, UNKNOWN) for word in found])
        strange = [word for word in found if word not in index]
        if not any_words and len(strange) == len(found):
            raise UserError(
                f"the prompt {_quoted(text)} has no word of the training captions of {data.name!r}."
                f"{_near(strange, index)}",
                hint=f"They have {len(index):,} words, for example {_some(index)}.",
            )
        unknown |= dict.fromkeys(strange)
    if unknown and not any_words:
        listed = ", ".join(repr(word[:SHOWN]) for word in list(unknown)[:8]) + (", ..." if len(unknown) > 8 else "")
        noun = "this word was" if len(unknown) == 1 else "these words were"
        notices.append(
            f"{noun} in no training caption of {data.name!r} and mean nothing: {listed}.{_near(list(unknown), index)}"
        )
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row)
    lengths = torch.tensor([len(row) for row in rows])
    read = tuple(text[:LONGEST_PROMPT] for text in texts)
    return Typed(Prompts(tokens.to(place.device), lengths.to(place.device), read), tuple(notices))


def shortened(text: str) -> tuple[str, list[str]]:
    """Returns what is read of a prompt, and a notice where that is not all of it."""
    cut = text[:LONGEST_PROMPT]
    count = len(words(cut))
    if len(text) > LONGEST_PROMPT or count > MAX_WORDS:
        # Below 64 where the words themselves are very long.
        kept = min(count, MAX_WORDS)
        return cut, [
            f"the prompt {_quoted(text)} has {len(text):,} characters; its first {kept} words are read. At most "
            f"{LONGEST_PROMPT:,} characters and {MAX_WORDS} words are, and fewer by some methods."
        ]
    return cut, []


def repeated(prompts: Prompts, times: int) -> Prompts:
    """Returns each prompt `times` times, copies side by side."""
    texts = tuple(text for text in prompts.texts for _ in range(times))
    return Prompts(prompts.tokens.repeat_interleave(times, 0), prompts.lengths.repeat_interleave(times), texts)


def as_story(prompts: Prompts, stories: int) -> StoryPrompts:
    """Returns F prompts as the captions of one story, `stories` times."""
    return StoryPrompts(
        prompts.tokens.expand(stories, -1, -1), prompts.lengths.expand(stories, -1), (prompts.texts,) * stories
    )


def _quoted(text: str) -> str:
    short = " ".join(text[: 2 * SHOWN].split())
    return repr(short) if len(short) <= SHOWN and len(text) <= 2 * SHOWN else f"{short[:SHOWN]!r}..."


def _near(strange: Sequence[str], index: dict[str, int]) -> str:
    near = dict.fromkeys(match for word in strange[:3] for match in nearest(word[:SHOWN], index, limit=2))
    return f" Nearest: {', '.join(near)}." if near else ""


def _some(index: dict[str, int]) -> str:
    known = list(index)
    step = max(1, len(known) // 8)
    return ", ".join(known[::step][:8])
