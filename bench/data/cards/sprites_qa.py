"""Generated questions about sprites."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards._sprites import published

CARD = ContentCard(
    name="sprites-qa",
    title="Sprites with generated questions",
    family="vqa",
    tasks=("vqa",),
    description="Videos of pixel-art characters put together from real sprite sheets: 16 frames of 64 px, in which one "
    "character does one thing (walk, cast a spell, slash), then another. 8 clips of 2 frames. The questions are "
    "generated, and their answers exact: action, direction, order, colours of hair, top, trousers and skin, exist.",
    twin="shapes-videoqa",
    reader="bench.data.readers.sprites_qa:read",
    sizes={"train": 2_400, "valid": 600, "test": 1_200, "videos": 1_050, "answers": 25},
    modalities={
        "appearance": ModalityCard(
            dim=208, description="per frame: hues, grey levels, gradients and moments of 4 x 2 cells; no network"
        ),
        "motion": ModalityCard(dim=216, description="per clip: change of the description and of pixels in 4 x 2 cells"),
        "question": ModalityCard(dim=42, description="words of the generated questions"),
    },
    options={"frames": "bench.data.readers.sprites_qa:frames", "watch": "bench.data.readers.sprites_qa:watch"},
    known_issues=(
        "The frames are real sprites, the questions are generated from how they were put together: numbers say whether "
        "a method can read attributes and order, not how it fares with people's questions.",
        "1,050 of the 1,296 characters are used, each in one video, so no character is in two parts; every layer's six "
        "variants are in all parts.",
        "Names of the variants (tan, teal, suit, ...) are ours, given by looking at them.",
        "Grey and lavender skin, and white and silver clothes, are close to each other.",
    ),
    **published("questions"),
)
