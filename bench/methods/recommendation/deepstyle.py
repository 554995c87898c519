"""DeepStyle: item style with the category taken out (Liu, Wu and Wang, SIGIR 2017; longer as arXiv 1911.04229)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from bench.methods.base import Context, GradientConfig, Loss, Needs, PairBatch
from bench.methods.layers.embedding import Representation, table, take
from bench.methods.layers.losses import bpr_shifted, norm_regulariser
from bench.methods.layers.visual import (
    Content,
    VisualRecommender,
    add_content,
    trained_items,
    visual_clusters,
    visual_features,
)
from bench.spec.space import Choices


class DeepStyle(VisualRecommender):
    """Score p_u · (E f_i − l_c(i) + q_i): what the category looks like is taken from the projected image.

    The paper reads c(i) from the catalogue. No dataset here has a category that may be read when items are ranked
    (words of a cold-start dataset are privileged), so RECONSTRUCTED: c(i) is a cluster of the features, by k-means over
    the directions of those of items with a training row; any other item goes to the nearest centre. That the category
    is what tells images apart most is the paper's premise. With one category l moves all scores of a user alike and
    the model is p_u · (E f_i + q_i).

    The paper's E is fine-tuned with its CNN; here features are fixed. Loss, regulariser and optimiser are those of
    `vbpr`, with which it is to be compared.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `deepstyle`."""

        dim: int = 64
        """d, width of the user, item and category tables."""
        categories: Annotated[int, Choices(1, 10, 20, 50)] = 20
        """Clusters of the features; fewer where the items have fewer distinct vectors."""
        reg: Annotated[float, Choices(1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)] = 1e-1
        """Weight of the un-squared norms over the batch's size; the item norm is over the whole item vector."""
        content: Content = "all"
        """`all`: every modality, as `vbpr` reads; `image`: the image alone, where there is one."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype)
        self.items = table(self.n_items, config.dim, context.dtype)
        features = visual_features(context, config.content)
        category = visual_clusters(features, trained_items(context), config.categories)
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("category", category, persistent=False)
        self.categories = table(config.categories, config.dim, context.dtype)
        self.project = nn.Linear(features.shape[1], config.dim, bias=False, dtype=context.dtype)
        nn.init.xavier_normal_(self.project.weight)

    features: Tensor
    category: Tensor

    def represent(self) -> Representation:
        """Returns the user table and E f − l + q."""
        return Representation(self.users, self.item_vectors(self.features, self.category, self.items))

    def item_vectors(self, features: Tensor, category: Tensor, items: Tensor) -> Tensor:
        """Returns E f − l + q, (n, d).

        Args:
            features: (n, D).
            category: (n,) int64.
            items: (n, d) ID vectors of the same items.
        """
        style = self.adapted(self.project(features), items) - take(self.categories, category)
        return add_content(items, style)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns BPR + reg · EmbLoss(u, i, j); only the items of the batch are projected."""
        rows, places = torch.cat([batch.pos, batch.neg]).unique(return_inverse=True)
        items = self.item_vectors(take(self.features, rows), take(self.category, rows), take(self.items, rows))
        user = take(self.users, batch.users)
        pos, neg = take(items, places).chunk(2)
        ranking = bpr_shifted(user, pos, neg)
        reg = norm_regulariser(user, pos, neg)
        return Loss(ranking + self.config.reg * reg, {"bpr": ranking, "reg": reg})


METHOD = DeepStyle
