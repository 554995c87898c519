"""MealRec: multi-granularity diffusion for micro-video recommendation (arXiv 2603.01926, 2026)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.base import GradientConfig, Loss, Needs
from bench.methods.layers.frames import FrameContent, RefinedFrames
from bench.methods.layers.sequences import RecurrentEncoder, TransformerEncoder, cut, full_cross_entropy
from bench.methods.layers.vector_diffusion import Denoiser, VectorDiffusion
from bench.methods.sequential_recommender import MAX_LENGTH, PADDING, SequenceBatch, SequentialRecommender
from bench.spec.space import Choices

if TYPE_CHECKING:
    from bench.methods.base import Context


FRAME_ORDER_SEED = 0
"""Of the random stream that `frame_order: shuffled` draws from; the same in every run."""


def shuffled_within(frames: Tensor) -> Tensor:
    """Returns (I, m, D) frames with each item's m frames in an order of its own, drawn once and for all."""
    generator = torch.Generator().manual_seed(FRAME_ORDER_SEED)
    order = torch.rand(frames.shape[:2], generator=generator, dtype=torch.float64).argsort(dim=1)
    return torch.take_along_dim(frames, order[:, :, None], dim=1)


class MealRec(SequentialRecommender):
    """Diffusion within a video (TCD) refines its content, diffusion over the history (NPD) refines the preference.

    RECONSTRUCTED: only the abstract was at hand. TCD, NPD and the loss follow the reading below; its switches and
    weights are fields, the rest of it is fixed and listed last.

    TCD (see `FrameContent`): the frames of item i give clean content v_i⁰ and a temporal context g_i; the content is
    noised to v_i^t and D₁(v_i^t, t, g_i, Q_i) predicts it back, L_TCD = mean ‖v̂_i⁰ − v_i⁰‖². D₁ estimates the velocity
    of Salimans and Ho (2022, arXiv 2202.00512, appendix D): v̂_i⁰ = √ᾱ_t v_i^t − √(1 − ᾱ_t) D₁. An item's vector is
    z_i = LN(Q_i + λ_c · v̂_i⁰), in training as at test with v̂_i⁰ refined from the clean content in S steps.

    NPD: the backbone reads z over the history and ends in state h. The target's vector y⁰ = sg(z_target) is noised to
    y^t and D₂([y^t; h]) predicts it back without being told t (`condition_on_t` tells it, to test that claim),
    L_NPD = mean ‖ŷ⁰ − y⁰‖². The observed preference is itself such a corrupted state: the prediction is
    h̃ = h + ρ · D₂([h; h]), one blind pass.

    Loss = cross-entropy over all items of h̃ · z_j + α L_TCD + β L_NPD.

    Two of these choices were made on the validation users of the generated micro-videos, where a D₁ that predicts v_i⁰
    itself, or item vectors from content at a random step, lose what the telling frames say.

    `frame_order: shuffled` is an ablation of this project, not of the paper: each item's frames are put in an order of
    its own, fixed for training and scoring and for all runs, so that only what their order tells is lost.

    Fixed choices: D₁ and D₂ are MLPs of three layers with SiLU, 2 d wide, on what they are told side by side (and a
    sinusoid of t where they are told it); β rises linearly, by 1000 / T times 1e-4 to 0.02; the context g_i comes from
    a GRU of one layer with learned positions; the collaborative signal c_i is Q_i alone, not the user's state, so that
    content is refined once for all users; D₁'s training draws one t for each item and step; guidance dropout hides g_i
    and Q_i together; NPD starts from h, not from noise, takes one pass and, under `condition_on_t`, is told t = 1
    there; L_TCD does not detach v⁰ and leaves out items without frames; Q starts as N(0, 0.02) and LN with a gain of
    d^-½.
    """

    needs: ClassVar[Needs] = Needs(at_least=1)

    class Config(GradientConfig):
        """Settings of `mealrec`."""

        batch_size: Annotated[int, Choices(256, 512)] = 256
        """Users in a batch."""
        dim: int = 64
        """d, width of item vectors and states."""
        length: int = Field(default=MAX_LENGTH, ge=1, le=MAX_LENGTH)
        """Newest items that are looked at."""
        backbone: Literal["sasrec", "gru4rec"] = "sasrec"
        """What reads the history."""
        blocks: int = 2
        """Blocks of the transformer, or layers of the GRU."""
        heads: int = 2
        """Heads of the transformer."""
        dropout: Annotated[float, Choices(0.2, 0.5)] = 0.5
        """Dropout of the backbone."""
        tcd: bool = True
        """Whether content is refined by diffusion; otherwise the clean content is taken as it is."""
        npd: bool = True
        """Whether the preference is refined by blind denoising."""
        temporal_guidance: bool = True
        """Whether the order of the frames counts; otherwise content is their plain mean and there is no context."""
        frame_order: Literal["given", "shuffled"] = "given"
        """`shuffled` puts the frames of every item in a random order that stays the same; an ablation, see above."""
        condition_on_t: bool = False
        """Whether NPD's denoiser is told the noise level, against the paper's claim."""
        steps: Annotated[int, Choices(10, 50, 100), Field(ge=2)] = 50
        """T, diffusion steps; at least 2."""
        sample_steps: Annotated[int, Choices(1, 5), Field(ge=1)] = 1
        """S, denoising steps of the content at test, from the clean content without added noise (as in DiffRec); at
        most T."""
        content_weight: float = 1.0
        """λ_c."""
        sharpness: float = 1.0
        """κ, how strongly salient frames outweigh the others."""
        guidance_dropout: float = Field(default=0.1, ge=0, le=1)
        """Share of items whose context and collaborative vector are hidden from D₁ in training."""
        guidance: Annotated[float, Choices(0.0, 1.0, 2.0)] = 0.0
        """w of classifier-free guidance at test: (1 + w) · with context − w · without; 0 asks once."""
        alpha: Annotated[float, Choices(0.01, 0.1, 1.0)] = 0.1
        """α, weight of L_TCD."""
        beta: Annotated[float, Choices(0.01, 0.1, 1.0)] = 0.1
        """β, weight of L_NPD."""
        rho: Annotated[float, Choices(0.1, 0.5, 1.0)] = 0.5
        """ρ, weight of the denoised preference."""

        @model_validator(mode="after")
        def _check(self) -> MealRec.Config:
            if self.sample_steps > self.steps:
                raise ValueError(f"sample_steps must be at most steps ({self.steps}), but is {self.sample_steps}")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.items = nn.Embedding(self.n_items + 1, config.dim, padding_idx=0)
        nn.init.normal_(self.items.weight, std=0.02)
        frames = {name: modality.features for name, modality in self.data.modalities.items()}
        self.content = FrameContent(
            frames, config.dim, temporal=config.temporal_guidance, sharpness=config.sharpness, dtype=context.dtype
        )
        if config.frame_order == "shuffled":
            self.content.frames = shuffled_within(self.content.frames)
        self.norm = nn.LayerNorm(config.dim)
        # With a gain of 1 the first logits are √d wide and the first epochs only shrink them.
        nn.init.constant_(self.norm.weight, config.dim**-0.5)
        self.diffusion = VectorDiffusion(config.steps, context.dtype)
        self.refine = Denoiser(config.dim, 2 * config.dim, 2 * config.dim, context.dtype)
        time = 32 if config.condition_on_t else 0
        self.prefer = Denoiser(config.dim, config.dim, 2 * config.dim, context.dtype, time=time)
        self.encoder: nn.Module = (
            TransformerEncoder(
                config.dim,
                config.length,
                blocks=config.blocks,
                heads=config.heads,
                inner=4 * config.dim,
                dropout=config.dropout,
                attention_dropout=config.dropout,
            )
            if config.backbone == "sasrec"
            else RecurrentEncoder(config.dim, 2 * config.dim, layers=config.blocks, dropout=config.dropout)
        )
        self.to(context.dtype)
        self.scoring: Tensor | None = None

    def vectors(self, found: RefinedFrames) -> Tensor:
        """Returns the (I + 1, d) token vectors z; the padding row is zero."""
        items = self.norm(self.items.weight[1:] + self.config.content_weight * found.content)
        return functional.pad(items, (0, 0, 1, 0))

    def refined(self, *, learning: bool) -> tuple[RefinedFrames, Tensor]:
        """Returns the refined content of all items, and L_TCD if `learning`, else 0."""
        clean, context = self.content()
        nothing = clean.new_zeros(())
        if not self.config.tcd:
            return RefinedFrames(clean, context), nothing
        signal = torch.cat([context, self.items.weight[1:]], dim=1)
        found = RefinedFrames(self._denoised(clean, signal), context)
        return found, self._content_loss(clean, signal) if learning else nothing

    def _content_loss(self, clean: Tensor, signal: Tensor) -> Tensor:
        t = self.diffusion.draw_steps(len(clean), 0.0, clean.device)
        shown = torch.rand(len(clean), 1, device=clean.device, dtype=clean.dtype) >= self.config.guidance_dropout
        found = self._predicted(self.diffusion.noised(clean, t, torch.randn_like(clean)), signal * shown, t)
        weights = self.content.present / self.content.present.sum().clamp(min=1)
        return ((found - clean).square().mean(1) * weights).sum()

    def _denoised(self, clean: Tensor, signal: Tensor) -> Tensor:
        noisy = clean
        for step in range(self.config.sample_steps, 0, -1):
            t = torch.full((len(clean),), step, dtype=torch.int64, device=clean.device)
            found = self._predicted(noisy, signal, t)
            if self.config.guidance:
                blind = self._predicted(noisy, torch.zeros_like(signal), t)
                found = (1.0 + self.config.guidance) * found - self.config.guidance * blind
            noisy = self.diffusion.posterior(found, noisy, t).mean
        return noisy * self.content.present[:, None]

    def _predicted(self, noisy: Tensor, signal: Tensor, t: Tensor) -> Tensor:
        kept = self.diffusion.alpha_bar[t][:, None]
        velocity: Tensor = self.refine(noisy, signal, t)
        return kept.sqrt() * noisy - (1.0 - kept).sqrt() * velocity

    def preference(self, states: Tensor) -> Tensor:
        """Returns h̃ = h + ρ · D₂([h; h]) of (n, d) states."""
        if not self.config.npd:
            return states
        t = torch.ones(len(states), dtype=torch.int64, device=states.device)
        refined: Tensor = states + self.config.rho * self.prefer(states, states, t)
        return refined

    def loss(self, batch: SequenceBatch) -> Loss:
        """Returns cross-entropy + α L_TCD + β L_NPD."""
        config = self.config
        found, content_loss = self.refined(learning=True)
        table = self.vectors(found)
        inputs, targets = cut(batch.inputs, config.length), cut(batch.targets, config.length)
        wanted = targets != PADDING
        states = self.encoder(functional.embedding(inputs, table), inputs)[wanted]
        ranking = full_cross_entropy(self.preference(states), targets[wanted], table, padding=False)
        parts = {"ranking": ranking, "tcd": content_loss}
        total = ranking + config.alpha * content_loss
        if config.npd:
            clean = functional.embedding(targets[wanted], table).detach()
            t = self.diffusion.draw_steps(len(clean), 0.0, clean.device)
            noisy = self.diffusion.noised(clean, t, torch.randn_like(clean))
            parts["npd"] = (self.prefer(noisy, states, t) - clean).square().mean()
            total = total + config.beta * parts["npd"]
        return Loss(total, parts)

    def begin_scoring(self) -> None:
        """Refines the content of all items once."""
        self.scoring = self.vectors(self.refined(learning=False)[0]).detach()

    def score(self, histories: Tensor) -> Tensor:
        """Returns (n, items) inner products h̃ · z_j."""
        if self.scoring is None:
            self.begin_scoring()
        assert self.scoring is not None  # noqa: S101 - set by begin_scoring
        tokens = cut(histories, self.config.length)
        newest = self.encoder(functional.embedding(tokens, self.scoring), tokens)[:, -1]
        return self.preference(newest) @ self.scoring[1:].T


METHOD = MealRec
