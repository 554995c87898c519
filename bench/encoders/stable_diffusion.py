"""The parts of a Stable Diffusion checkpoint, from a folder or from the local Hugging Face cache."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bench.data.checkpoints import find_checkpoint
from bench.encoders.frozen import FrozenValues, content_of
from bench.errors import UserError
from bench.methods.layers.unet import Diffusion
from bench.spec.fingerprint import source_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

_WAY = (
    "Give a downloaded Stable Diffusion folder in the layout of `diffusers` (unet, vae, text_encoder, tokenizer, "
    "scheduler; safetensors files), or get one first: `hf download ORGANISATION/MODEL`."
)


class StableDiffusion(nn.Module):
    """Autoencoder, text encoder and U-Net of Stable Diffusion; nothing is downloaded.

    All are frozen and in eval mode, until a method lets one learn. What a frozen one makes of a text or of a picture is
    kept in the cache, under the content of the checkpoint and of what it saw; see `FrozenValues`.

    Args:
        checkpoint: Folder with `unet`, `vae`, `text_encoder`, `tokenizer` and `scheduler`, or an id in the local
            Hugging Face cache.
        dtype: Floating type.

    Attributes:
        identity: What it is called in a method's `encoders`: its name, and the beginning of the digest of its content.
        width: Of a text's tokens.
        shrinks: Pixels along a side for each place of a latent.
        step: Pixels that a picture's side must be a multiple of.

    Raises:
        UserError: There is no such checkpoint, or a part of it is missing, damaged or lacks weights.
        DataError: A file cannot be read, or the cache cannot be written.
    """

    def __init__(self, checkpoint: str, dtype: torch.dtype) -> None:
        super().__init__()
        # Imported here: both take seconds, which a listing of methods should not.
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        found = find_checkpoint(checkpoint)
        self.identity = found.name
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
        self.shrinks: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.step: int = self.shrinks * 2 ** (len(self.unet.config.block_out_channels) - 1)
        code = source_digest("bench.encoders.stable_diffusion")
        self._seen = FrozenValues(f"stable-diffusion-{found.digest[:24]}", f"{found.digest} {dtype} {code}")

    def train(self, mode: bool = True) -> StableDiffusion:
        """Does nothing: frozen parts stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the scaled mode of the autoencoder's latents of (B, 3, h, w) pictures in [-1, 1]."""

        def latents(rows: Tensor) -> Tensor:
            mode: Tensor = self.vae.encode(rows).latent_dist.mode() * self.vae.config.scaling_factor
            return mode

        if _learns(self.vae) or pictures.is_meta:
            return latents(pictures)
        contents = [b"latent " + content_of(row) for row in pictures]
        return self._seen.of(contents, lambda row: latents(pictures[row : row + 1])[0], pictures.device)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns (B, 3, h, w) pictures of scaled latents."""
        pictures: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return pictures

    def states(self, texts: Sequence[str]) -> Tensor:
        """Returns (B, L, width) states of texts as Stable Diffusion reads them: padded to the longest it can, or cut.

        The gradient reaches the text encoder where it learns.
        """

        def read(some: Sequence[str]) -> Tensor:
            longest = self.text.config.max_position_embeddings
            ids = self.tokenizer(
                list(some), padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
            ).input_ids
            states: Tensor = self.text(input_ids=ids.to(self.text.device)).last_hidden_state
            return states

        if _learns(self.text) or self.text.device.type == "meta":
            return read(texts)
        contents = [b"text " + text.encode() for text in texts]
        return self._seen.of(contents, lambda row: read([texts[row]])[0], self.text.device)


def _learns(part: nn.Module) -> bool:
    return any(weight.requires_grad for weight in part.parameters())


def _loaded(cls: Any, checkpoint: str, part: str, *, safe: bool = False) -> Any:
    """Loads one part of a checkpoint; `safe` is for parts with weights, of which none may be missing."""
    options = {"use_safetensors": True, "output_loading_info": True} if safe else {}
    folder = Path(checkpoint)
    try:
        if folder.is_dir() and not (folder / part).is_dir():
            raise OSError(f"there is no folder {part!r} in it")
        found = cls.from_pretrained(checkpoint, subfolder=part, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        # The first line of a list of weights that do not fit names none of them.
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UserError(f"the {part} of checkpoint {checkpoint!r} cannot be loaded: {reason}", hint=_WAY) from error
    if part == "tokenizer" and len(found) <= len(found.all_special_ids):
        raise UserError(f"the tokenizer of checkpoint {checkpoint!r} has no vocabulary.", hint=_WAY)
    if not safe:
        return found
    model, info = found
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(
            f"the {part} of checkpoint {checkpoint!r} lacks {len(missing)} weights, e.g. {missing[0]!r}.", hint=_WAY
        )
    return model
