"""What the sets of Noto emoji have in common: one zip, at several sides, and its pairs."""

from __future__ import annotations

from typing import Any

from bench.data.card import ContentCard, DataFile, ModalityCard

FIGURES = (
    "Split by figure: skin tones, female, male and neutral forms, hair, both directions a person can face, spellings "
    "of a couple or family, a hand and its mirror image, and images with the same bytes stay in one part. The four "
    "figures of more than 40 emoji (portraits, holding hands, kiss, couple with heart) are in training only."
)
NEAR = (
    "Things with another name are other figures and may be in other parts however alike they are drawn: clock faces, "
    "keycaps, faces that differ in the eyes, things in another colour, a bathtub with and without a person. 8 of the "
    "446 test images have a training image within a mean squared error of .005 at 32 px (of values in 0 to 1), all of "
    "such kinds."
)
CAST = "The same few faces wear the clothes of all professions: a test figure is new, the face under its hat is not."
PUBLISHED: dict[str, Any] = {
    "family": "generation",
    "source": "github.com/googlefonts/noto-emoji, its 72 px images on white, with names and keywords of Unicode "
    "CLDR, packed with meta.jsonl into emoji_72.zip",
    "licence": "Apache-2.0 for most images (LICENSE.txt), Unicode licence for names and keywords",
    "citation": "Google: Noto Emoji; Unicode Common Locale Data Repository (CLDR), English annotations",
    "protocols": ("grouped-v1",),
    "folder": "emoji",
    "markers": ("emoji_72.zip",),
    "files": (
        DataFile(path="emoji_72.zip", sha256="b28dd939eacd85d90acb2b5d2542eb15da1877a345107494fabda682862127b3"),
    ),
}
"""Fields of all cards."""


def emoji_card(name: str, title: str, *, side: int, issues: tuple[str, ...] = ()) -> ContentCard:
    """Returns the card of all emoji with their captions, at a side in pixels.

    Args:
        name: Of the dataset.
        title: Shown to readers.
        side: 72 is what was published; others are resized.
        issues: Known issues of this side.
    """
    made = "as published" if side == 72 else "published at 72 px"
    return ContentCard(
        name=name,
        title=title,
        tasks=("text_to_image", "image_editing"),
        description=f"3,530 emoji on white at {side} px ({made}), each with its English name and keywords as the "
        "caption. Of editing there is no true target here: an image is changed towards the caption of another one; "
        "emoji-edits has true pairs.",
        twin="shapes-captions",
        reader="bench.data.readers.emoji:read",
        sizes={"train": 2_701, "valid": 383, "test": 446},
        modalities={
            "image": ModalityCard(
                dim=side, description="RGB images" + ("" if side == 72 else ", resized with anti-aliasing")
            ),
            "text": ModalityCard(dim=2952, description="name, then keywords that add a word"),
        },
        options={"side": side},
        known_issues=(
            FIGURES,
            NEAR,
            CAST,
            "42 % of the distinct words in test captions never occur in training: most emoji are the only one of "
            "their kind.",
            "Small drawings on white: numbers here say nothing about photos.",
            *issues,
        ),
        **PUBLISHED,
    )
