"""FlintstonesSV: stories of five frames."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

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
        "Published counts of this data set are quoted from memory of a paper's table and may be off.",
    ),
)
