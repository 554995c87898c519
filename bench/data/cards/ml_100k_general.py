"""MovieLens 100K with posters and genres, for general recommendation."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards.ml_100k import CARD as BY_TIME

CARD = ContentCard(
    name="ml-100k-general",
    title="MovieLens 100K with posters and genres",
    family="recommendation",
    tasks=("recommendation",),
    description="Who rated which film, in MMRec's random per-user split. Vectors of the poster, the mean over its "
    "6 x 4 grid of patches, and of the genres.",
    source=BY_TIME.source,
    licence=BY_TIME.licence,
    citation=BY_TIME.citation,
    protocols=("mmrec-v1", "mmrec-tv-v1"),
    modalities={
        "image": ModalityCard(dim=40, description="mean of the poster's patches, standardised per column"),
        "genres": ModalityCard(dim=19, description="0/1 for each genre"),
    },
    reader="bench.data.readers.movielens_general:read",
    folder="ml-100k",
    markers=("ratings.parquet",),
    sizes={"users": 943, "items": 1_682, "rows": 100_000},
    options={"parts": "bench.data.readers.movielens_general:parts"},
    files=BY_TIME.files,
    known_issues=(
        "257 films have no poster; they have the mean vector, and hold 1.3 % of the ratings.",
        "Ratings of every height count as taken; their time is not used.",
        "Poster vectors are colours, gradients and moments: little of a film shows in them.",
        "Pictures for `bench attribute` show the mean colour of each patch: the posters are not among the files.",
    ),
)
