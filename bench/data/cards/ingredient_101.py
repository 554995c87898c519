"""Ingredient-101: Food-101 with a list of ingredients for each class."""

from __future__ import annotations

from bench.data.card import ContentCard, ModalityCard

CARD = ContentCard(
    name="ingredient-101",
    title="Ingredients101 (Food-101 with ingredient lists)",
    family="classification",
    tasks=("classification",),
    description="101,000 photos of 101 dishes; for each dish the most common of 446 ingredients. The short side is "
    "resized to 224 px and the middle cut out. Splits are the lists of Ingredients101 (train_images.txt, "
    "val_images.txt, test_images.txt) where they are there, otherwise those of Food-101 with a tenth of each class's "
    "training images, drawn with seed 101, for validation.",
    source="data.vision.ee.ethz.ch/cvl/food-101.tar.gz (images/<class>/<id>.jpg; meta/classes.txt, train.txt, "
    "test.txt) and www.ub.edu/cvub/ingredients101 (Annotations/ingredients.txt, a line of ingredients for each class; "
    "train_images.txt and train_labels.txt, the same for val and test). The layout is as public loaders of these files "
    "and the authors' script github.com/MarcBS/food_ingredients_recognition read and write it",
    licence="Food-101: the photos belong to their makers at foodspotting.com, for scientific use; Ingredients101: none "
    "stated",
    citation="Bossard, Guillaumin, Van Gool: Food-101. ECCV 2014; Bolaños, Ferrà, Radeva: Food Ingredients Recognition "
    "through Multi-label Learning. ICIAP Workshops 2017",
    protocols=("official-v1",),
    reader="bench.data.readers.ingredient_101:read",
    markers=(
        "Annotations/ingredients.txt",
        "annotations/ingredients.txt",
        "Ingredients101/Annotations/ingredients.txt",
    ),
    sizes={"train": 68_175, "valid": 7_575, "test": 25_250, "classes": 101, "ingredients": 446},
    modalities={
        "image": ModalityCard(dim=224, description="RGB photos, short side resized, middle cut out"),
        "text": ModalityCard(dim=446, description="the ingredients of the photo's class, a set, one token each"),
    },
    options={"side": 224},
    known_issues=(
        "The text is a function of the class, so it gives the label away: it is never shown beside validation or test "
        "images, and contrasts between images of one class mean nothing.",
        "The reader follows the published layout and was tested on small files of that layout, not on the photos "
        "themselves.",
        "The counts of train and valid are those of the seeded draw; a result's note split_origin says which lists its "
        "split came from.",
        "ingredients.txt (446 ingredients) is read, not ingredients_simplified.txt.",
        "The decoded photos take 15 GB of the cache.",
        "Training images were not cleaned by the publishers: some labels are wrong. Test images were.",
    ),
)
