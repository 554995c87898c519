"""Vireo-Food172: Chinese dishes with the ingredients each photo shows."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="vireo-food172",
    title="VIREO Food-172",
    family="classification",
    tasks=("classification",),
    description="110,241 photos of 172 Chinese dishes; of each, which of 353 ingredients it shows. The short side is "
    "resized to 224 px and the middle cut out.",
    source="vireo.cs.cityu.edu.hk/VireoFood172: VireoFood172.zip (ready_chinese_food/<class from 1>/<file>) and "
    "SplitAndIngreLabel.zip (TR.txt, VAL.txt, TE.txt with a path a line; IngreLabel.txt with a path and 353 columns of "
    "-1, 0 or 1; IngredientList.txt; FoodList.txt). The layout is as public loaders of these files read it",
    licence="Research use, as vireo.cs.cityu.edu.hk/VireoFood172 says; none stated in the files",
    citation="Chen, Ngo: Deep-based Ingredient Recognition for Cooking Recipe Retrieval. ACM Multimedia 2016",
    protocols=("official-v1",),
    reader="bench.data.readers.vireo_food172:read",
    markers=("SplitAndIngreLabel/TR.txt",),
    sizes={"train": 66_071, "valid": 11_016, "test": 33_154, "classes": 172, "ingredients": 353},
    modalities={
        "image": ModalityCard(dim=224, description="RGB photos, short side resized, middle cut out"),
        "text": ModalityCard(dim=353, description="the ingredients a photo shows, a set, one token each"),
    },
    options={"side": 224},
    known_issues=(
        "The reader follows the published layout and was tested on small files of that layout, not on the photos "
        "themselves.",
        "The decoded photos take 17 GB of the cache.",
        "Ingredients were labelled by eye on each photo; one that the dish hides is not there.",
        "IngreLabel.txt marks with -1 as well as 0 what a photo does not show; both are read alike.",
    ),
)
