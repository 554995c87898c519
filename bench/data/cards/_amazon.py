"""What the Amazon review datasets of MMRec have in common."""

from __future__ import annotations

from bench.data.card import Layout, ModalityCard

CITATION = (
    "McAuley, Targett, Shi, van den Hengel: Image-based recommendations on styles and substitutes, SIGIR 2015; "
    "Zhou et al.: MMRec, ACM MM Asia 2023 (pre-processing, features, split)"
)
LICENCE = "Amazon review data (2014), research use; not redistributed with this package"


def amazon_modalities(*, neighbours: bool = False, required: tuple[Layout, ...] = ()) -> dict[str, ModalityCard]:
    """Returns the image and text modality that MMRec ships with its Amazon datasets.

    Args:
        neighbours: Whether a layout publishes neighbour rows in place of the vectors.
        required: Layouts in which both must be present.
    """
    return {
        "image": ModalityCard(
            dim=4096,
            description="CNN features of the product photo, published with the 2014 reviews; the mean without a photo",
            features=("image_feat.npy", "image.npy"),
            neighbours="image_neighbours.parquet" if neighbours else None,
            required=required,
        ),
        "text": ModalityCard(
            dim=384,
            description="all-MiniLM-L6-v2 sentence embedding of title, brand, category words and description",
            features=("text_feat.npy", "text.npy"),
            neighbours="text_neighbours.parquet" if neighbours else None,
            required=required,
        ),
    }
