"""What the datasets of BeFA have in common."""

from __future__ import annotations

from typing import Any

from bench.data.card import ModalityCard

LAYOUT = "inter.csv (userID, itemID, x_label), image_feat.npy and text_feat.npy, the layout that fqldom/BeFA reads"
ENCODERS = "the code names no encoder; the width is that of CLIP ViT-B/32 and was not verified"
UNVERIFIED = (
    "The published files were not at hand when this was written: no checksum is known, the widths of the vectors were "
    "not verified, and the reader is tested on small files of the same layout."
)
NO_PICKLES = (
    "Third parties pass the split on as pickled matrices (trnMat.pkl, valMat.pkl, tstMat.pkl). Pickles can run code, "
    "so they are not read: write their rows to interactions.parquet (user, item, split), repeated ones too."
)
REPEATS = (
    "A repeated training row is a training row of its own, and an edge of higher weight in user-item graphs; methods "
    "that read whole histories take each pair once. A repeated target counts in the denominator of recall and is hit "
    "once, as in MMRec's code."
)
UNIQUE_SPLIT = (
    "Not the authors' data or split, so numbers do not compare with theirs: each pair once, users with fewer than "
    "three different items left out, MMRec's per-user rule drawn with seed 999. Every target can be hit."
)


def befa_card(folder: str, *, unique: bool) -> dict[str, Any]:
    """Returns the fields that all of these cards share.

    Args:
        folder: Name of the folder with the files.
        unique: Whether each pair is read once and the split is drawn.
    """
    return {
        "family": "recommendation",
        "tasks": ("recommendation",),
        "protocols": ("mmrec-v1", "mmrec-tv-v1") if unique else ("befa-v1", "befa-tv-v1"),
        "modalities": {
            "image": ModalityCard(dim=512, description=f"picture; {ENCODERS}", features=("image_feat.npy",)),
            "text": ModalityCard(dim=512, description=f"title; {ENCODERS}", features=("text_feat.npy",)),
        },
        "reader": f"bench.data.readers.befa:{'read_unique' if unique else 'read'}",
        "folder": folder,
        "markers": ("inter.csv", "interactions.parquet"),
        "options": {} if unique else {"unique": f"{folder}-unique"},
    }
