"""H&M as BeFA's authors cut and split it."""

from __future__ import annotations

from typing import Any

from bench.data.card import ContentCard
from bench.data.cards._befa import LAYOUT, NO_PICKLES, REPEATS, UNVERIFIED, befa_card

PUBLISHED: dict[str, Any] = {
    "source": f"Kaggle odins0n/handm-dataset-128x128 as cut for BeFA: {LAYOUT}",
    "licence": "Terms of Kaggle's H&M Personalized Fashion Recommendations; not redistributed with this package",
    "citation": "Fan et al.: BeFA, a general behavior-driven feature adapter for multimedia recommendation, AAAI 2025, "
    "arXiv 2406.00323",
}
SIZES = (
    "Sizes not verified: users, items and rows are as the paper's table is remembered, nobody on this project has "
    "counted them on the files."
)

CARD = ContentCard(
    name="hm",
    title="H&M as published with BeFA",
    description="Purchases of clothing as implicit feedback, with pictures and descriptions.",
    sizes={"users": 43_543, "items": 16_915, "rows": 369_945},
    known_issues=(
        SIZES,
        "Whether pairs of user and item repeat across the parts of the split, as in `tmall`, is not known: "
        "`bench data info hm` counts on the files at hand how many targets can be hit. `hm-unique` has each pair once.",
        REPEATS,
        NO_PICKLES,
        UNVERIFIED,
    ),
    **PUBLISHED,
    **befa_card("hm", unique=False),
)
