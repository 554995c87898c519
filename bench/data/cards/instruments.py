"""Amazon Musical Instruments as sequences."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile

CARD = ContentCard(
    name="instruments",
    title="Amazon Musical Instruments (5-core) as sequences",
    family="recommendation",
    tasks=("sequential",),
    description="The order in which people reviewed musical instruments.",
    source="Published with a generative recommender as sequences and residual-quantised item codes; here as "
    "sequences.parquet and items.parquet",
    licence="Amazon review data, research use; not redistributed with this package",
    citation="Ni, Li, McAuley: Justifying recommendations using distantly-labeled reviews, EMNLP 2019",
    protocols=("loo-v1", "loo-all-v1"),
    reader="bench.data.readers.sequences:read",
    markers=("sequences.parquet",),
    sizes={"users": 17_112, "items": 6_250, "rows": 136_226},
    files=(
        DataFile(path="sequences.parquet", sha256="9407c8a39253d907a645fb3d866f972d077cfd0a0c75544490dc795b9e70880f"),
    ),
    known_issues=(
        "Order but no clock.",
        "Item content is four codes of 256 values for image and text each, not vectors; no method here reads them yet.",
    ),
)
