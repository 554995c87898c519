"""What an auto-regressive story remembers of a frame and its caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.data.checkpoints import find_checkpoint
from bench.errors import UserError
from bench.methods.layers.captions import Words
from bench.methods.layers.unet import resized

if TYPE_CHECKING:
    from collections.abc import Sequence

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pixels in [0, 1] that BLIP learnt from; the same as CLIP's."""


class FrameTokens(nn.Module):
    """One token: CNN(frame) + W mean(words). Trained from nothing.

    Args:
        width: Of a token.
        dtype: Floating type.
    """

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, dtype=dtype),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, dtype=dtype),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * width, width, dtype=dtype),
        )
        self.told = nn.Linear(width, width, dtype=dtype)

    def forward(self, frames: Tensor, words: Words, texts: Sequence[str]) -> Words:
        """Returns the (n, 1, width) tokens of (n, 3, h, w) frames with their captions, as words and as written."""
        tokens = (self.look(frames) + self.told(words.mean))[:, None]
        return Words(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))


class BlipTokens(nn.Module):
    """The tokens of BLIP's text encoder, which reads a caption while it looks at the frame. All of it learns on.

    AR-LDM takes the `multimodal` features of BLIP-large. The checkpoint is a `BlipForImageTextRetrieval` of
    `transformers`, e.g. Salesforce/blip-itm-large-coco, whose heads are not used; nothing is downloaded.

    Args:
        checkpoint: Folder, or id of a model in the local Hugging Face cache.
        dtype: Floating type.
        words: Tokens of a caption that are read; longer ones are cut, shorter ones padded.

    Attributes:
        identity: What it is called in a method's `encoders`.

    Raises:
        UserError: There is no such model, it is no BLIP, or files are missing or damaged.
    """

    def __init__(self, checkpoint: str, dtype: torch.dtype, words: int) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoTokenizer, BlipForImageTextRetrieval

        try:
            kind = AutoConfig.from_pretrained(checkpoint, local_files_only=True).model_type
            if kind != "blip":
                raise OSError(f"it holds a {kind!r} model, and not a 'blip'.")
            cls: Any = BlipForImageTextRetrieval
            model, info = cls.from_pretrained(
                checkpoint, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            if info["missing_keys"]:
                raise OSError(f"it lacks {len(info['missing_keys'])} weights, e.g. {min(info['missing_keys'])!r}.")
            self.tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"history encoder {checkpoint!r} cannot be loaded: {str(error).splitlines()[0]}",
                hint="Give a downloaded folder of a BLIP for image-text retrieval (config.json, model.safetensors and "
                "the tokenizer's files), get one first (`hf download Salesforce/blip-itm-large-coco`), or leave "
                "`history_encoder` out.",
            ) from error
        self.identity = find_checkpoint(checkpoint).name
        self.vision, self.reader = model.vision_model, model.text_encoder
        self.to(dtype=dtype)
        self.side: int = model.config.vision_config.image_size
        self.width: int = model.config.text_config.hidden_size
        self.words = min(words, model.config.text_config.max_position_embeddings)

    def forward(self, frames: Tensor, words: Words, texts: Sequence[str]) -> Words:
        """Returns the (n, words, width) tokens of (n, 3, h, w) frames in [-1, 1] with their captions as written."""
        mean, std = (frames.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        pixels = (resized(frames, self.side) / 2 + 0.5 - mean) / std
        seen = self.vision(pixel_values=pixels).last_hidden_state
        found = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.words, return_tensors="pt"
        )
        ids, real = (found[name].to(frames.device) for name in ("input_ids", "attention_mask"))
        read = self.reader(
            input_ids=ids,
            attention_mask=real,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.int64, device=seen.device),
        )
        return Words(read.last_hidden_state, real.bool())
