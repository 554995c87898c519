"""TikTok micro-videos as published with MMSSL and DiffMM."""

from __future__ import annotations

from bench.data.card import DataFile, InteractionCard, ModalityCard, Sizes

CARD = InteractionCard(
    name="tiktok",
    title="TikTok micro-videos",
    family="recommendation",
    tasks=("recommendation",),
    description="Views of micro-videos as implicit feedback, with features of frames and sound; no text.",
    source="The files published with MMSSL and DiffMM, as interactions.parquet, image.npy and audio.npy",
    licence="Published for research with MMSSL and DiffMM; not redistributed with this package",
    citation="Wei et al.: Multi-modal self-supervised learning for recommendation (MMSSL), WWW 2023; "
    "Jiang et al.: DiffMM, ACM MM 2024",
    protocols=("diffmm-v1", "diffmm-tv-v1"),
    sizes=Sizes(users=9_308, items=6_710, rows=68_722, splits={"shipped": (59_541, 3_051, 6_130)}),
    modalities={
        "image": ModalityCard(
            dim=128,
            description="frame features, stored as float16 and computed with as float32",
            features=("image.npy", "image_feat.npy"),
            required=("bench",),
        ),
        "audio": ModalityCard(
            dim=128,
            description="sound features, stored as float16 and computed with as float32; standardised per column, "
            "because their effective rank is 2.5",
            features=("audio.npy", "audio_feat.npy"),
            preprocess="standardise",
            required=("bench",),
        ),
    },
    files=(
        DataFile(
            path="interactions.parquet", sha256="fd61f1970b27a21179f0e3b33da88be7462ef5f03dc32ca0b08a262c5e50493c"
        ),
        DataFile(path="image.npy", sha256="f6c1ec1726ed2aa80315411199ab2143bee6333821bf58c5f00bd3f5b462efc2"),
        DataFile(path="audio.npy", sha256="d45a44a9d462f578802de914c2feea5cfd45742b2922775a085b9bdc1beba26f"),
    ),
    cold_users="drop",
    known_issues=(
        "Ten users have no training row; their 5 validation and 5 test rows are left out.",
        "340 test items have no training row; they stay candidates and targets.",
        "The published text features are not part of these files.",
        "A user has at most one target, in valid or in test, so recall and hit rate agree.",
    ),
)
