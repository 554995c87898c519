"""Encoders by name, as specs and metrics write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bench.data.generation import GenerationData
    from bench.encoders.base import ImageTextEncoder


def build_encoder(name: str, data: GenerationData, dtype: torch.dtype = torch.float32) -> ImageTextEncoder:
    """Returns the frozen encoder of a name.

    Args:
        name: `tiny-SEED` for a small CLIP trained on `data`'s training split, `tiny-SEED-STEPS` for another number of
            steps; otherwise a folder with a pretrained CLIP, or its id in the local Hugging Face cache.
        data: Training and validation split; its captions give the words of a tiny encoder.
        dtype: Floating type.

    Raises:
        UserError: A pretrained model cannot be loaded.
        DataError: The cache cannot be written.
    """
    tiny = re.fullmatch(r"tiny-(\d{1,9})(?:-(\d{1,9}))?", name)
    if tiny:
        from bench.encoders.tiny import TinySettings, tiny_clip

        seed, steps = int(tiny.group(1)), tiny.group(2)
        return tiny_clip(data, seed, dtype, TinySettings() if steps is None else TinySettings(steps=int(steps)))
    from bench.encoders.clip import load_clip

    return load_clip(name, dtype)
