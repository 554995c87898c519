"""CIERec: cross-modal content inference and feature enrichment (Ma et al., IJCNN 2023, arXiv 2307.02761)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from bench.methods.base import Loss, Needs, RecommenderAdapter
from bench.methods.layers.embedding import EmbeddingRecommender, Representation, table, take
from bench.methods.layers.visual import Content, VisualRecommender, trained_items, visual_features
from bench.methods.recommendation.bpr import BPR
from bench.methods.recommendation.vbpr import VBPR
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.annotated import AnnotatedPairBatch, ItemWords
    from bench.methods.base import Context, Method

LARGEST_WEIGHT = 10.0
"""A word's positives weigh as much as its negatives, but at most this."""


class CIERec(RecommenderAdapter, EmbeddingRecommender):
    """Enriches the item vector of a visually-aware backbone by the image and by words inferred from the image.

    RECONSTRUCTED: of the paper, the abstract alone was read. Known from it: image annotations are privileged
    information that guides a map from visual to semantic space in training; the item is the fusion of collaborative,
    visual and inferred representations; it plugs into several visually-aware backbones. Every formula below is ours.

    1. Visual map: v_i = W₂ ReLU(W₁ f_i). 2. Inference: s_i = T₂ ReLU(T₁ v_i), annotation head â_i = σ(C s_i), and
    L_inf = BCE(â_i, a_i) + η (1 − cos(s_i, sg(t_i))) over the annotated items of a batch, a word's positives weighing
    min(10, negatives / positives). The teacher t_i is the mean of the vectors of the item's words; these are the rows
    of C, which the BCE trains (sg would leave a table of their own as it starts). 3. Enrichment of q_i by `enrich`.
    4. The enriched vector stands where the backbone has q_i: its score, loss and regulariser are its own; no item bias,
    which the backbones lack too. 5. Cold items: q_i = 0 without a training row, and in training with probability
    `id_dropout` (an addition of ours, 0 switches it off). L = L_backbone + μ L_inf + λ‖Θ‖², Θ the weights of W, T and
    the gate; beside a backbone whose loss is a sum over the batch, both terms are multiplied by the batch's rows.

    Features are divided by their mean length over trained items. `score` reads features and tables alone: annotations
    reach `loss` with the batch and are kept nowhere. With μ = 0 the model is the visual-only ablation.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"cold_start"})
    needs: ClassVar[Needs] = Needs(modalities=frozenset({"annotations"}), at_least=1)

    class Config(MethodConfig):
        """Settings of `cierec`; the wrapped method keeps its own."""

        enrich: Annotated[Literal["sum", "gate", "concat"], Choices("sum", "gate", "concat")] = "sum"
        """`sum`: q + λ_v v + λ_s s. `gate`: softmax weights of q, v and s from a Linear on [q; v; s]. `concat`:
        [q; v; s] against a user vector three times as wide."""
        visual: Annotated[float, Choices(0.1, 0.5, 1.0)] = 1.0
        """λ_v of `sum`."""
        semantic: Annotated[float, Choices(0.1, 0.5, 1.0)] = 1.0
        """λ_s of `sum`."""
        inference: Annotated[float, Choices(0.01, 0.1, 1.0), Field(ge=0)] = 0.1
        """μ, weight of L_inf; 0 leaves the annotations unread."""
        teacher: Annotated[float, Choices(0.0, 0.1, 1.0), Field(ge=0)] = 0.1
        """η, weight of the cosine to the teacher within L_inf."""
        id_dropout: Annotated[float, Choices(0.0, 0.2, 0.35, 0.5), Field(ge=0, lt=1)] = 0.35
        """Probability that an item's q is 0 in a training step."""
        reg: Annotated[float, Choices(0.0, 1e-5, 1e-4, 1e-3), Field(ge=0)] = 1e-5
        """λ, weight of the squares of the adapter's weights."""
        hidden: int = 128
        """Width of the visual map's hidden layer."""
        content: Content = "image"
        """`image`: f is the image, or everything where there is none; `all`: every modality."""
        enabled: bool = True
        """False leaves the bare method."""

    features: Tensor
    warm: Tensor
    positive_weight: Tensor
    wrapped: EmbeddingRecommender

    def __init__(self, config: Config, context: Context, wrapped: EmbeddingRecommender) -> None:
        super().__init__(config, context, wrapped)
        self.config = config
        if self.compatible(type(wrapped)) is not None:
            raise TypeError(f"cierec cannot wrap {type(wrapped).__name__}: {self.compatible(type(wrapped))}")
        if not config.enabled:
            return
        features, warm = visual_features(context, config.content), trained_items(context)
        length = features[warm].norm(dim=1).mean().clamp_min(torch.finfo(features.dtype).tiny)
        self.register_buffer("features", features / length, persistent=False)
        self.register_buffer("warm", warm, persistent=False)
        dim, dtype = self._items().shape[1], context.dtype
        self.visual = _two_layers(features.shape[1], config.hidden, dim, dtype)
        self.inferred = _two_layers(dim, dim, dim, dtype)
        if config.enrich == "gate":
            self.gate = _linear(3 * dim, 3, dtype)
        if config.enrich == "concat":
            self.tastes = table(self.n_users, 2 * dim, dtype)
        # Drawn last, so that data without annotations gives the other weights the same start.
        self.head: nn.Linear | None = None
        annotations = getattr(context.data, "annotations", None)
        if annotations is not None and annotations.vocabulary:
            self.head = _linear(dim, len(annotations.vocabulary), dtype)
            positives = torch.from_numpy(annotations.counts).to(dtype).clamp_min(1)
            negatives = (float(annotations.known.sum()) - positives).clamp_min(1)
            weight = (negatives / positives).clamp(max=LARGEST_WEIGHT)
            self.register_buffer("positive_weight", weight, persistent=False)
            # At a word's weighted odds: from 0, s would first turn away from all words, as most items lack them.
            with torch.no_grad():
                self.head.bias.copy_((weight * positives / negatives).log())

    @classmethod
    def compatible(cls, method: type[Method]) -> str | None:
        """Returns why `method` cannot be wrapped, or None: its loss must read the batch's item ID vectors alone."""
        if issubclass(method, (BPR, VBPR, VisualRecommender)):
            return None
        return "its ranking loss reads more of the item table than the batch's rows"

    def loss(self, batch: AnnotatedPairBatch) -> Loss:
        """Returns the wrapped method's loss on enriched items + μ L_inf + λ‖Θ‖²."""
        if not self.config.enabled:
            return self.wrapped.loss(batch)
        rows = torch.cat([batch.pos, batch.neg]).unique()
        visual, semantic = self.content(take(self.features, rows))
        enriched = self.enrich(take(self._items(), rows) * self._kept(rows), visual, semantic)
        items = enriched.new_zeros(self.n_items, enriched.shape[1]).index_copy(0, rows, enriched)
        base: Loss = self._within(_Loss(self.wrapped), items, batch)
        parts, total = dict(base.parts), base.total
        scale = batch.users.numel() if getattr(self.wrapped, "summed", False) else 1
        words = batch.annotations
        if self.head is not None and self.config.inference and words is not None and words.items.numel():
            parts |= self.inference(take(semantic, torch.searchsorted(rows, words.items)), words)
            total = total + self.config.inference * scale * parts["inference"]
        squares = [weight.square().sum() for weight in self._regularised()]
        parts["adapter_reg"] = torch.stack(squares).sum()
        return Loss(total + self.config.reg * scale * parts["adapter_reg"], parts)

    def content(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns v and s, (n, d) each, of (n, D) features."""
        visual = self.visual(features)
        return visual, self.inferred(visual)

    def enrich(self, ids: Tensor, visual: Tensor, semantic: Tensor) -> Tensor:
        """Returns q̃, (n, d) or with `concat` (n, 3d), of (n, d) vectors q, v and s."""
        config = self.config
        if config.enrich == "sum":
            return ids + config.visual * visual + config.semantic * semantic
        joined = torch.cat([ids, visual, semantic], dim=1)
        if config.enrich == "concat":
            return joined
        weights = torch.softmax(self.gate(joined), dim=1)
        return weights[:, :1] * ids + weights[:, 1:2] * visual + weights[:, 2:] * semantic

    def inference(self, semantic: Tensor, annotations: ItemWords) -> dict[str, Tensor]:
        """Returns L_inf as `inference`, and its parts `annotation` (BCE) and `teacher` (1 − cosine).

        Args:
            semantic: (m, d) s of the annotated items.
            annotations: Their words.
        """
        assert self.head is not None  # noqa: S101 - data with annotations has a head
        words = annotations.words.to(semantic.dtype)
        weight = self.positive_weight
        bce = functional.binary_cross_entropy_with_logits(self.head(semantic), words, pos_weight=weight)
        taught = (words @ self.head.weight / words.sum(1, keepdim=True)).detach()
        distance = (1.0 - functional.cosine_similarity(semantic, taught, dim=1)).mean()
        return {"inference": bce + self.config.teacher * distance, "annotation": bce, "teacher": distance}

    def represent(self) -> Representation:
        """Returns the wrapped method's representations with enriched items, q = 0 for those without a training row."""
        if not self.config.enabled:
            return self.wrapped.represent()
        items = self.enrich(self._items() * self.warm[:, None], *self.content(self.features))
        found: Representation = self._within(_Represent(self.wrapped), items)
        return found

    def steps(self, batch: Any) -> Any:
        """Yields one step: no method that can be wrapped alternates, though its optimiser may be its own."""
        yield "", self.loss(batch)

    begin_scoring = EmbeddingRecommender.begin_scoring
    score = EmbeddingRecommender.score

    def _items(self) -> Tensor:
        return self.wrapped.get_parameter("items")

    def _kept(self, rows: Tensor) -> Tensor:
        if not self.training or not self.config.id_dropout:
            return self._items().new_ones(1, 1)
        # Drawn on the CPU: a run then drops the same items on every device.
        return (torch.rand(rows.numel(), 1) >= self.config.id_dropout).to(self._items())

    def _regularised(self) -> list[Tensor]:
        parts = [self.visual, self.inferred, *([self.gate] if self.config.enrich == "gate" else [])]
        return [weight for part in parts for weight in part.parameters()]

    def _within(self, call: nn.Module, items: Tensor, *arguments: object) -> Any:
        """Calls the wrapped method with other vectors in the place of its tables."""
        tables = {"method.items": items}
        if self.config.enrich == "concat":
            users, dim = self.wrapped.get_parameter("users"), self._items().shape[1]
            # VBPR's users have a part of their own for its content, which follows the item's columns.
            tables["method.users"] = torch.cat([users[:, :dim], self.tastes, users[:, dim:]], dim=1)
        return functional_call(call, tables, arguments)


class _Loss(nn.Module):
    """`loss` as the call of a module, which is what `functional_call` calls."""

    def __init__(self, method: EmbeddingRecommender) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: object) -> Loss:
        return self.method.loss(batch)


class _Represent(_Loss):
    """`represent` as the call of a module."""

    def forward(self) -> Representation:  # type: ignore[override]
        return self.method.represent()


def _linear(inputs: int, outputs: int, dtype: torch.dtype) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, dtype=dtype)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _two_layers(inputs: int, hidden: int, outputs: int, dtype: torch.dtype) -> nn.Sequential:
    return nn.Sequential(_linear(inputs, hidden, dtype), nn.ReLU(), _linear(hidden, outputs, dtype))


METHOD = CIERec
