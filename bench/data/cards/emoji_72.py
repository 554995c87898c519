"""Noto emoji with names and keywords, at the 72 px they were published at."""

from __future__ import annotations

from bench.data.cards._emoji import emoji_card

CARD = emoji_card(
    "emoji-72",
    "Noto emoji, 72 px",
    side=72,
    issues=("Methods that halve images down to 4 px refuse 72 px; emoji-64 is the nearest side they take.",),
)
