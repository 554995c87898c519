"""Generated editing pairs with exact targets."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="shapes-edits",
    title="Generated editing pairs of shapes",
    family="generation",
    tasks=("image_editing",),
    description="Pairs of pictures at 32 px that differ in exactly one attribute: colour, shape, size or place of an "
    "object, or the ground. The request is the caption of the target. Sizes times the scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("generated-v1",),
    reader="bench.data.worlds.scenes.generation:read_edits",
    sizes={"train": 2_000, "valid": 128, "test": 256},
    modalities={
        "image": ModalityCard(dim=32, description="rendered RGB"),
        "text": ModalityCard(dim=36, description="one sentence over 34 words"),
    },
    known_issues=(
        "Generated: numbers on it say whether a method learns what words mean, never how good its pictures of "
        "real things are.",
        "The target is exact, down to the jitter of what does not change.",
    ),
)
