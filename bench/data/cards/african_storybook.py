"""African Storybook: pages of picture stories."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="african-storybook",
    title="African Storybook",
    family="generation",
    tasks=("story",),
    description="Four successive pages of English picture stories at 32 px (published at 128 px), each with its text."
    " 302 stories, 3,266 pages. Training has every window of four pages, validation and test have windows"
    " that share no page.",
    source="africanstorybook.org: CC-BY stories with their page images reduced to 128 px, packed with meta.jsonl"
    " into asp_en_128.zip",
    licence="CC-BY, illustrators in ILLUSTRATORS.md",
    citation="African Storybook Initiative, Saide; illustrators as listed in ILLUSTRATORS.md",
    twin="shapes-stories",
    protocols=("grouped-v1",),
    reader="bench.data.readers.african_storybook:read",
    markers=("asp_en_128.zip",),
    sizes={"train": 1_699, "valid": 96, "test": 102, "stories": 302, "pages": 3_266},
    modalities={
        "image": ModalityCard(dim=32, description="RGB images, resized with anti-aliasing"),
        "text": ModalityCard(dim=4182, description="text of each page; its first 64 words become tokens"),
    },
    files=(DataFile(path="asp_en_128.zip", sha256="d1be3a755c9523de59eff46249d84f744f318116c537f231b111634a91f30e73"),),
    options={"side": 32},
    known_issues=(
        "Illustrations are used again across stories. Stories that share an image stay in one part; one such "
        "cluster of 160 stories is all in training.",
        "Images count as the same when their files are; a picture that was cut or scaled differently is not "
        "recognised.",
        "Texts name what happens and rarely what is seen; 13 pages without text end a window.",
        "No labels of who is in a picture, so attribute_f1 and frame_accuracy have no value here.",
    ),
)
