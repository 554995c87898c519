"""NExT-QA's validation questions with captions in place of pixels."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="nextqa-captions",
    title="NExT-QA validation questions with captions for pixels",
    family="vqa",
    tasks=("vqa",),
    description="Five-way questions about why, how, when and what in everyday videos, of which only a machine's "
    "caption of every second is here. A video is cut into 8 segments of 4 spans; a span's captions are one frame.",
    source="val.csv of NExT-QA (570 videos) and one machine caption a second, packed into nextqa_val_captions.zip",
    licence="MIT (questions); captions as published beside them",
    citation="Xiao, Shang, Yao, Chua: NExT-QA: Next Phase of Question-Answering to Explaining Temporal Actions. "
    "CVPR 2021",
    twin="shapes-videoqa",
    protocols=("grouped-v1",),
    reader="bench.data.readers.nextqa_captions:read",
    markers=("nextqa_val_captions.zip",),
    sizes={"train": 2_983, "valid": 770, "test": 1_243, "videos": 570},
    modalities={
        "appearance": ModalityCard(
            dim=512, description="captions of a span: sum of idf-weighted, normalised latent word vectors; length 1"
        ),
        "motion": ModalityCard(dim=1_024, description="mean of a segment's spans, and its last span less its first"),
        "question": ModalityCard(
            dim=6_271, description="words of training questions and candidates, and of at least 2 training captions"
        ),
        "candidates": ModalityCard(dim=6_271, description="five answers to choose from; the same words"),
    },
    files=(
        DataFile(
            path="nextqa_val_captions.zip", sha256="832d4b8afc992ae0e6560cc1d638310069b3603d7e0945cd8b628fefe81703c7"
        ),
    ),
    known_issues=(
        "Not NExT-QA's protocol: its validation part alone, split here by video with a fixed rule into 60 % train, "
        "15 % valid and 25 % test. Numbers do not mix with published ones.",
        "Captions are a machine's: verbose, sometimes wrong, blind to sound and to motion within a second.",
        "Word vectors are fitted on training captions and questions alone; words that only test videos have are "
        "unknown.",
        "Without training, the candidate nearest to the captions is right 44.5 % of the time (sparse TF-IDF, all "
        "questions), by chance 20 %.",
        "Types are NExT-QA's: CW and CH causal why and how, TN, TC and TP temporal next, current and previous, DL, DC "
        "and DO descriptive location, count and other. TP has 54 questions in all.",
    ),
)
