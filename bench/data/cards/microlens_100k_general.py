"""MicroLens-100K micro-videos with the published vectors, for general recommendation."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards.microlens_100k import FILES, ISSUES, PUBLISHED

CARD = ContentCard(
    name="microlens-100k-general",
    title="MicroLens-100K micro-videos",
    family="recommendation",
    tasks=("recommendation",),
    description="Who commented on which micro-video, in MMRec's random per-user split, with the vectors the authors "
    "published for cover, video and title.",
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    modalities={
        "image": ModalityCard(dim=1024, description="cover, CLIP RN50"),
        "video": ModalityCard(dim=768, description="five frames, VideoMAE, pooled"),
        "text": ModalityCard(dim=1024, description="English title, BGE-M3"),
    },
    reader="bench.data.readers.microlens:read_pairs_of_content",
    sizes={"users": 100_000, "items": 19_738},
    options={
        **FILES,
        "features": {
            "image": "MicroLens-100k_image_features_CLIPRN50.npy",
            "video": "MicroLens-100k_video_features_VideoMAE.npy",
            "text": "MicroLens-100k_title_en_text_features_BgeM3.npy",
        },
    },
    known_issues=(
        *ISSUES,
        "The cut and split of BeFA's and MMRec's MicroLens tables are others: those numbers do not compare.",
    ),
    **PUBLISHED,
)
