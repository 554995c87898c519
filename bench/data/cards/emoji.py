"""Noto emoji with names and keywords, at 32 px."""

from __future__ import annotations

from bench.data.cards._emoji import emoji_card

CARD = emoji_card("emoji", "Noto emoji", side=32)
