"""Grocery Store: photos taken in shops, with a description of each product."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="grocery",
    title="Grocery Store",
    family="classification",
    tasks=("classification",),
    description="Smartphone photos of fruit, vegetables and cartons on the shelves of Swedish shops, 81 classes. "
    "Beside every training image stand the names of its class and a description of the product. The 128 px photos are "
    "resized to 96 px; nothing is cut off, as they are square.",
    source="github.com/marcusklasson/GroceryStoreDataset, its photos reduced to 128 px and packed with meta.jsonl "
    "(official splits, classes, descriptions) into grocery_128.zip",
    licence="MIT License",
    citation="Klasson, Zhang, Kjellström: A Hierarchical Grocery Store Image Dataset with Visual and Semantic Labels. "
    "WACV 2019",
    twin="dishes",
    protocols=("official-v1",),
    reader="bench.data.readers.grocery:read",
    markers=("grocery_128.zip",),
    sizes={"train": 2_640, "valid": 296, "test": 2_485, "classes": 81},
    modalities={
        "image": ModalityCard(dim=96, description="RGB photos, resized with anti-aliasing"),
        "text": ModalityCard(dim=672, description="words of the class's names and description, lower case, in order"),
    },
    files=(
        DataFile(path="grocery_128.zip", sha256="6f5e36f70b1af33cdeb57276dbe9931fab122a83a97016784d4cbee2b9bebd56"),
    ),
    options={"side": 96},
    known_issues=(
        "The text is a function of the class, so it gives the label away: it is never shown beside validation or test "
        "images, and contrasts between images of one class mean nothing.",
        "Validation has 296 images of 60 of the 81 classes: choices made on it are noisy, and 21 classes have no part "
        "in them.",
        "Classes are unequal in train and test; macro_f1 shows what top1 hides.",
        "Published results (72 to 86 % top-1) start from networks pretrained on ImageNet and see larger images.",
        "The iconic image of each class is in the zip and is not used.",
    ),
)
