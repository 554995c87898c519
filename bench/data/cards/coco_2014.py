"""COCO 2014 with captions."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="coco-2014",
    title="COCO 2014 captions",
    family="generation",
    tasks=(
        "text_to_image",
        "image_editing",
    ),
    description="Photos with captions people wrote: 82,783 published training images, of which 2 % are kept for "
    "validation, and 40,504 published validation images as test. At 256 px, short side resized, middle "
    "cut out.",
    source="cocodataset.org: train2014, val2014 and annotations/captions_train2014.json, captions_val2014.json, "
    "unpacked into one folder",
    licence="Annotations CC-BY 4.0; photos under the terms of Flickr",
    citation="Lin et al.: Microsoft COCO: Common Objects in Context. ECCV 2014",
    protocols=("official-v1",),
    reader="bench.data.readers.coco:read",
    markers=("annotations/captions_train2014.json",),
    sizes={"train": 81_127, "valid": 1_656, "test": 40_504},
    modalities={
        "image": ModalityCard(dim=256, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=1, description="the first caption of each image"),
    },
    options={"side": 256},
    known_issues=(
        "The reader follows the published layout and was tested on small files of that layout, not on the photos "
        "themselves.",
        "One caption of about five is used, the first by annotation id; published systems draw one at random each"
        " time.",
        "The decoded photos take 24 GB of the cache.",
        "Published FID uses ImageNet Inception features of 30,000 to 40,000 images and other croppings; it is not"
        " fid[world-cnn-S].",
    ),
)
