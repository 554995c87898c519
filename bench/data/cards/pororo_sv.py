"""PororoSV: stories of five frames."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._story_folders import KNOWN_ISSUES, MODALITIES

CARD = ContentCard(
    name="pororo-sv",
    title="PororoSV",
    family="generation",
    tasks=("story",),
    description="Stories of five frames of the animated series Pororo with a caption each, at 64 px.",
    source="github.com/yitong91/StoryGAN; read from pororo.h5 as data_script/ of github.com/xichenpan/ARLDM "
    "writes it (groups train, val, test; image0 to image4, text joined by |)",
    licence="None stated; frames are copyrighted by their makers",
    citation="Li et al.: StoryGAN: A Sequential Conditional GAN for Story Visualization. CVPR 2019",
    protocols=("official-v1",),
    reader="bench.data.readers.story_folders:read",
    markers=("pororo.h5",),
    sizes={"train": 10_191, "valid": 2_334, "test": 2_208},
    modalities=MODALITIES,
    options={"side": 64},
    known_issues=KNOWN_ISSUES,
)
