"""PororoSV: stories of five frames."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

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
    modalities={
        "image": ModalityCard(dim=64, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=1, description="a caption of each frame"),
    },
    options={"side": 64},
    known_issues=(
        "The reader follows the published layout and was tested on small files of that layout, not on the frames "
        "themselves.",
        "The published files are pickles and are not read; AR-LDM's script turns them into HDF5 outside this package.",
        "Each picture is a strip of frames; the first is used. Published loaders draw one at random, at test time"
        " as well.",
        "No labels of characters are in the file, so attribute_f1 and frame_accuracy have no value here.",
    ),
)
