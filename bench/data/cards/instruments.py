"""Amazon Musical Instruments as sequences."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="instruments",
    title="Amazon Musical Instruments (5-core) as sequences",
    family="recommendation",
    tasks=("sequential",),
    description="The order in which people reviewed musical instruments; codes of image and text stand for frames.",
    source="Published with a generative recommender as sequences and residual-quantised item codes; here as "
    "sequences.parquet and items.parquet",
    licence="Amazon review data, research use; not redistributed with this package",
    citation="Ni, Li, McAuley: Justifying recommendations using distantly-labeled reviews, EMNLP 2019",
    protocols=("loo-v1", "loo-all-v1"),
    modalities={
        "frames": ModalityCard(
            dim=2_048,
            description="RECONSTRUCTED, a stand-in for frames: one for each level of an item's codes, the four of its "
            "image before the four of its text; one-hot, 256 columns for each level",
        )
    },
    reader="bench.data.readers.item_codes:read",
    markers=("sequences.parquet",),
    sizes={"users": 17_112, "items": 6_250, "rows": 136_226},
    files=(
        DataFile(path="sequences.parquet", sha256="9407c8a39253d907a645fb3d866f972d077cfd0a0c75544490dc795b9e70880f"),
        DataFile(path="items.parquet", sha256="0696f58018b4547f47204c887511e4ed51a57fb0fac75fb4ef07083f9b457180"),
    ),
    options={"columns": ["image_codes", "text_codes"], "levels": 4, "size": 256},
    known_issues=(
        "Order but no clock.",
        "Task `sequential` trains on a user's last 51 items: 84,418 of 84,890 training transitions (99.4 %).",
        "Item content is four codes of 256 values for image and text each, not vectors. Methods that read frames get "
        "one frame for each code: levels from coarse to fine, not moments of a video. One-hot vectors keep the codes "
        "exactly, but not how near two codes are, which the published files do not tell.",
        "A method that holds all frames takes about 3 GB of memory while it is built: 6,250 x 8 x 2,048 values.",
        "The image's codes differ for all 6,250 items, the text's take 5,988 values.",
    ),
)
