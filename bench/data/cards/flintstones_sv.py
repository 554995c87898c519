"""FlintstonesSV: stories of five frames."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._story_folders import KNOWN_ISSUES, MODALITIES

CARD = ContentCard(
    name="flintstones-sv",
    title="FlintstonesSV",
    family="generation",
    tasks=("story",),
    description="Stories of five frames of the animated series The Flintstones with a caption each, at 64 px.",
    source="Gupta et al.'s Flintstones data set; read from flintstones.h5 as data_script/ of "
    "github.com/xichenpan/ARLDM writes it (groups train, val, test; image0 to image4, text joined by |)",
    licence="None stated; frames are copyrighted by their makers",
    citation="Maharana, Bansal: Integrating Visuospatial, Linguistic and Commonsense Structure into Story "
    "Visualization. EMNLP 2021",
    protocols=("official-v1",),
    reader="bench.data.readers.story_folders:read",
    markers=("flintstones.h5",),
    sizes={"train": 20_132, "valid": 2_071, "test": 2_309},
    modalities=MODALITIES,
    options={"side": 64},
    known_issues=(
        *KNOWN_ISSUES,
        "Published counts of this data set are quoted from memory of a paper's table and may be off.",
    ),
)
