"""MARNet: multimodal alignment and reconstruction network (Zheng et al., ICANN 2024, arXiv 2407.18854)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError
from bench.methods.base import Context, Loss, Needs
from bench.methods.classifier import Classifier, ClassifierAdapter
from bench.methods.layers.alignment import alignment_targets, projection, symmetric_info_nce
from bench.methods.layers.image_heads import FeatureClassifier, text_of, total, training_text
from bench.methods.layers.text import TextKind, text_encoder
from bench.methods.layers.vector_diffusion import Denoiser, VectorDiffusion
from bench.spec.config import MethodConfig
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Method
    from bench.methods.classifier import ImageBatch

NOISE_SEED = 0x4D41524E
"""Seed of the noise that every prediction starts from."""


class MARNet(ClassifierAdapter):
    """Embedding matching alignment (EMA) and cross-modal diffusion reconstruction (CDR) over any image classifier.

    RECONSTRUCTED from the abstract and short summaries, with standard InfoNCE and a standard conditional diffusion of
    vectors: the authors published no code, and no loss weight, width, step count or backbone list was at hand. `EMA`
    here is no exponential moving average.

    With x_v the wrapped method's `features`, x_s = text encoder, both switches on:

        u = P_v(x_v),  s = P_s(x_s)                                   P: Linear-ReLU-Linear to d
        L_EMA = ½ [CE(cos(u, s) / τ, T) + CE(cos(s, u) / τ, Tᵀ)]       T: same class, or each image's own text
        s_t = √ᾱ_t sg(LN(x_s)) + √(1 − ᾱ_t) ε,  t in 1..N              forward process
        ŝ_0 = f_θ([s_t ; x_v ; temb(t)])                              reverse process, predicts the clean vector
        L_CDR = |ŝ_0 − sg(LN(x_s))|² + CE(h_r(ŝ_0), y)                |·|²: mean over components
        x_CDR: DDIM from noise, conditioned on x_v; with `head_sees: drawn` ŝ_0 of one random t in training
        logits = h([u ; x_CDR])
        L = CE(logits, y) + λ_1 L_EMA + λ_2 L_CDR + λ_3 CE(h_s(x_s), y)  (+ the wrapped method's auxiliary losses)

    Without `cdr` logits = h(u); without `ema` u stays and L_EMA is left out; with both off the bare method is left,
    bit for bit. Auxiliary losses are kept of a `FeatureClassifier` (the alignment of `clip_align`, say), whose own head
    then rests; of any other classifier `features` alone are used. A linear probe cannot be wrapped: the head here
    trains what the probe is meant to leave alone.

    The text is used in `loss` only. Every prediction starts from the same fixed noise vectors, so it depends on its
    image alone: neither on the batch nor on any random state.
    """

    needs: ClassVar[Needs] = Needs(frozenset({"text"}))

    class Config(MethodConfig):
        """Settings of `marnet`; the wrapped method keeps its own."""

        ema: bool = True
        """Whether images are aligned with texts; off together with `cdr`, the bare method is left."""
        cdr: bool = True
        """Whether the text's vector is reconstructed from the image by diffusion."""
        dim: int = 128
        """d, width of both embeddings; RECONSTRUCTED for small images (512 for large ones)."""
        text: TextKind = "auto"
        """Text encoder: `multi_hot` MLP, `mean` of word vectors, `gru`; `auto` is `multi_hot` for a set of words and
        `gru` for sentences."""
        targets: Literal["auto", "class", "instance"] = "auto"
        """Which texts of the batch an image should agree with: those of its class, or its own alone; `auto` is `class`
        where the text is a function of the class."""
        temperature: Annotated[float, Choices(0.07, 0.1, 0.2), Field(gt=0)] = 0.1
        """τ."""
        align: Annotated[float, Choices(0.1, 0.5, 1.0)] = 0.5
        """λ_1, weight of L_EMA."""
        reconstruct: Annotated[float, Choices(0.5, 1.0, 2.0)] = 1.0
        """λ_2, weight of L_CDR."""
        text_ce: float = 1.0
        """λ_3, weight of the text's own cross-entropy."""
        steps: Annotated[int, Field(ge=2)] = 50
        """N, steps of the forward process; at least 2."""
        hidden: int = 256
        """Width of the denoiser's inner layers."""
        power: Annotated[float, Choices(0.0, 1.0, 3.0), Field(ge=0)] = 1.0
        """Training draws t with density about t^power, because a head that sees hardly noised vectors leans on text
        that is not there in prediction; 0 is uniform."""
        head_sees: Literal["drawn", "sampled"] = "sampled"
        """x_CDR of a training image: ŝ_0 of its one random t, where the head may read text that prediction lacks, or
        what a prediction would give, without gradient. Chosen on Grocery Store's validation images with `resnet`:
        log loss 2.07 when sampled (one seed), 2.18 to 2.42 when drawn (three), 1.99 to 2.07 without MARNet."""
        sampling_steps: Annotated[int, Field(ge=1)] = 10
        """DDIM steps of a prediction; η = 0."""
        samples: Annotated[int, Field(ge=1)] = 1
        """k, predictions of x_CDR that are averaged, each from a noise vector of its own."""
        start: Literal["noise", "image"] = "noise"
        """Where a prediction starts: from pure noise at N, or from LN(u) noised to N / 2."""
        fusion: Annotated[Literal["concat", "sum", "gate"], Choices("concat", "sum", "gate")] = "concat"
        """What h sees: [u ; x_CDR], u + x_CDR, or g ⊙ u + (1 − g) ⊙ x_CDR with g = σ(W [u ; x_CDR])."""
        detach: bool = False
        """Whether the reconstruction sees x_v without gradient."""

    config: Config
    noise: Tensor

    def __init__(self, config: Config, context: Context, wrapped: Classifier) -> None:
        super().__init__(config, context, wrapped)
        self.config = config
        self.width = wrapped.width
        self.enabled = config.ema or config.cdr
        if not self.enabled:
            return
        if getattr(getattr(wrapped, "config", None), "probe", False):
            raise BenchError(
                "marnet cannot wrap a linear probe: its head trains the encoder that `probe: true` leaves alone.",
                hint="Leave `probe` out of the wrapped method, or run it without marnet.",
            )
        dim, dtype, text = config.dim, context.dtype, training_text(context)
        self.by_class = config.targets == "class" or (config.targets == "auto" and text.level == "class")
        self.image_projection = projection(wrapped.width, dim, dtype)
        self.text = text_encoder(text, dim, dtype, kind=config.text)
        self.text_head = nn.Linear(dim, self.n_classes, dtype=dtype)
        if config.ema:
            self.text_projection = projection(dim, dim, dtype)
        if config.cdr:
            self.diffusion = VectorDiffusion(config.steps, dtype)
            self.denoiser = Denoiser(dim, wrapped.width, config.hidden, dtype)
            self.reconstruction_head = nn.Linear(dim, self.n_classes, dtype=dtype)
            if config.fusion == "gate":
                self.gate = nn.Linear(2 * dim, dim, dtype=dtype)
            # A generator of its own: neither the run's seed nor the device changes what predictions start from.
            noise = torch.randn(
                config.samples, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(NOISE_SEED)
            )
            self.register_buffer("noise", noise.to(dtype), persistent=False)
        doubled = config.cdr and config.fusion == "concat"
        self.head = nn.Linear(2 * dim if doubled else dim, self.n_classes, dtype=dtype)

    @classmethod
    def compatible(cls, method: type[Method]) -> str | None:
        """Returns why `method` cannot be wrapped, or None: it must be an image classifier with features."""
        if not issubclass(method, Classifier) or method.adapter:
            return "it is no image classifier"
        return "it exposes no features" if method.features is Classifier.features else None

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, classes) logits of (B, 3, height, width) images in [0, 1], from the images alone."""
        if not self.enabled:
            return self.wrapped.logits(images)
        features = self.wrapped.features(images)
        embedded = self.image_projection(features)
        sampled = self.sample(features, embedded) if self.config.cdr else None
        logits: Tensor = self.head(self.fuse(embedded, sampled))
        return logits

    def loss(self, batch: ImageBatch) -> Loss:
        """Returns L of the class's docstring; its parts are weighted."""
        if not self.enabled:
            return self.wrapped.loss(batch)
        config, wrapped = self.config, self.wrapped
        features = wrapped.features(batch.images)
        embedded, text = self.image_projection(features), self.text(text_of(batch))
        parts: dict[str, Tensor] = {"text_ce": config.text_ce * self._cross_entropy(self.text_head(text), batch.labels)}
        if config.ema:
            targets = alignment_targets(batch, embedded.dtype, by_class=self.by_class)
            aligned = symmetric_info_nce(embedded, self.text_projection(text), targets, config.temperature)
            parts["ema"] = config.align * aligned
        shown = None
        if config.cdr:
            clean = layer_norm(text).detach()
            shown = self.reconstruct(features, clean)
            named = self._cross_entropy(self.reconstruction_head(shown), batch.labels)
            parts["cdr"] = config.reconstruct * (functional.mse_loss(shown, clean) + named)
            if config.head_sees == "sampled":
                with torch.no_grad():
                    shown = self.sample(features, embedded)
        parts["ce"] = self._cross_entropy(self.head(self.fuse(embedded, shown)), batch.labels)
        if isinstance(wrapped, FeatureClassifier):
            parts |= {f"wrapped_{name}": part for name, part in wrapped.auxiliary(features, batch).items()}
        return Loss(total(parts), parts)

    def reconstruct(self, features: Tensor, clean: Tensor) -> Tensor:
        """Returns ŝ_0, (B, d), from x_v and (B, d) clean vectors that are noised to random steps."""
        t = self.diffusion.draw_steps(len(clean), self.config.power, clean.device)
        noisy = self.diffusion.noised(clean, t, torch.randn_like(clean))
        reconstructed: Tensor = self.denoiser(noisy, self._condition(features), t)
        return reconstructed

    def sample(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Returns x_CDR of a prediction, (B, d), from x_v and u: the mean of k DDIM walks.

        Args:
            features: x_v, (B, `width`).
            embedded: u, (B, d); used where walks start from the image.
        """
        config, diffusion = self.config, self.diffusion
        count, k = len(features), config.samples
        noisy = self.noise.repeat(count, 1)
        first = diffusion.steps
        if config.start == "image":
            first = diffusion.steps // 2
            t = torch.full((count * k,), first, dtype=torch.int64, device=noisy.device)
            noisy = diffusion.noised(layer_norm(embedded).repeat_interleave(k, dim=0), t, noisy)
        condition = self._condition(features).repeat_interleave(k, dim=0)
        walked = diffusion.ddim(
            lambda vectors, t: self.denoiser(vectors, condition, t), noisy, start=first, steps=config.sampling_steps
        )
        return walked.view(count, k, -1).mean(1)

    def fuse(self, embedded: Tensor, shown: Tensor | None) -> Tensor:
        """Returns what the head sees, from u and x_CDR (None without `cdr`), both (B, d)."""
        if shown is None:
            return embedded
        if self.config.fusion == "sum":
            return embedded + shown
        both = torch.cat([embedded, shown], dim=1)
        if self.config.fusion == "gate":
            gate = torch.sigmoid(self.gate(both))
            return gate * embedded + (1.0 - gate) * shown
        return both

    def _condition(self, features: Tensor) -> Tensor:
        return features.detach() if self.config.detach else features

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy with the wrapped method's label smoothing, so that the comparison is fair."""
        smoothing = self.wrapped.label_smoothing if isinstance(self.wrapped, FeatureClassifier) else 0.0
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def layer_norm(vectors: Tensor) -> Tensor:
    """Returns LN(x): (B, d) rows with mean 0 and variance 1."""
    return functional.layer_norm(vectors, vectors.shape[1:])


METHOD = MARNet
