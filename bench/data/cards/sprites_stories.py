"""Stories of sprite characters with exact attributes."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards._sprites import published

CARD = ContentCard(
    name="sprites-stories",
    title="Sprites with generated stories",
    family="generation",
    tasks=("story",),
    description="Four frames at 32 px of one pixel-art character put together from real sprite sheets, each doing one"
    " thing in one direction. The first caption tells its looks, all tell what it does. 30 exact frame "
    "labels.",
    twin="shapes-stories",
    reader="bench.data.readers.sprites_stories:read",
    sizes={"train": 1_040, "valid": 96, "test": 160, "characters": 1_296},
    modalities={
        "image": ModalityCard(dim=32, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=36, description="looks and deeds, generated"),
    },
    options={"side": 32},
    known_issues=(
        "The frames are real sprites, the captions are generated from how they were put together.",
        "Split by character: no combination of looks is in two parts, but every single look is in all of them.",
        "Names of the looks (tan, teal, suit, ...) are ours, given by looking at them.",
        "One story for each of all 1,296 characters; test and validation are kept small, since methods draw every "
        "story in three modes.",
    ),
    **published("captions"),
)
