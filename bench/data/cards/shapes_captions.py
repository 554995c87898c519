"""Generated pictures of shapes with full captions."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="shapes-captions",
    title="Generated shapes with captions",
    family="generation",
    tasks=(
        "text_to_image",
        "image_editing",
    ),
    description="Pictures at 32 px of one or two coloured shapes on a ground, with a caption that says all of them: "
    "size, colour, shape, place, ground. Sizes times the scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("generated-v1",),
    reader="bench.data.worlds.scenes.generation:read_captions",
    sizes={"train": 2_000, "valid": 128, "test": 256},
    modalities={
        "image": ModalityCard(dim=32, description="rendered RGB"),
        "text": ModalityCard(dim=36, description="one sentence over 34 words"),
    },
    known_issues=(
        "Generated: numbers on it say whether a method learns what words mean, never how good its pictures of "
        "real things are.",
        "Captions come from a grammar: every word is in training often, and 28 of the 256 test captions are training "
        "captions word for word (the pictures are others).",
    ),
)
