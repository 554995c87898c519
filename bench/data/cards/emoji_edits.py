"""Pairs of Noto emoji that differ in skin tone or gender."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards._emoji import CAST, FIGURES, PUBLISHED

CARD = ContentCard(
    name="emoji-edits",
    title="Noto emoji: skin tone and gender",
    tasks=("image_editing",),
    description="Pairs of emoji at 32 px: without skin tone to each of the tones (1,755 pairs), and between female "
    "and male forms both ways (555 pairs, 1,110 rows). The request is the caption of the true target.",
    twin="shapes-edits",
    reader="bench.data.readers.emoji:read_edits",
    sizes={"train": 2_225, "valid": 301, "test": 339, "skin_pairs": 1_755, "gender_pairs": 555},
    modalities={
        "image": ModalityCard(dim=32, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=625, description="name, then keywords that add a word"),
    },
    options={"side": 32},
    known_issues=(
        FIGURES,
        CAST,
        "The true target is another drawing: between genders hair and clothes change as well, so a perfect edit "
        "is not a small one.",
        "The snowboarder is drawn alike in all tones, so five pairs ask for no change.",
        "Pairs of families that differ in two persons are left out.",
    ),
    **PUBLISHED,
)
