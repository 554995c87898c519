"""TMALL with each pair of user and item once."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._befa import NO_PICKLES, UNIQUE_SPLIT, UNVERIFIED, befa_card
from bench.data.cards.tmall import PUBLISHED, THIRD_PARTY

CARD = ContentCard(
    name="tmall-unique",
    title="TMALL without repeated pairs",
    description="The rows of BeFA's TMALL, each pair of user and item once, in MMRec's random per-user split.",
    sizes={"users": 6_021, "items": 7_848, "rows": 30_800, "train": 18_685, "valid": 6_032, "test": 6_083},
    known_issues=(
        UNIQUE_SPLIT,
        "The 5-core of the distinct pairs has 800 users, 570 items and 5,336 rows, which is why it is not offered.",
        "1,930 of the 7,848 items have no row; they keep their numbers, stay candidates and are nobody's target.",
        f"{THIRD_PARTY}.",
        NO_PICKLES,
        UNVERIFIED,
    ),
    **PUBLISHED,
    **befa_card("tmall", unique=True),
)
