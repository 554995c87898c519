"""Folders of pretrained models: small networks of the real classes with random weights, laid out as a download is."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForImageTextRetrieval,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CLIP_WORDS = ["<|startoftext|>", "<|endoftext|>", *(f"{one}{end}" for one in LETTERS for end in ("", "</w>"))]


def clip_text(**sizes):
    """Settings of CLIP's text half over single letters."""
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"vocab_size": len(CLIP_WORDS), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return CLIPTextConfig(**(small | {"max_position_embeddings": 12} | tokens | sizes))


def clip_tokenizer():
    return CLIPTokenizer(vocab={word: at for at, word in enumerate(CLIP_WORDS)}, merges=[])


def stable_diffusion_folder(path):
    """Pictures of 64 pixels: latents are 8 times smaller, the U-Net halves them twice."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ).save_pretrained(path / "unet")
    AutoencoderKL(
        block_out_channels=(4, 4, 4, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    ).save_pretrained(path / "vae")
    CLIPTextModel(clip_text()).save_pretrained(path / "text_encoder")
    clip_tokenizer().save_pretrained(path / "tokenizer")
    # As in Stable Diffusion 1.5, whose folder names another scheduler than the one used here.
    PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
    ).save_pretrained(path / "scheduler")
    return path


def clip_folder(path):
    """A CLIP for pictures of 16 pixels."""
    torch.manual_seed(0)
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=clip_text().to_dict(), vision_config={**vision, "image_size": 16, "patch_size": 8}, projection_dim=6
    )
    CLIPModel(config).save_pretrained(path)
    clip_tokenizer().save_pretrained(path)
    return path


def blip_folder(path, *, width=16):
    """A BLIP for pictures of 16 pixels, over single letters."""
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    # At transformers' own 0.02 two layers let nothing through that 32 bits could tell.
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "initializer_range": 0.3}
    text = {**sizes, "vocab_size": len(words), "hidden_size": width, "encoder_hidden_size": 8, "pad_token_id": 0}
    config = BlipConfig(
        text_config={**text, "max_position_embeddings": 40, "bos_token_id": 2, "sep_token_id": 3},
        vision_config={**sizes, "hidden_size": 8, "image_size": 16, "patch_size": 8},
        image_text_hidden_size=6,
    )
    BlipForImageTextRetrieval(config).save_pretrained(path)
    BertTokenizer(vocab={word: at for at, word in enumerate(words)}).save_pretrained(path)
    return path
