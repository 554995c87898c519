"""Amazon Clothing, Shoes and Jewelry, 5-core."""

from __future__ import annotations

from bench.data.card import InteractionCard, Sizes
from bench.data.cards._amazon import CITATION, LICENCE, amazon_modalities

CARD = InteractionCard(
    name="clothing",
    title="Amazon Clothing, Shoes and Jewelry (5-core)",
    family="recommendation",
    tasks=("recommendation",),
    description="Reviews of clothing, shoes and jewellery as implicit feedback, with product photos and descriptions.",
    source="MMRec's folder clothing/ (clothing.inter, image_feat.npy, text_feat.npy)",
    licence=LICENCE,
    citation=CITATION,
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    sizes=Sizes(users=39_387, items=23_033, rows=278_677, splits={"mmrec": (197_338, 40_150, 41_189)}),
    modalities=amazon_modalities(),
    mmrec_labels=("mmrec",),
    known_issues=("The published sizes were not counted on the file itself; nobody on this project has had it.",),
)
