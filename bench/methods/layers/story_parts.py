"""What StoryImager is built on: pixels and an untrained U-Net, or the parts of a Stable Diffusion folder."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.layers.captions import Words
from bench.methods.layers.unet import Diffusion, caption_encoder, fitting_side, pixel_unet

if TYPE_CHECKING:
    from bench.methods.base import Context
    from bench.methods.generator import StoryPrompts
    from bench.methods.layers.storyboard import Storyboard
    from bench.methods.layers.unet import ImageDiffusionConfig

LARGEST_FRAME = 16
"""Pixels of a frame that an untrained U-Net learns in minutes on a CPU."""


class Frame(NamedTuple):
    """Sizes of one frame.

    Attributes:
        side: Pixels it is drawn at.
        cell: (channels, height, width) of its latent.
    """

    side: int
    cell: tuple[int, int, int]


class PixelParts(nn.Module):
    """Pixels are the latents; U-Net and words are trained from nothing.

    Args:
        config: Sizes.
        context: Words and floating type.
        side: Pixels of a frame; None takes those of the data up to 16.
    """

    def __init__(self, config: ImageDiffusionConfig, context: Context, side: int | None) -> None:
        super().__init__()
        side = fitting_side(context.data.side, side, len(config.channels), largest=LARGEST_FRAME)
        self.frame = Frame(side, (3, side, side))
        self.width = config.width
        self.diffusion = Diffusion.of_pixels(config.prediction)
        self.unet: Any = pixel_unet(config, context.dtype)
        self.captions = caption_encoder(config, context)

    def encode(self, board: Tensor) -> Tensor:
        """Returns the board itself."""
        return board

    def decode(self, latents: Tensor) -> Tensor:
        """Returns the latents themselves."""
        return latents

    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes (B, F) captions to B · F rows; those of the stories `drop`, (B,) bool, are left out."""
        tokens, lengths = captions.tokens.flatten(0, 1), captions.lengths.flatten()
        hidden = drop.repeat_interleave(captions.tokens.shape[1])
        words: Words = self.captions(*self.captions.left_out(tokens, lengths, hidden))
        return words


class StableDiffusionParts(nn.Module):
    """Frozen autoencoder, text encoder and U-Net of a Stable Diffusion checkpoint; nothing is downloaded.

    Args:
        checkpoint: Folder with `unet`, `vae`, `text_encoder`, `tokenizer` and `scheduler`, or an id in the local
            Hugging Face cache.
        board: Where the frames lie.
        dtype: Floating type.
        side: Pixels of a frame; None divides the checkpoint's own picture among the cells.

    Raises:
        UserError: A part cannot be loaded, or the side does not fit.
    """

    def __init__(self, checkpoint: str, board: Storyboard, dtype: torch.dtype, side: int | None) -> None:
        super().__init__()
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        self.unet: Any = _loaded(UNet2DConditionModel, checkpoint, "unet", safe=True)
        self.vae: Any = _loaded(AutoencoderKL, checkpoint, "vae", safe=True)
        self.text: Any = _loaded(CLIPTextModel, checkpoint, "text_encoder", safe=True)
        self.tokenizer: Any = _loaded(CLIPTokenizer, checkpoint, "tokenizer")
        scheduler = _loaded(DDIMScheduler, checkpoint, "scheduler")
        # A folder may name another scheduler, whose own settings are kept beside; latents have no bounds to clip at.
        known = signature(DDIMScheduler.__init__).parameters
        settings = {name: value for name, value in scheduler.config.items() if name in known}
        self.diffusion = Diffusion(**{**settings, "clip_sample": False})
        self.to(dtype=dtype)
        self.requires_grad_(False)
        self.eval()
        self.width: int = self.text.config.hidden_size
        shrinks = 2 ** (len(self.vae.config.block_out_channels) - 1)
        step = shrinks * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if side is None:
            side = self.unet.config.sample_size * shrinks // max(board.rows, board.columns) // step * step
        if side < step or side % step:
            raise UserError(
                f"checkpoint {checkpoint!r} draws frames whose side is a multiple of {step} pixels, not {side}.",
                hint=f"Set `frame_side` to {max(step, round(side / step) * step)}.",
            )
        self.frame = Frame(side, (self.unet.config.in_channels, side // shrinks, side // shrinks))

    def train(self, mode: bool = True) -> StableDiffusionParts:
        """Does nothing: frozen parts stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, board: Tensor) -> Tensor:
        """Returns the scaled mode of the autoencoder's latents of (B, 3, h, w) boards in [-1, 1]."""
        latents: Tensor = self.vae.encode(board).latent_dist.mode() * self.vae.config.scaling_factor
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Returns (B, 3, h, w) boards."""
        board: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return board

    @torch.no_grad()
    def words(self, captions: StoryPrompts, drop: Tensor) -> Words:
        """Encodes captions as Stable Diffusion does: padded to the longest it reads, and padding is attended to."""
        stories = zip(captions.texts, drop.tolist(), strict=True)
        texts = ["" if left_out else text for story, left_out in stories for text in story]
        ids = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self.text.config.max_position_embeddings,
            return_tensors="pt",
        ).input_ids.to(captions.tokens.device)
        tokens = self.text(input_ids=ids).last_hidden_state
        return Words(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))


def _loaded(cls: Any, checkpoint: str, part: str, *, safe: bool = False) -> Any:
    """Loads one part of a checkpoint."""
    options = {"use_safetensors": True} if safe else {}
    folder = Path(checkpoint)
    missing = folder.is_dir() and not (folder / part).is_dir()
    try:
        if missing:
            raise OSError(f"there is no folder {part!r} in it")
        return cls.from_pretrained(checkpoint, subfolder=part, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(
            f"the {part} of checkpoint {checkpoint!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="Give a downloaded Stable Diffusion folder in the layout of `diffusers` (unet, vae, text_encoder, "
            "tokenizer, scheduler; safetensors files), or get one first: `hf download ORGANISATION/MODEL`.",
        ) from error
