"""MSVD-QA: questions about short videos, in HCRN's layout of features."""

from __future__ import annotations

from bench.data.card import ContentCard
from bench.data.cards._hcrn import MODALITIES, OPEN_ENDED_ISSUES

CARD = ContentCard(
    name="msvd-qa",
    title="MSVD-QA",
    family="vqa",
    tasks=("vqa",),
    description="Open-ended questions made from the captions of MSVD videos. Published practice is "
    "8 clips of 16 frames; any number is read.",
    source="train_qa.json, val_qa.json and test_qa.json of github.com/xudejing/video-question-answering, beside "
    "msvd-qa_appearance_feat.h5 and msvd-qa_motion_feat.h5 of HCRN's or DualVGR's preprocess_features.py, or a "
    "features.h5 of `bench data features`",
    licence="Research use; not redistributed with this package",
    citation="Xu et al.: Video Question Answering via Gradually Refined Attention over Appearance and Motion. "
    "ACM MM 2017",
    twin="shapes-videoqa",
    protocols=("official-v1",),
    reader="bench.data.readers.hcrn_features:read_open_ended",
    markers=("train_qa.json",),
    sizes={"train": 30_933, "valid": 6_415, "test": 13_157, "videos": 1_970},
    modalities=MODALITIES,
    known_issues=OPEN_ENDED_ISSUES,
)
