"""CUB-200-2011 birds with captions."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="cub-200",
    title="CUB-200-2011 with captions",
    family="generation",
    tasks=(
        "text_to_image",
        "image_editing",
    ),
    description="Photos of 200 kinds of birds with ten captions each; 100 classes to train, 50 to validate, 50 to "
    "test. Cut to the bird's box, at 256 px.",
    source="vision.caltech.edu (CUB_200_2011/ with images.txt, bounding_boxes.txt, images/), the captions of "
    "Reed et al. as text_c10/<class>/<image>.txt (or text/, as AttnGAN packs them) and their "
    "trainclasses.txt, valclasses.txt, testclasses.txt",
    licence="Research and education, as vision.caltech.edu says",
    citation="Wah et al.: The Caltech-UCSD Birds-200-2011 Dataset. 2011; Reed et al.: Learning Deep "
    "Representations of Fine-Grained Visual Descriptions. CVPR 2016",
    protocols=("official-v1",),
    reader="bench.data.readers.cub:read",
    markers=("CUB_200_2011/images.txt",),
    sizes={"train": 5_894, "valid": 2_961, "test": 2_933, "classes": 200},
    modalities={
        "image": ModalityCard(dim=256, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=1, description="the first caption of each image"),
    },
    options={"side": 256},
    known_issues=(
        "The reader follows the published layout and was tested on small files of that layout, not on the photos "
        "themselves.",
        "Published systems train on the 150 classes of training and validation together (8,855 images) and choose"
        " on test.",
        "AttnGAN's filenames.pickle is not read: pickles can run code. The lists of class names give the same "
        "test split.",
        "One caption of ten is used, the first; published systems draw one at random each time.",
    ),
)
