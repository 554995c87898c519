"""AMR: adversarial training of a visually-aware recommender (Tang et al., TKDE 2019, arXiv 1809.07062)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import Context, GradientConfig, Group, Loss, Needs, PairBatch
from bench.methods.layers.embedding import Representation, table, take
from bench.methods.layers.losses import pair_scores
from bench.methods.layers.visual import Content, VisualRecommender, add_content, visual_features
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCUMULATOR = 0.1
"""What the sums of squares of TensorFlow's Adagrad begin with."""


def small_normal(rows: Tensor) -> Tensor:
    """Fills with N(0, 0.01²), limited to two standard deviations."""
    return nn.init.trunc_normal_(rows, std=0.01, a=-0.02, b=0.02)


class AMR(VisualRecommender):
    """Score p_u · (q_i + Φ f_i), trained to hold when the features are moved where that hurts most.

    The adversary adds Δ_i = ε · Γ_i / ‖Γ_i‖, Γ = ∂L_BPR / ∂f, to the features of the batch's items; Δ is a constant of
    the step. Loss, regularisers and Adagrad are the authors' code's (duxy-me/AMR at c924225): sums over the batch, one
    step size for each table, features divided by their largest absolute entry. The authors start from a trained VBPR
    of the same form, which is this model without its adversary: `plain_epochs` trains that first, in the same run and
    with the same optimiser. A training whose patience ends before they do never meets the adversary.

    They perturb image features; `content` says what is read here, and all that is read is perturbed.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)
    summed: ClassVar[bool] = True

    class Config(GradientConfig):
        """Settings of `amr`."""

        dim: int = 64
        """d, width of the user and item tables."""
        lr: Annotated[float, Choices(1e-3, 1e-2, 1e-1)] = 1e-2
        """Adagrad's step size of the user table."""
        item_lr: Annotated[float, Choices(1e-4, 1e-3, 1e-2)] = 1e-2
        """Adagrad's step size of the item table. The published 1e-4, and 1e-3 for Φ, are for tables that a VBPR has
        trained; with them, tables that start from 0.01-normal entries hardly move. So all three begin with P's."""
        projection_lr: Annotated[float, Choices(1e-3, 1e-2, 1e-1)] = 1e-2
        """Adagrad's step size of Φ; see item_lr."""
        batch_size: int = 512
        """Training rows in a batch; the last batch of an epoch may be smaller."""
        epsilon: Annotated[float, Choices(0.05, 0.1, 0.5, 1.0)] = 0.1
        """ε, length of an item's perturbation."""
        adversary: Annotated[float, Choices(0.1, 1.0, 10.0)] = 1.0
        """λ, weight of the loss under perturbation."""
        plain_epochs: Annotated[int, Choices(0, 5, 20)] = 0
        """Epochs trained without the adversary before it enters. The authors start from a trained VBPR; the default
        departs from that: the adversary is there from the first step."""
        user_reg: Annotated[float, Choices(1e-3, 1e-2, 1e-1)] = 1e-1
        """Weight of Σ‖p_u‖² over the batch's rows."""
        item_reg: Annotated[float, Choices(1e-4, 1e-3, 1e-2)] = 1e-3
        """Weight of Σ‖q_i + Φ f_i‖² over the batch's positives and negatives."""
        projection_reg: float = 0.0
        """Weight of ‖Φ‖²."""
        content: Content = "all"
        """`all`: every modality, as `vbpr` reads; `image`: the image alone, where there is one."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.users = table(self.n_users, config.dim, context.dtype, init=small_normal)
        self.items = table(self.n_items, config.dim, context.dtype, init=small_normal)
        self.register_buffer("features", visual_features(context, config.content, scaled=True), persistent=False)
        self.projection = table(self.features.shape[1], config.dim, context.dtype, init=small_normal)
        self.adversarial = config.plain_epochs == 0

    features: Tensor

    def groups(self) -> Mapping[str, Group]:
        """Returns Adagrad over everything, with a step size for each of the three tables."""
        config = self.config
        parameters = (self.users, self.items, self.projection)
        rates = (config.lr, config.item_lr, config.projection_lr)
        return {"": Group(parameters, config.lr, weight_decay=config.weight_decay, rates=rates, adagrad=ACCUMULATOR)}

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Lets the adversary enter after `plain_epochs`."""
        self.adversarial = epoch > self.config.plain_epochs

    def represent(self) -> Representation:
        """Returns the user table and q_i + Φ f_i."""
        return Representation(self.users, self.item_vectors(self.features, self.items))

    def item_vectors(self, features: Tensor, items: Tensor) -> Tensor:
        """Returns q + Φ f, (n, d), of (n, D) features and the ID vectors of the same items."""
        return add_content(items, self.adapted(features @ self.projection, items))

    def perturbation(self, ranking: Tensor, features: Tensor) -> Tensor:
        """Returns Δ, (n, D): ε times the direction in which each item's features raise the loss most."""
        (gradient,) = torch.autograd.grad(ranking, features, retain_graph=True)
        return self.config.epsilon * functional.normalize(gradient, dim=1)

    def loss(self, batch: PairBatch) -> Loss:
        """Returns Σ softplus(s⁻ − s⁺) + λ · the same under Δ + the regularisers."""
        config = self.config
        rows, places = torch.cat([batch.pos, batch.neg]).unique(return_inverse=True)
        user, ids, features = take(self.users, batch.users), take(self.items, rows), take(self.features, rows)
        features.requires_grad_(self.adversarial)
        pos, neg = take(self.item_vectors(features, ids), places).chunk(2)
        ranking = ranking_loss(user, pos, neg)
        reg = config.user_reg * user.square().sum() + config.item_reg * (pos.square().sum() + neg.square().sum())
        reg = reg + config.projection_reg * self.projection.square().sum()
        if not self.adversarial:
            return Loss(ranking + reg, {"bpr": ranking, "reg": reg})
        moved = features.detach() + self.perturbation(ranking, features)
        adversarial = ranking_loss(user, *take(self.item_vectors(moved, ids), places).chunk(2))
        parts = {"bpr": ranking, "adversarial": adversarial, "reg": reg}
        return Loss(ranking + config.adversary * adversarial + reg, parts)


def ranking_loss(users: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """Returns Σ softplus(s⁻ − s⁺) over the rows of three (B, d) tensors."""
    return functional.softplus(pair_scores(users, neg) - pair_scores(users, pos)).sum()


METHOD = AMR
