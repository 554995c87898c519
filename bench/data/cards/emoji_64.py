"""Noto emoji with names and keywords, at 64 px."""

from __future__ import annotations

from bench.data.cards._emoji import emoji_card

CARD = emoji_card("emoji-64", "Noto emoji, 64 px", side=64)
