"""DAQUAR: questions about photos of rooms."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="daquar",
    title="DAQUAR (all answers)",
    family="vqa",
    tasks=("vqa",),
    description="Questions people asked about photos of rooms: which object, how many, which colour. Each 160 x 120 "
    "photo is cut into 4 x 4 regions, which stand in place of clips; a region's four quarters are its frames.",
    source="Questions and official image lists of DAQUAR, NYU Depth v2 photos reduced to 160 x 120, packed with "
    "meta.jsonl into daquar_160x120.zip",
    licence="Research use; not redistributed with this package",
    citation="Malinowski, Fritz: A Multi-World Approach to Question Answering about Real-World Scenes based on "
    "Uncertain Input. NIPS 2014; Silberman, Hoiem, Kohli, Fergus: Indoor Segmentation and Support Inference from RGBD "
    "Images. ECCV 2012",
    twin="shapes-videoqa",
    protocols=("official-v1",),
    reader="bench.data.readers.daquar:read",
    markers=("daquar_160x120.zip",),
    sizes={"train": 5_788, "valid": 1_007, "test": 5_673, "images": 1_447, "answers": 865},
    modalities={
        "appearance": ModalityCard(
            dim=104,
            description="per quarter of a region: hues, grey levels, gradients, moments of 2 x 2 cells; no network",
        ),
        "motion": ModalityCard(
            dim=86,
            description="a still has none; in its place: the region's description, what sets it apart from the photo, "
            "the change from its upper to its lower half, its row and column",
        ),
        "question": ModalityCard(dim=824, description="words of the training questions"),
    },
    files=(
        DataFile(path="daquar_160x120.zip", sha256="984000ece436eafe86dd941db17fddd67efde9e33ff58217f3a113cc07f3fb19"),
    ),
    options={"frames": "bench.data.readers.daquar:frames", "watch": "bench.data.readers.daquar:watch"},
    known_issues=(
        "Official lists name train and test images; validation is a seeded 15 % of the training images, so fewer "
        "questions train here than in published work.",
        'Some answers are lists ("table, chair"). The whole string is one class, right only as a whole; WUPS compares '
        "the sets.",
        "Answers of test questions that no training question has can never be right: about one test question in ten.",
        "Two of the 1,449 photos have no question. Spelling mistakes of the questions are kept.",
        "Types are ours, by first words: count (how), colour (colour or color among the first three words), object "
        "(what, which, who), other.",
        "The words alone go a long way: logistic regression on them finds 22.7 %, the most frequent answer 5.0 % (all "
        "official training questions).",
    ),
)
