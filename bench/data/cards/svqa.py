"""SVQA: synthetic videos with questions from programs, in HCRN's layout of features."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._hcrn import MODALITIES

CARD = ContentCard(
    name="svqa",
    title="SVQA",
    family="vqa",
    tasks=("vqa",),
    description="Questions that programs make about rendered videos of moving shapes: count, exist, query, compare. "
    "Published practice is 20 clips of 16 frames; any number is read.",
    source="questions.json of SVQA with train_, val_ and test_svqa_ids.txt of DualVGR's repository (or one _qa.json "
    "for each part), beside svqa_appearance_feat.h5 and svqa_motion_feat.h5 of DualVGR's preprocess_features.py, or a "
    "features.h5 of `bench data features`",
    licence="Research use; not redistributed with this package",
    citation="Song, Shi, Chen, Han: Explore Multi-Step Reasoning in Video Question Answering. ACM MM 2018",
    twin="shapes-videoqa",
    protocols=("official-v1",),
    reader="bench.data.readers.hcrn_features:read_svqa",
    markers=("questions.json", "train_qa.json"),
    sizes={"train": 83_160, "valid": 11_880, "test": 23_760, "videos": 12_000},
    modalities=MODALITIES,
    known_issues=(
        "The split is DualVGR's, by its id lists (8,400, 1,200 and 2,400 videos); published numbers need exactly "
        "those.",
        "Types are the last functions of the programs, as the file names them: DualVGR's code has two lists of names "
        "that disagree.",
        "Words are runs of letters and digits, where DualVGR takes nltk's tokens; no GloVe vectors are read.",
        "The features of each part are copied once into the cache.",
    ),
)
