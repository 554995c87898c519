"""Generated items shown in pictures whose foreground is known."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="scenes-items",
    title="Generated items in pictures with a known foreground",
    family="recommendation",
    tasks=("recommendation",),
    description="Items are one vivid thing, a shape in a colour, before a cluttered ground of muted colours. Who "
    "takes what depends on shape, colour and popularity; the ground, most of the picture, is drawn apart. The image "
    "vector is the mean over an 8 x 8 grid of parts, the text vector knows the shape among words that mean nothing. "
    "Which pixels show the thing is known, so that `bench attribute` can say what a method looks at. Sizes times the "
    "scale after the @.",
    source="bench/data/worlds/scenes in this package",
    licence="Apache-2.0",
    citation="Generated; cite this package",
    generated=True,
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    modalities={
        "image": ModalityCard(
            dim=36, description="generated: colours and edges of 64 parts, averaged; standardised per column"
        ),
        "text": ModalityCard(dim=32, description="generated: random codes of the title's words, length 1"),
    },
    reader="bench.data.worlds.scenes.items:read",
    sizes={"users": 2_000, "items": 800},
    options={
        "parts": "bench.data.worlds.scenes.items:parts",
        "pictures": "bench.data.worlds.scenes.items:sheet",
    },
    known_issues=(
        "Generated: numbers on it say whether an adapter can turn from ground to foreground, never how good a method "
        "is on real data.",
        "Colours alone tell foreground from ground, so this is easier than photographs.",
    ),
)
