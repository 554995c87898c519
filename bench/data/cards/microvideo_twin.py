"""Generated micro-videos."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="microvideo-twin",
    title="Generated micro-videos",
    family="recommendation",
    tasks=("sequential",),
    description="Histories over videos of eight frames, of which three in a row tell what people like and the others "
    "show a backdrop that misleads.",
    source="bench/data/worlds/microvideos.py in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("loo-v1", "loo-all-v1"),
    modalities={"frames": ModalityCard(dim=48, description="generated vectors of eight frames")},
    reader="bench.data.worlds.microvideos:read",
    sizes={"users": 3_000, "items": 1_500},
    known_issues=(
        "Generated: numbers on it say whether code works and whether telling frames are found, never how good a method "
        "is on real data.",
    ),
)
