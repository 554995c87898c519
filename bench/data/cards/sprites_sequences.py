"""Sequences of sprite characters with exact attributes."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards._sprites import published

CARD = ContentCard(
    name="sprites-sequences",
    title="Sprites in motion with generated captions",
    family="generation",
    tasks=("story",),
    description="The eight frames at 32 px, in order, of one action in one direction of one pixel-art character put "
    "together from real sprite sheets. The first caption tells its looks, all tell the action, the direction and the "
    "step of eight. 38 exact frame labels, eight of them poses of the motion.",
    twin="shapes-stories",
    reader="bench.data.readers.sprites_sequences:read",
    sizes={"train": 1_040, "valid": 96, "test": 160, "characters": 1_296},
    modalities={
        "image": ModalityCard(dim=32, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=46, description="looks, deeds and steps, generated"),
    },
    options={"side": 32},
    known_issues=(
        "The frames are real sprites, the captions are generated from how they were put together.",
        "One sequence for each of all 1,296 characters, one of its nine actions with direction, drawn at random. Split "
        "by character, with the same characters in the same parts as sprites-stories: no combination of looks is in "
        "two parts, but every single look is in all of them.",
        "All eight frames of a walk differ. Of a spell step 7 is bit for bit step 5; of a slash step 7 is step 5 and "
        "step 8 is step 1. Labels call a repeated picture by the first step that shows it (`pose`), captions count "
        "on.",
        "Who is about to cast a spell and who is about to slash can look the same: for 480 of the 3,888 characters "
        "with direction, step 1 of the one is bit for bit steps 1 and 8 of the other, under two action labels.",
        "Names of the looks (tan, teal, suit, ...) are ours, given by looking at them.",
    ),
    **published("captions"),
)
