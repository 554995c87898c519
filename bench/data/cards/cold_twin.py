"""A generated stand-in for cold-start data, under its own name."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="cold-twin",
    title="Generated cold twin of Amazon Baby",
    family="recommendation",
    tasks=("cold_start",),
    description="The generated world of baby-twin (Baby's sizes times the scale after the @) under an item-level "
    "hold-out. Of an unseen item only its image vector is known; words that name its category are privileged.",
    source="bench/data/worlds/cold_items.py in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("cold-items-v1",),
    modalities={
        "image": ModalityCard(dim=512, description="generated, rectified like a CNN's"),
        "annotations": ModalityCard(dim=1_800, description="words of warm items; privileged, in training batches only"),
    },
    reader="bench.data.worlds.cold_items:read",
    sizes={"users": 19_445, "items": 7_050, "rows": 160_792},
    known_issues=(
        "Generated: numbers on it say whether code works and whether words are made use of, never how good a method is "
        "on real data.",
        "The words of an item name its category without fail, which no real annotation does.",
    ),
)
