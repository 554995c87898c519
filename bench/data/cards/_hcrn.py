"""What the video question answering datasets in HCRN's layout of features have in common."""

from __future__ import annotations

from bench.data.card import ModalityCard

MODALITIES = {
    "appearance": ModalityCard(dim=2048, description="ResNet-101 (ImageNet) pool5 of 16 frames a clip"),
    "motion": ModalityCard(dim=2048, description="ResNeXt-101 (Kinetics) of 16 frames at 112 px a clip"),
    "question": ModalityCard(dim=4000, description="words of the training questions; their number is not published"),
}
OPEN_ENDED_ISSUES = (
    "Classes are the 4,000 most frequent training answers; any other answer is always wrong, as in HCRN and DualVGR.",
    "Types are first words (what, who, how, when, where); the others count in the overall accuracy and as 'other'.",
    "Words are runs of letters and digits, where HCRN takes nltk's tokens; no GloVe vectors are read.",
    "Counts of questions are recalled, not read from the files. The features of each part are copied once into the "
    "cache.",
)
