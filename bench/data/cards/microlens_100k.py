"""MicroLens-100K micro-videos, as sequences."""

from __future__ import annotations

from typing import Any

from bench.data.card import ContentCard, ModalityCard

PUBLISHED: dict[str, Any] = {
    "source": "westlake-repl/MicroLens; the layout read is that of recsys.westlake.edu.cn/MicroLens-100k-Dataset: "
    "MicroLens-100k_pairs.csv, MicroLens-100k_title_en.csv, extracted_modality_features/",
    "licence": "Published for research; the authors forbid offering altered copies for download",
    "citation": "Ni, Cheng, Liu, Fu, Li, He, Zhang, Yuan: A content-driven micro-video recommendation dataset at "
    "scale, arXiv 2309.15379, 2023",
    "folder": "microlens-100k",
    "markers": ("MicroLens-100k_pairs.csv",),
}
FILES = {"pairs": "MicroLens-100k_pairs.csv", "titles": "MicroLens-100k_title_en.csv"}
ISSUES = (
    "Interactions are public comments; their times are milliseconds.",
    "The published files were not at hand when this was written: no checksum is known, and the reader is tested on "
    "small files of the same layout.",
)

CARD = ContentCard(
    name="microlens-100k",
    title="MicroLens-100K micro-videos by time",
    family="recommendation",
    tasks=("sequential",),
    description="The order in which people commented on micro-videos: each user's last 13, as in the authors' code.",
    twin="microvideo-twin",
    protocols=("loo-v1", "loo-all-v1"),
    modalities={"frames": ModalityCard(dim=768, description="vectors of frames, where the user has made them")},
    reader="bench.data.readers.microlens:read_sequences",
    sizes={"users": 100_000, "items": 19_738},
    options={**FILES, "keep_last": 13, "features": {"frames": "MicroLens-100k_frame_features.npy"}},
    known_issues=(
        *ISSUES,
        "The authors publish one vector of a video, not of its frames: MicroLens-100k_frame_features.npy (items, "
        "frames, values; row i is item i + 1) is for the user to make. Without it there are no frames.",
    ),
    **PUBLISHED,
)
