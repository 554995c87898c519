"""Amazon Beauty as sequences."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile

CARD = ContentCard(
    name="beauty",
    title="Amazon Beauty (5-core) as sequences",
    family="recommendation",
    tasks=("sequential",),
    description="The order in which people reviewed beauty products.",
    source="The data file of S3-Rec (Zhou et al., CIKM 2020) as sequences.parquet; same users, items and order",
    licence="Amazon review data (2014), research use; not redistributed with this package",
    citation="McAuley, Targett, Shi, van den Hengel: Image-based recommendations on styles and substitutes, "
    "SIGIR 2015; Zhou et al.: S3-Rec, CIKM 2020",
    protocols=("loo-v1", "loo-all-v1"),
    reader="bench.data.readers.sequences:read",
    markers=("sequences.parquet",),
    sizes={"users": 22_363, "items": 12_101, "rows": 198_502},
    files=(
        DataFile(path="sequences.parquet", sha256="834e2724889d5fb0b4f2439240677a305571493228aba01161e9a84f243b32d5"),
    ),
    known_issues=(
        "Order but no clock. Items published with attributes, which no method here reads.",
        "Task `sequential` trains on a user's last 51 items: 128,031 of 131,413 training transitions (97.4 %).",
        "Published on these files, items of the history masked: SASRec HR@10 .0605 NDCG@10 .0318, GRU4Rec .0283/.0137, "
        "S3-Rec .0647/.0327; its SASRec is trained with one negative for each target.",
    ),
)
