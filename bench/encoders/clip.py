"""A pretrained CLIP from a folder or from the local Hugging Face cache."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.encoders.base import ImageTextEncoder
from bench.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.methods.generator import Prompts


class CLIP(ImageTextEncoder):
    """A pretrained CLIP with its own tokens; captions longer than it can read are cut.

    Args:
        model: A `transformers.CLIPModel`.
        tokenizer: Its tokenizer.
        identity: See `ImageTextEncoder`.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, identity: str) -> None:
        super().__init__(model, identity=identity, stored=False)
        self.tokenizer = tokenizer

    def tokens(self, prompts: Prompts) -> dict[str, Tensor]:
        """Returns ids and mask of the captions as written."""
        longest = self.settings.text_config.max_position_embeddings
        encoded = self.tokenizer(
            list(prompts.texts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        device = self.tower.mean.device
        return {name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}


def load_clip(checkpoint: str, dtype: torch.dtype) -> CLIP:
    """Loads a CLIP; nothing is downloaded and only `safetensors` files are read.

    Args:
        checkpoint: Folder, or id of a model in the local Hugging Face cache.
        dtype: Floating type.

    Raises:
        UserError: There is no such model, it is not a CLIP, or files are missing or damaged.
    """
    # Imported here: `transformers` takes seconds, which a listing of methods should not.
    from transformers import AutoConfig, AutoTokenizer, CLIPModel

    try:
        kind = AutoConfig.from_pretrained(checkpoint, local_files_only=True).model_type
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder {checkpoint!r} is neither `tiny-SEED`, nor a folder with a config.json, nor in the local Hugging "
            "Face cache.",
            hint="Give the path of a downloaded CLIP, get a hub model first (`hf download ORGANISATION/MODEL`), or "
            "take `tiny-1`, which is trained on the data set itself.",
        ) from error
    if kind != "clip":
        raise UserError(f"encoder {checkpoint!r} holds a {kind!r} model; images and captions need a 'clip'.")
    cls: Any = CLIPModel
    try:
        model, info = cls.from_pretrained(
            checkpoint, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"encoder {checkpoint!r} cannot be loaded: {error}",
            hint="It needs a model.safetensors that fits its config.json, and the tokenizer's files.",
        ) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise UserError(f"encoder {checkpoint!r} lacks {len(missing)} weights, e.g. {missing[0]!r}.")
    identity = f"{Path(checkpoint).name}@{weights_digest(model)[:8]}"
    return CLIP(model.to(dtype=dtype), tokenizer, identity=identity)


def weights_digest(model: nn.Module) -> str:
    """Returns the sha256 of a model's weights, whatever its files are called."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # numpy lacks bfloat16; doubles hold every floating type exactly.
        digest.update(tensor.detach().cpu().double().contiguous().numpy().data)
    return digest.hexdigest()
