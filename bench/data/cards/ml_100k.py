"""MovieLens 100K with posters, as sequences."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="ml-100k",
    title="MovieLens 100K by time, with posters",
    family="recommendation",
    tasks=("sequential",),
    description="Films in the order in which people rated them; patches of the poster stand for the frames of a film.",
    source="GroupLens' ml-100k as ratings.parquet and items.parquet; poster_patches.npy: a 6 x 4 grid of patches for "
    "each poster, each 12 hue, 5 saturation and 5 value bins, 9 gradient orientations and 9 moments",
    licence="GroupLens terms: research use, no redistribution",
    citation="Harper, Konstan: The MovieLens datasets: history and context, TiiS 2015",
    twin="microvideo-twin",
    protocols=("loo-v1", "loo-all-v1"),
    modalities={"frames": ModalityCard(dim=40, description="patches of the poster, as told under `source`")},
    reader="bench.data.readers.movielens:read_sequences",
    markers=("ratings.parquet",),
    sizes={"users": 943, "items": 1_682, "rows": 100_000},
    files=(
        DataFile(path="ratings.parquet", sha256="15fd1e24376cb529b74c4432d93a4a5fd29d161a9828a09ae37a7016e53b5723"),
        DataFile(path="items.parquet", sha256="74bb9cd44f9a3d4cf982c11da07d7017af55eff5fd70fdabea216d016a65d846"),
        DataFile(path="poster_patches.npy", sha256="c92f6978fcc552c00d56aa8bf7dfdc8c7aa89ead7b6bfb81d92061fd135af49a"),
    ),
    known_issues=(
        "257 films have no poster; their patches are zero, and they hold 1.3 % of the ratings.",
        "Many ratings of a user share a second: equal times are ordered by film id.",
        "Ratings of every height count as taken.",
        "Histories are long: training on a user's last 51 items, as task `sequential` does, uses 38,762 of 97,171 "
        "training transitions (40 %), and scoring shows the last 50.",
    ),
)
