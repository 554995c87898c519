"""Noto emoji with names and keywords, at 64 px."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="emoji-64",
    title="Noto emoji, 64 px",
    family="generation",
    tasks=(
        "text_to_image",
        "image_editing",
    ),
    description="3,530 emoji on white at 64 px (published at 72 px), each with its English name and keywords as the "
    "caption. Of editing there is no true target here: an image is changed towards the caption of another"
    " one; emoji-edits has true pairs.",
    source="github.com/googlefonts/noto-emoji, its 72 px images on white, with names and keywords of Unicode "
    "CLDR, packed with meta.jsonl into emoji_72.zip",
    licence="Apache-2.0 for most images (LICENSE.txt), Unicode licence for names and keywords",
    citation="Google: Noto Emoji; Unicode Common Locale Data Repository (CLDR), English annotations",
    twin="shapes-captions",
    protocols=("grouped-v1",),
    reader="bench.data.readers.emoji:read",
    folder="emoji",
    markers=("emoji_72.zip",),
    sizes={"train": 2_691, "valid": 360, "test": 479},
    modalities={
        "image": ModalityCard(dim=64, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=3170, description="name, then keywords that add a word"),
    },
    files=(DataFile(path="emoji_72.zip", sha256="b28dd939eacd85d90acb2b5d2542eb15da1877a345107494fabda682862127b3"),),
    options={"side": 64},
    known_issues=(
        "Split by figure: skin tones of one base, and the female and male forms of it, are near copies and stay "
        "in one part. The neutral form of a person is another figure.",
        "Half of the captions' words that a test emoji needs may never occur in training: most emoji are the only"
        " one of their kind.",
        "Small drawings on white: numbers here say nothing about photos.",
    ),
)
