"""StoryImager (Tao et al., ECCV 2024, arXiv 2404.05979)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field

from bench.methods.base import Context, Loss
from bench.methods.generator import StoryGenerator
from bench.methods.layers.frozen import FrozenLeftOut
from bench.methods.layers.story_attention import adapt, adapter_parameters
from bench.methods.layers.story_checkpoint import StableDiffusionParts
from bench.methods.layers.story_context import ContextExtractor
from bench.methods.layers.story_parts import PixelParts
from bench.methods.layers.storyboard import MaskBank, Order, storyboard
from bench.methods.layers.unet import ImageDiffusionConfig, draw_noise, guided, resized

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from bench.methods.generator import StoryBatch, StoryPrompts


class StoryImager(FrozenLeftOut, StoryGenerator):
    """All frames of a story at once, as one picture, with any of them given.

    RECONSTRUCTED from the paper's figures and abstract: the authors' repository holds no code.

        z_t = M (√ᾱ_t z_0 + √(1 − ᾱ_t) ε) + (1 − M) z_0        masked noising of the tiled frames
        [C ; p] = Context-FE(words of all captions, M)
        ẑ = U-Net(z_t + M p, t ; FS-CAM(words, C))
        L = ‖M (ẑ − z)‖² / |M|                                  z: clean picture or noise, see `prediction`

    M is 1 in the cells of frames to be drawn, drawn from a bank of masks in training. Every cross-attention is FS-CAM:
    a cell sees its own caption through one set of adapters, the whole board the global-context tokens C through
    another. Self-attention sees the whole board. In sampling, known cells are put back before each step, and given
    frames are returned as they came. That p is added in target cells only is RECONSTRUCTED too.

    Without `checkpoint` the U-Net starts from nothing, so it is trained together with adapters and Context-FE, and
    pixels take the place of latents. With one, its U-Net, autoencoder and text encoder are frozen and not kept among
    this method's weights. An autoencoder reads the whole board at once, so the latent of a given cell carries a trace
    of its neighbours: of the true ones in training, of blank ones in sampling; how the authors went about that is not
    known. The paper's own settings are not known; for Stable Diffusion 1.5 or 2.1 take rank 16, 8
    queries, 16 story tokens, `lr` 1e-4, batch 8, guidance 6 and 50 steps. New names of characters get no tokens of
    their own here.
    """

    class Config(ImageDiffusionConfig):
        """Settings of `storyimager`.

        With a checkpoint, `channels`, `width`, `text_layers`, `words` and `prediction` are the checkpoint's.
        """

        checkpoint: str | None = None
        """Stable Diffusion folder (layout of `diffusers`), or its id in the local Hugging Face cache."""
        rows: int | None = Field(default=None, ge=1)
        """Rows of the storyboard; None chooses a grid close to a square (2 x 2 for 4 frames, 2 x 3 for 5)."""
        columns: int | None = Field(default=None, ge=1)
        """Columns of the storyboard."""
        order: Order = "columns"
        """Whether frames fill the board by `rows`, or by `columns` as in the paper's figure."""
        frame_side: int | None = Field(default=None, ge=1)
        """Pixels a frame is drawn at, then resized; None takes the data's up to 16, or the checkpoint's."""
        rank: Annotated[int, Field(ge=1)] = 4
        """Rank of the adapters."""
        queries: Annotated[int, Field(ge=1)] = 2
        """Context queries of a frame."""
        story_tokens: Annotated[int, Field(ge=1)] = 4
        """Global-context tokens."""
        context_layers: Annotated[int, Field(ge=1)] = 2
        """Transformer layers of each part of Context-FE."""

    config: Config

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        self.board = storyboard(
            self.data.train.frames.shape[1],  # type: ignore[union-attr]
            rows=config.rows,
            columns=config.columns,
            order=config.order,
        )
        self.masks = MaskBank.of(self.board.frames)
        self.parts: Any
        if config.checkpoint is None:
            self.parts = PixelParts(config, context, config.frame_side)
        else:
            self.parts = StableDiffusionParts(config.checkpoint, self.board, context.dtype, config.frame_side)
            self.encoders = frozenset({self.parts.identity})
        adapt(self.parts.unet, self.board, rank=config.rank, story_tokens=config.story_tokens)
        for weight in adapter_parameters(self.parts.unet):
            weight.requires_grad_(True)
        self.story_context = ContextExtractor(
            self.parts.width,
            self.board,
            self.parts.frame.cell,
            queries=config.queries,
            story_tokens=config.story_tokens,
            layers=config.context_layers,
            heads=config.heads,
            dtype=context.dtype,
        )

    def loss(self, batch: StoryBatch) -> Loss:
        """Returns the masked loss of a batch, under masks, steps and noise from the global stream."""
        clean = self.latents(batch.frames)
        count, device = len(clean), clean.device
        given = self.masks.draw(count, device)
        drop = torch.rand(count, device=device) < self.config.drop_captions
        diffusion, noise = self.parts.diffusion, torch.randn_like(clean)
        t = diffusion.draw_steps(count, device)
        target = self.target_cells(given)
        noisy = torch.where(target, diffusion.noised(clean, noise, t), clean)
        answer = self.predictor(batch.captions, given, drop)(noisy, t)
        wanted = diffusion.target(clean, noise, t)
        errors = (answer - wanted).square() * target
        return Loss(errors.sum() / (target.sum() * clean.shape[1]))

    def complete(self, frames: Tensor, given: Tensor, captions: StoryPrompts, generator: torch.Generator) -> Tensor:
        """Draws the frames that are not given, all at once; all randomness comes from `generator`."""
        known = self.latents(frames)
        target = self.target_cells(given)
        drop = torch.zeros(len(frames), dtype=torch.bool, device=given.device)
        shown, hidden = self.predictor(captions, given, drop), self.predictor(captions, given, ~drop)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            return guided(lambda with_captions: (shown if with_captions else hidden)(z, t), self.config.guidance)

        latents = self.parts.diffusion.walk(
            predict,
            draw_noise(known.shape, generator, known),
            steps=self.config.sampling_steps,
            pin=lambda z: torch.where(target, z, known),
        )
        drawn = self.board.untile(self.parts.decode(latents)).clamp(-1.0, 1.0)
        made = resized(drawn.flatten(0, 1), self.side).view(frames.shape).to(frames.dtype)
        return torch.where(given[:, :, None, None, None], frames, made)

    def latents(self, frames: Tensor) -> Tensor:
        """Returns z_0, (B, C, rows · h, columns · w), of (B, F, 3, side, side) frames."""
        like = self.story_context.asked
        small = resized(frames.flatten(0, 1).to(device=like.device, dtype=like.dtype), self.parts.frame.side)
        latents: Tensor = self.parts.encode(self.board.tile(small.view(*frames.shape[:2], *small.shape[1:])))
        return latents

    def target_cells(self, given: Tensor) -> Tensor:
        """Returns M, (B, 1, rows · h, columns · w) bool, of (B, F) given frames; padded cells are no targets."""
        return self.board.spread(~given, self.parts.frame.cell[1])

    def predictor(self, captions: StoryPrompts, given: Tensor, drop: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the network for some captions and masks, from z_t and (B,) steps to its answer.

        Args:
            captions: Of B stories.
            given: (B, F) bool.
            drop: (B,) bool, stories whose captions are left out.
        """
        words = self.parts.words(captions, drop)
        told = self.story_context(words, given)
        stories = len(given)
        tokens = torch.cat([words.tokens.reshape(stories, -1, words.tokens.shape[-1]), told.tokens], dim=1)
        real = torch.cat([words.real.reshape(stories, -1), words.real.new_ones(told.tokens.shape[:2])], dim=1)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            answer: Tensor = self.parts.unet(
                z + told.prior, t, encoder_hidden_states=tokens, encoder_attention_mask=real
            ).sample
            return answer

        return predict


METHOD = StoryImager
