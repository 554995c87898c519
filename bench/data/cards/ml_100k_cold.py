"""MovieLens 100K with posters, for cold start."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard
from bench.data.cards.ml_100k import CARD as BY_TIME

CARD = ContentCard(
    name="ml-100k-cold",
    title="MovieLens 100K with unseen films",
    family="recommendation",
    tasks=("cold_start",),
    description="Who rated which film; of a film nobody has rated only the poster is known. Genres are privileged: "
    "training may read those of warm films.",
    source=BY_TIME.source,
    licence=BY_TIME.licence,
    citation=BY_TIME.citation,
    twin="cold-twin",
    protocols=("cold-items-v1",),
    modalities={
        "image": ModalityCard(dim=80, description="mean and deviation of the poster's patches, standardised"),
        "annotations": ModalityCard(dim=19, description="genres of warm films; privileged, in training batches only"),
    },
    reader="bench.data.readers.movielens_cold:read",
    folder="ml-100k",
    markers=("ratings.parquet",),
    sizes={"users": 943, "items": 1_682, "rows": 100_000},
    files=BY_TIME.files,
    known_issues=(
        "257 films have no poster; they have the mean vector, and hold 1.3 % of the ratings.",
        "Ratings of every height count as taken, as in `ml-100k`; their time is not used.",
        "Poster vectors are colours, gradients and moments: little of a film shows in them.",
        "Film ids fall with popularity, so that ties broken by id would rank cold films well for nothing; the protocol "
        "breaks them at random.",
    ),
)
