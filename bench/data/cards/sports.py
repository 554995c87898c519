"""Amazon Sports and Outdoors, 5-core."""

from __future__ import annotations

from bench.data.card import DataFile, InteractionCard, Sizes
from bench.data.cards._amazon import CITATION, LICENCE, amazon_modalities

CARD = InteractionCard(
    name="sports",
    title="Amazon Sports and Outdoors (5-core)",
    family="recommendation",
    tasks=("recommendation",),
    description="Reviews of sports and outdoor products as implicit feedback.",
    source="MMRec's folder sports/ (sports.inter, image_feat.npy, text_feat.npy), or interactions.parquet alone",
    licence=LICENCE,
    citation=CITATION,
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    sizes=Sizes(users=35_598, items=18_357, rows=296_337, splits={"mmrec": (218_409, 37_899, 40_029)}),
    modalities=amazon_modalities(),
    files=(
        DataFile(
            path="interactions.parquet", sha256="10f3ddf2431548f2eef5b4a2745c60fb305eedd340578f322d9e0e11a7f9418e"
        ),
    ),
    mmrec_labels=("mmrec", "bench"),
    known_issues=(
        "The labels of interactions.parquet (40,029 valid / 37,899 test) follow MMRec's per-user sizes for every one "
        "of the 35,598 users once valid and test change names, so they are read that way round; a result's "
        "notes say so.",
        "They are not the very draw of MMRec's own file: 18,344 items have a training row, MMRec's logs say 18,352.",
        "interactions.parquet comes without item content; 180 items have no image in MMRec's features (mean vector).",
    ),
)
