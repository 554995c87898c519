"""Image encoders of `transformers`, from scratch or from a checkpoint on this disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.methods.base import Context

Size = Literal["tiny", "small", "base"]
Pool = Literal["average", "mean", "cls", "pooler"]
Family = Literal["resnet", "vit"]

SMALLEST_SIDE = 16
"""Pixels. Below it the last stage of a ResNet has one pixel, which batch normalisation cannot train on alone."""


PUBLISHED_STEM = 96
"""Pixels from which a ResNet has its published stem: a 7 x 7 convolution with stride 2, and pooling."""


class ResNetSize(NamedTuple):
    """A ResNet of basic blocks in four stages; each stage doubles the channels and halves the map."""

    width: int
    """Channels of the first stage."""
    blocks: int
    """Blocks in each stage."""


class ViTSize(NamedTuple):
    """A vision transformer."""

    width: int
    """Width of a token."""
    layers: int
    """Transformer layers."""
    heads: int
    """Attention heads."""


RESNET_SIZES: Mapping[Size, ResNetSize] = {
    "tiny": ResNetSize(8, 1),
    "small": ResNetSize(32, 1),
    "base": ResNetSize(64, 2),
}
VIT_SIZES: Mapping[Size, ViTSize] = {
    "tiny": ViTSize(32, 2, 2),
    "small": ViTSize(96, 4, 3),
    "base": ViTSize(192, 12, 3),
}


class Processing(NamedTuple):
    """How a checkpoint wants its images.

    Attributes:
        size: (height, width) pixels; None leaves images as they are.
        mean: Of each channel, in [0, 1].
        std: Of each channel.
    """

    size: tuple[int, int] | None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)


_DEFAULTS: Mapping[str, Processing] = {
    "resnet": Processing((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "vit": Processing((224, 224)),
    "clip": Processing((224, 224), (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""What a checkpoint without a processor file was most likely trained with."""


