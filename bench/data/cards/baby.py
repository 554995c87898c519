"""Amazon Baby, 5-core."""

from __future__ import annotations

from bench.data.card import DataFile, InteractionCard, Sizes
from bench.data.cards._amazon import CITATION, LICENCE, amazon_modalities

CARD = InteractionCard(
    name="baby",
    title="Amazon Baby (5-core)",
    family="recommendation",
    tasks=("recommendation",),
    description="Reviews of baby products as implicit feedback, with product photos and descriptions.",
    source="MMRec's folder baby/ (baby.inter, image_feat.npy, text_feat.npy), or interactions.parquet with neighbour "
    "files, made from the files published with DiffMM (same interactions and item order, another draw of the split)",
    licence=LICENCE,
    citation=CITATION,
    twin="baby-twin",
    protocols=("mmrec-v1", "mmrec-tv-v1", "diffmm-v1", "diffmm-tv-v1"),
    sizes=Sizes(
        users=19_445,
        items=7_050,
        rows=160_792,
        splits={"mmrec": (118_551, 20_559, 21_682), "shipped": (118_551, 21_682, 20_559)},
    ),
    modalities=amazon_modalities(neighbours=True, required=("bench",)),
    files=(
        DataFile(
            path="interactions.parquet", sha256="3a182116674b6e8eea4039b6c90f3195dcc62de87381f420442b4181ceece4b1"
        ),
        DataFile(path="items.parquet", sha256="27e393b85a38f7e3c10e9d60842ac3b0c0b89e23e182f5ac7fffb5eee7fd897f"),
        DataFile(
            path="image_neighbours.parquet", sha256="760e22594f198349ddc1e54ee914e2d03711a89e6a53862b35afddf1cc67c2b7"
        ),
        DataFile(
            path="text_neighbours.parquet", sha256="5ca0fa08dcc2f77484896936e85a078743ce5431d8a5b834291dcde5bcca865b"
        ),
    ),
    mmrec_labels=("mmrec",),
    known_issues=(
        "The split published with DiffMM follows MMRec's per-user sizes with valid and test exchanged (every user "
        "checked), but it is another random draw: numbers on it do not mix with MMRec's tables.",
        "Without baby.inter, mmrec-v1 is MMRec's rule drawn again, not the very rows of MMRec's own file.",
        "The neighbour files hold the top 5 by cosine, self included, of features that are not published beside them; "
        "13 items have no image row.",
    ),
)
