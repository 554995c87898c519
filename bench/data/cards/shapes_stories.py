"""Generated stories of four frames."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="shapes-stories",
    title="Generated stories of shapes",
    family="generation",
    tasks=("story",),
    description="Four frames at 32 px with one or two of six characters. Captions tell a character's colour and body "
    "when it first appears and the ground in the first sentence, so that later frames need the whole "
    "story. 18 exact frame labels. Sizes times the scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("generated-v1",),
    reader="bench.data.worlds.scenes.generation:read_stories",
    sizes={"train": 1_000, "valid": 64, "test": 96},
    modalities={
        "image": ModalityCard(dim=32, description="rendered RGB"),
        "text": ModalityCard(dim=38, description="four sentences over 36 words"),
    },
    known_issues=(
        "Generated: numbers on it say whether a method learns what words mean, never how good its pictures of "
        "real things are.",
        "A character's body belongs to its name; its colour is drawn for each story.",
    ),
)