class Backbone(nn.Module):
    """An encoder with the resizing, normalisation and pooling that belong to it.

    Args:
        encoder: A vision model of `transformers`.
        width: Width of the pooled vector.
        pool: `average`: of the last map; `mean`: of the patch tokens; `cls`: the first token; `pooler`: what the model
            itself pools.
        processing: Size and normalisation of its input.
        dtype: Floating type.
        frozen: Whether its weights and running statistics stay as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        width: int,
        pool: Pool,
        processing: Processing,
        dtype: torch.dtype,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        # Convolutions over channels-last maps are about a quarter faster on a CPU and feed tensor cores on a GPU.
        layout: Any = {"memory_format": torch.channels_last}  # torch's stubs lack it
        self.encoder = encoder.to(dtype=dtype, **layout)
        self.width, self.pool, self.size, self.frozen = width, pool, processing.size, frozen
        for name, values in (("mean", processing.mean), ("std", processing.std)):
            self.register_buffer(name, torch.tensor(values, dtype=dtype).view(1, 3, 1, 1), persistent=False)
        if frozen:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    def train(self, mode: bool = True) -> Backbone:
        """Sets the mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Returns (B, `width`) vectors of (B, 3, height, width) images in [0, 1]."""
        images = images.to(self.mean.dtype)
        if self.size is not None and tuple(images.shape[-2:]) != self.size:
            images = functional.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=True)
        pixels = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.encoder(pixels)
        if self.pool == "mean":
            vectors: Tensor = output.last_hidden_state[:, 1:].mean(1)
        elif self.pool == "cls":
            vectors = output.last_hidden_state[:, 0]
        else:
            vectors = output.pooler_output.flatten(1)
        return vectors


def build_backbone(
    family: Family,
    context: Context,
    *,
    size: Size = "small",
    checkpoint: str | None = None,
    freeze: bool = False,
    pool: Literal["mean", "cls"] | None = None,
    dropout: float = 0.0,
) -> Backbone:
    """Builds an encoder for the images of `context.data`.

    Args:
        family: `resnet` or `vit`.
        context: Data (for the size of its images) and floating type.
        size: Preset of an encoder from scratch; a checkpoint has its own.
        checkpoint: Folder, or id of a model in the local Hugging Face cache.
        freeze: Whether a checkpoint's weights stay as they are.
        pool: How `vit` makes one vector of its tokens; None is `mean` from scratch, and for a checkpoint what it was
            trained with.
        dropout: Of `vit` from scratch.

    Raises:
        UserError: The checkpoint cannot be loaded or is of another family, there is nothing to freeze, or the images
            are too small.
    """
    if checkpoint is not None:
        return _from_checkpoint(family, checkpoint, context.dtype, freeze=freeze, pool=pool)
    if freeze:
        raise UserError(
            "`freeze` is set, but there is no checkpoint: a random encoder would never learn.",
            hint="Set `checkpoint`, or `freeze: false`.",
        )
    height, width = (int(side) for side in context.data.train.pixels.shape[1:3])
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"{context.data.name!r} has images of {height} x {width} pixels; {family} needs at least {SMALLEST_SIDE}."
        )
    if family == "resnet":
        return _resnet(RESNET_SIZES[size], min(height, width), context.dtype)
    return _vit(VIT_SIZES[size], (height, width), context.dtype, pool=pool or "mean", dropout=dropout)


def _resnet(size: ResNetSize, side: int, dtype: torch.dtype) -> Backbone:
    """Builds a ResNet whose stem leaves maps of about 16 pixels, or of a quarter of a large image, as published."""
    # Imported here, as below: `transformers` takes seconds, which a listing of methods should not.
    from transformers import ResNetConfig, ResNetModel

    widths = [size.width * 2**stage for stage in range(4)]
    encoder = ResNetModel(
        ResNetConfig(embedding_size=size.width, hidden_sizes=widths, depths=[size.blocks] * 4, layer_type="basic")
    )
    if side < PUBLISHED_STEM:
        convolution = nn.Conv2d(3, size.width, 3, stride=1 if side <= 24 else 2, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        stem: Any = encoder.embedder
        stem.embedder.convolution = convolution
        if side < 48:
            stem.pooler = nn.Identity()
    return Backbone(encoder, width=widths[-1], pool="average", processing=Processing(None), dtype=dtype)


def _vit(
    size: ViTSize, image: tuple[int, int], dtype: torch.dtype, *, pool: Literal["mean", "cls"], dropout: float
) -> Backbone:
    """Builds a ViT of about 8 x 8 patches; images are resized where the patch does not divide them."""
    from transformers import ViTConfig, ViTModel

    patch = min(image) // 8
    fitted = (round(image[0] / patch) * patch, round(image[1] / patch) * patch)
    encoder = ViTModel(
        ViTConfig(
            image_size=fitted,
            patch_size=patch,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=4 * size.width,
            hidden_dropout_prob=dropout,
        ),
        add_pooling_layer=False,
    )
    return Backbone(encoder, width=size.width, pool=pool, processing=Processing(fitted), dtype=dtype)


def _from_checkpoint(
    family: Family, checkpoint: str, dtype: torch.dtype, *, freeze: bool, pool: Literal["mean", "cls"] | None
) -> Backbone:
    """Loads an encoder from a folder or the local cache; only `safetensors` files are read."""
    from transformers import AutoConfig, CLIPVisionModel, ResNetModel, ViTModel

    models: dict[str, tuple[Any, dict[str, Any]]] = {
        "resnet": (ResNetModel, {}),
        "vit": (ViTModel, {"add_pooling_layer": False}),
        "clip": (CLIPVisionModel, {}),
        "clip_vision_model": (CLIPVisionModel, {}),
    }
    allowed = ("resnet",) if family == "resnet" else ("vit", "clip", "clip_vision_model")
    try:
        kind = AutoConfig.from_pretrained(checkpoint, local_files_only=True).model_type
    except (OSError, ValueError) as error:
        raise UserError(
            f"checkpoint {checkpoint!r} is neither a folder with a config.json nor in the local Hugging Face cache.",
            hint="Give the path of a downloaded folder, or get a hub model first: `hf download ORGANISATION/MODEL`.",
        ) from error
    if kind not in allowed:
        raise UserError(
            f"checkpoint {checkpoint!r} holds a {kind!r} model; {family} takes {', '.join(map(repr, allowed))}."
        )
    cls, options = models[kind]
    try:
        encoder, info = cls.from_pretrained(
            checkpoint, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the weights of checkpoint {checkpoint!r} cannot be loaded: {error}",
            hint="It needs a model.safetensors that fits its config.json; no other format is read.",
        ) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise UserError(f"checkpoint {checkpoint!r} lacks {len(missing)} weights of {kind!r}, e.g. {missing[0]!r}.")
    settings = encoder.config
    processing = _processing(checkpoint, "clip" if kind.startswith("clip") else kind)
    if family == "resnet":
        return Backbone(
            encoder, width=settings.hidden_sizes[-1], pool="average", processing=processing, dtype=dtype, frozen=freeze
        )
    sides = settings.image_size
    # Position embeddings exist for this size only, whatever a processor file says.
    processing = processing._replace(size=(sides, sides) if isinstance(sides, int) else (sides[0], sides[1]))
    trained_with: Pool = "pooler" if kind.startswith("clip") else "cls"
    return Backbone(
        encoder,
        width=settings.hidden_size,
        pool=pool or trained_with,
        processing=processing,
        dtype=dtype,
        frozen=freeze,
    )


def _processing(checkpoint: str, kind: str) -> Processing:
    """Reads size and normalisation from a checkpoint's processor file, where it has one."""
    default = _DEFAULTS[kind]
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = _local_file(checkpoint, name)
        if path is None:
            continue
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            raw = raw.get("image_processor", raw)
            size = _sides(raw.get("crop_size") if raw.get("do_center_crop") else raw.get("size")) or default.size
            if not raw.get("do_normalize", True):
                return Processing(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
            mean = tuple(float(value) for value in raw.get("image_mean", default.mean))
            std = tuple(float(value) for value in raw.get("image_std", default.std))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is not the processor file of a vision model: {error!r}") from error
        return Processing(size, mean, std)
    return default


def _sides(raw: Any) -> tuple[int, int] | None:
    """Reads (height, width) from the forms a processor file uses."""
    if raw is None:
        return None
    if isinstance(raw, dict):
        side = raw.get("shortest_edge")
        return (int(side), int(side)) if side is not None else (int(raw["height"]), int(raw["width"]))
    return (int(raw), int(raw))


def _local_file(checkpoint: str, name: str) -> Path | None:
    """Returns a file of a checkpoint that is on this disk, or None."""
    from huggingface_hub import try_to_load_from_cache

    if Path(checkpoint).is_dir():
        path = Path(checkpoint) / name
        return path if path.is_file() else None
    found = try_to_load_from_cache(checkpoint, name)
    return Path(found) if isinstance(found, str) else None
