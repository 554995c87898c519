"""Amazon Baby, 5-core, for cold start."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards.baby import CARD as WARM

CARD = ContentCard(
    name="baby-cold",
    title="Amazon Baby (5-core) with unseen products",
    family="recommendation",
    tasks=("cold_start",),
    description="Reviews of baby products as implicit feedback; of a product nobody has reviewed only photo and "
    "description are known.",
    source=WARM.source,
    licence=WARM.licence,
    citation=WARM.citation,
    twin="cold-twin",
    protocols=("cold-items-v1",),
    modalities=WARM.modalities,
    reader="bench.data.readers.cold_start:read_interaction_folder",
    folder="baby",
    markers=("baby.inter", "interactions.parquet"),
    sizes={"users": 19_445, "items": 7_050, "rows": 160_792},
    files=WARM.files,
    options={"card": "baby"},
    known_issues=(
        "Where only neighbour lists are on disk, vectors are made of them for warm and cold products together: content "
        "of cold products enters, as it may, and nobody's behaviour does.",
        "5-core came before the split: a product is in the data because five people reviewed it, even where the split "
        "calls it unseen.",
        "items.parquet has no words, so there is no annotation; methods that need one are skipped.",
        "Splits that are shipped with the files are not used: products are drawn anew.",
    ),
)
