"""CiteULike-a with a published cold split."""

from __future__ import annotations

from bench.data.card import ContentCard, DataFile, ModalityCard

CARD = ContentCard(
    name="citeulike",
    title="CiteULike-a with unseen papers",
    family="recommendation",
    tasks=("cold_start",),
    description="Who keeps which paper in their library; of a paper that nobody keeps only its tags are known.",
    source="interactions.parquet with the six parts that github.com/zfnWong/GAR publishes (warm_emb as train, warm_map "
    "as train_map, warm_val, warm_test, cold_item_val, cold_item_test), items.parquet with the tags of CiteULike-a",
    licence="None stated; published for research",
    citation="Wang, Chen, Li: Collaborative topic regression with social regularization, IJCAI 2013; the split: Chen "
    "et al.: Generative adversarial framework for cold-start item recommendation, SIGIR 2022",
    twin="cold-twin",
    protocols=("citeulike-gar-v1", "cold-items-v1"),
    modalities={
        "text": ModalityCard(dim=128, description="latent semantic analysis of the tags, of cold papers too"),
    },
    reader="bench.data.readers.citeulike:read",
    markers=("items.parquet",),
    sizes={"users": 5_551, "items": 16_980, "rows": 204_986},
    files=(
        DataFile(
            path="interactions.parquet", sha256="27d32a9851e8fbca17ca3a8455da92f3180ee3c55554232dff30b6a314cf398d"
        ),
        DataFile(path="items.parquet", sha256="5d11ca14c01851a9eab57b892a40a731bd1edc6744fc7888018de81cc8774df1"),
    ),
    known_issues=(
        "GAR trains its embeddings on train (65 % of the rows of warm items) and its cold-start models on train_map "
        "(15 %, of the same items, no row in both). Here both are training rows of one training and both are masked; "
        "GAR's README calls this setting (8:1:1) widely used and gives a second table for it, from another draw. "
        "Numbers do not mix with GAR's first table.",
        "GAR uses vectors of title and abstract; they are not here. Tags stand for them, and are content that a cold "
        "paper shows too: so there is no privileged annotation, and methods that need one are skipped.",
        "3,461 papers have no tag; they have the mean vector.",
        "At validation GAR also takes a user's test items out of the candidates; here nothing of the test rows is "
        "known then.",
    ),
)
