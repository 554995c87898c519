"""TMALL as BeFA's authors cut and split it."""

from __future__ import annotations

from typing import Any

from bench.data.card import ContentCard
from bench.data.cards._befa import LAYOUT, NO_PICKLES, REPEATS, UNVERIFIED, befa_card

PUBLISHED: dict[str, Any] = {
    "source": f"Tianchi data set 140281 as cut for BeFA: {LAYOUT}",
    "licence": "Terms of Tianchi (tianchi.aliyun.com/dataset/140281); not redistributed with this package",
    "citation": "Fan et al.: BeFA, a general behavior-driven feature adapter for multimedia recommendation, AAAI 2025, "
    "arXiv 2406.00323",
}
THIRD_PARTY = "Counted on a third party's copy (fanko79/BCDMM2025 at 148626b), whose users, items and rows are BeFA's"

CARD = ContentCard(
    name="tmall",
    title="TMALL as published with BeFA",
    description="What people took from the goods of TMALL as implicit feedback, with pictures and titles. Rows repeat, "
    "and are split row by row.",
    sizes={"users": 13_104, "items": 7_848, "rows": 151_928, "train": 116_202, "valid": 15_821, "test": 19_905},
    known_issues=(
        "The 151,928 rows are 40,451 distinct pairs of user and item, split row by row: 13,443 of the 15,465 distinct "
        "test pairs are training pairs too, and masked. Only 1,867 of 13,104 test users (14.2%) have a target that can "
        "be hit, so that recall at any K is at most 0.1087 (valid: 2,075 users, 0.1464). `bench data info tmall` "
        f"counts it on the files at hand. {THIRD_PARTY}.",
        "`tmall-unique` is the same data with each pair once.",
        "The published split is not MMRec's rule: its sizes differ for 4,809 of the 13,104 users.",
        REPEATS,
        NO_PICKLES,
        UNVERIFIED,
    ),
    **PUBLISHED,
    **befa_card("tmall", unique=False),
)
