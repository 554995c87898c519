"""H&M with each pair of user and item once."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._befa import NO_PICKLES, UNIQUE_SPLIT, UNVERIFIED, befa_card
from bench.data.cards.hm import PUBLISHED

CARD = ContentCard(
    name="hm-unique",
    title="H&M without repeated pairs",
    description="The rows of BeFA's H&M, each pair of user and item once, in MMRec's random per-user split.",
    sizes={"items": 16_915},
    known_issues=(
        "The number of items was not verified; users and rows of this variant are not known.",
        UNIQUE_SPLIT,
        NO_PICKLES,
        UNVERIFIED,
    ),
    **PUBLISHED,
    **befa_card("hm", unique=True),
)
