"""Pairs of Noto emoji that differ in skin tone or gender."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="emoji-edits",
    title="Noto emoji: skin tone and gender",
    family="generation",
    tasks=("image_editing",),
    description="Pairs of emoji at 32 px: without skin tone to each of the tones (1,755 pairs), and between female "
    "and male forms both ways (555 pairs, 1,110 rows). The request is the caption of the true target.",
    source="github.com/googlefonts/noto-emoji, its 72 px images on white, with names and keywords of Unicode "
    "CLDR, packed with meta.jsonl into emoji_72.zip",
    licence="Apache-2.0 for most images (LICENSE.txt), Unicode licence for names and keywords",
    citation="Google: Noto Emoji; Unicode Common Locale Data Repository (CLDR), English annotations",
    twin="shapes-edits",
    protocols=("grouped-v1",),
    reader="bench.data.readers.emoji:read_edits",
    folder="emoji",
    markers=("emoji_72.zip",),
    sizes={"train": 2_102, "valid": 337, "test": 426, "skin_pairs": 1_755, "gender_pairs": 555},
    modalities={
        "image": ModalityCard(dim=32, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=761, description="name, then keywords that add a word"),
    },
    files=(DataFile(path="emoji_72.zip", sha256="b28dd939eacd85d90acb2b5d2542eb15da1877a345107494fabda682862127b3"),),
    options={"side": 32},
    known_issues=(
        "Split by figure, as in emoji: no base is in two parts, nor are the two forms of a gender pair.",
        "The true target is another drawing: between genders hair and clothes change as well, so a perfect edit "
        "is not a small one.",
        "Pairs of families that differ in two persons are left out.",
    ),
)
