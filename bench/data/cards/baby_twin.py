"""A generated stand-in for Amazon Baby, under its own name."""

from __future__ import annotations

from bench.data.card import InteractionCard, ModalityCard, Sizes

CARD = InteractionCard(
    name="baby-twin",
    title="Generated twin of Amazon Baby",
    family="recommendation",
    tasks=("recommendation",),
    description="Drawn by a seeded generator with Baby's published sizes (times the scale after the @): long-tailed "
    "degrees, 5-core, tastes tied to item content in both modalities, crowds that no content explains, popularity, "
    "vectors that also carry factors nobody's taste depends on, timestamps, and words and categories of items in "
    "items.parquet.",
    source="bench/data/worlds in this package; `bench data make baby-twin --scale S`",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    sizes=Sizes(users=19_445, items=7_050, rows=160_792, splits={"mmrec": (118_551, 20_559, 21_682)}),
    modalities={
        "image": ModalityCard(
            dim=4096,
            description="generated, rectified like a CNN's; 512 wide below scale 0.5",
            features=("image_feat.npy",),
            required=("generated",),
        ),
        "text": ModalityCard(
            dim=384,
            description="generated, length 1; less noisy than image; 128 wide below scale 0.5",
            features=("text_feat.npy",),
            required=("generated",),
        ),
    },
    known_issues=(
        "Generated: numbers on it say whether code works and how fast it is, never how good a method is on real data.",
        "Shares of behaviour and noise of vectors were set by hand so that test recall@20 falls in the order of real "
        "Baby: image neighbours < text neighbours < popularity < EASE < EASE with content (at scales 0.1, 0.25, 1). "
        "The distances were not fitted; below scale 0.1 popularity and EASE tie.",
        "Split sizes differ a little from Baby's, by the draw of user degrees.",
    ),
)
