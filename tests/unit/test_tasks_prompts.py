"""Prompts that a person typed, as a method reads them."""

from __future__ import annotations

import generation_factories as toys
import pytest
import torch

from bench.errors import UserError
from bench.tasks.prompts import read_prompts
from bench.tasks.scoring import Place

PLACE = Place(torch.device("cpu"), torch.float32)


def test_a_typed_prompt_is_read_with_the_words_of_training() -> None:
    data = toys.data(toys.captioned(4), toys.captioned(2))
    typed = read_prompts(["RED, left!", "mauve blue"], data, PLACE)
    assert typed.prompts.tokens.tolist() == [[2, 5], [1, 4]] and typed.prompts.lengths.tolist() == [2, 2]
    assert len(typed.notices) == 1 and "'mauve'" in typed.notices[0] and "'blue'" not in typed.notices[0]


@pytest.mark.parametrize("text", ["mauve", "!!", "<pad>", "<unknown>"])
def test_a_prompt_without_a_known_word_is_refused_in_one_sentence(text: str) -> None:
    data = toys.data(toys.captioned(4), toys.captioned(2))
    with pytest.raises(UserError, match="no word"):
        read_prompts([text], data, PLACE)


def test_a_prompt_with_unknown_words_alone_is_read_by_a_pretrained_tokenizer() -> None:
    data = toys.data(toys.captioned(4), toys.captioned(2))
    typed = read_prompts(["mauve"], data, PLACE, any_words=True)
    assert typed.prompts.texts == ("mauve",) and typed.notices == ()


@pytest.mark.parametrize(("text", "kept"), [("red " * 2500, 64), ("r" * 10_000 + " blue", 1), ("red " * 65, 64)])
def test_a_long_prompt_is_cut_with_a_notice(text: str, kept: int) -> None:
    data = toys.data(toys.captioned(4), toys.captioned(2))
    typed = read_prompts(["blue", text], data, PLACE, any_words=True)
    assert typed.prompts.lengths.tolist() == [1, kept] and len(typed.prompts.texts[1]) <= 2_000
    assert len(typed.notices) == 1 and f"{len(text):,} characters; its first {kept} words" in typed.notices[0]
