"""Generated videos of shapes that move, appear and vanish, with questions whose answers are exact."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="shapes-videoqa",
    title="Questions about generated videos of shapes",
    family="vqa",
    tasks=("vqa",),
    description="Videos of 8 clips with 4 frames each, 32 px: three to six circles, squares, triangles and crosses in "
    "four colours stand still or move, appear or vanish. Five open-ended questions each: how many, whether there is, "
    "which colour, shape or direction, and which of two kinds there is more of. 21 answers. Features are fixed filters "
    "of the rendered pixels. Sizes times the scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("generated-v1",),
    reader="bench.data.worlds.scenes.video_qa:read",
    sizes={
        "train": 6_000,
        "valid": 1_200,
        "test": 2_000,
        "train_videos": 1_200,
        "valid_videos": 240,
        "test_videos": 400,
    },
    modalities={
        "appearance": ModalityCard(
            dim=120, description="per frame: opponent colours and their edges, pooled over a 2 x 2 grid; no network"
        ),
        "motion": ModalityCard(
            dim=90, description="per clip: correlation of each map with its shifted successor, and what changed"
        ),
        "question": ModalityCard(dim=46, description="words of the questions' closed vocabulary"),
    },
    options={
        "pictures": "bench.data.worlds.scenes.video_qa:pictures",
        "watch": "bench.data.worlds.scenes.video_qa:watch",
    },
    known_issues=(
        "Generated: numbers on it say whether a method can count, find, name and compare, never how good it is on real "
        "videos.",
        "The share of right answers by the words alone is about a third: answers are balanced within each form of "
        "question as far as the videos allow, counts of 3 being rare for phrases that tell two things.",
        "An object counts if it is in any frame of the video, so one that has vanished still counts.",
    ),
)
