"""Generated dishes with ingredient lists, seen under four conditions."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="dishes",
    title="Generated dishes with ingredient lists",
    family="classification",
    tasks=("classification",),
    description="Plates at 32 px of 18 dishes that share ingredients and colours. Every training image has the list of "
    "what went in, which tells more than the picture: ingredients lie below others or dissolve. The test plates are "
    "seen under four conditions: clean as in training, and from another viewpoint, under other lighting, or behind "
    "bars, which training never meets. Sizes times the scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("generated-v1",),
    reader="bench.data.worlds.scenes.dishes:read",
    sizes={"train": 3_600, "valid": 720, "test": 1_440, "classes": 18},
    modalities={
        "image": ModalityCard(dim=32, description="rendered RGB, with noise"),
        "text": ModalityCard(dim=32, description="the ingredients of each training image, as an unordered list"),
    },
    known_issues=(
        "Generated: numbers on it say whether a method learns and what a shift costs it, never how good it is on real "
        "dishes.",
        "Its difficulty was set by hand, looking at the test accuracy of a small CNN: about 60 % clean.",
        "Ingredient lists overlap between dishes and have stray entries, so the list does not give the class away.",
    ),
)
