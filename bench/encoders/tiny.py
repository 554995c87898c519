"""A small CLIP trained on the data set's own training split, for machines without pretrained weights."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from bench.data.files import locked, write_atomic
from bench.data.generation import CaptionedImages, Edits
from bench.data.paths import cache_root
from bench.encoders.base import ImageTextEncoder
from bench.methods.layers.clip_towers import ImageTower
from bench.spec.fingerprint import fingerprint, source_digest

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.generation import GenerationData
    from bench.methods.generator import Prompts

LARGEST_SCALE = 100.0
"""CLIP's limit of the factor on cosines."""


@dataclass(frozen=True)
class TinySettings:
    """Geometry and training of a tiny encoder.

    Attributes:
        side: Pixels it sees; images are resized.
        patch: Pixels of a patch; 56 / 8 gives the 7 x 7 patches of CLIP ViT-B/32, which GALIP's networks are built for.
        width: Of tokens.
        layers: Of the image transformer.
        text_layers: Of the text transformer.
        heads: Attention heads.
        dim: Width of the common space.
        steps: Gradient steps.
        batch_size: Pairs in a step.
        lr: Peak of AdamW's step size, with half a cosine to zero.
        weight_decay: AdamW's.
    """

    side: int = 56
    patch: int = 8
    width: int = 64
    layers: int = 4
    text_layers: int = 2
    heads: int = 4
    dim: int = 64
    steps: int = 300
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-2


DEFAULT = TinySettings()


class Pairs(NamedTuple):
    """Images and captions to train on.

    Attributes:
        pixels: (n, side, side, 3) uint8.
        tokens: (n, L) int32; 0 pads.
        lengths: (n,) int64.
    """

    pixels: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray


class TinyCLIP(ImageTextEncoder):
    """A small CLIP over the data set's own words; captions longer than any in training are cut.

    Args:
        model: A `transformers.CLIPModel` whose vocabulary is the data set's, then a begin and an end token.
        words: Most words it reads.
        identity: See `ImageTextEncoder`.
    """

    def __init__(self, model: nn.Module, *, words: int, identity: str) -> None:
        super().__init__(model, identity=identity, stored=True)
        self.words = words

    def tokens(self, prompts: Prompts) -> dict[str, Tensor]:
        """Returns begin, words, end, padding."""
        device = self.tower.mean.device
        return {"input_ids": framed(prompts.tokens.to(device), prompts.lengths.to(device), self.settings, self.words)}


def framed(tokens: Tensor, lengths: Tensor, config: Any, words: int) -> Tensor:
    """Returns (B, words + 2) ids: begin, up to `words` words, end, padding."""
    settings = config.text_config
    tokens = tokens[:, :words].long()
    lengths = lengths.long().clamp(max=words)
    ids = tokens.new_zeros(tokens.shape[0], words + 2)
    ids[:, 0] = settings.bos_token_id
    ids[:, 1 : 1 + tokens.shape[1]] = tokens
    return ids.scatter_(1, lengths[:, None] + 1, settings.eos_token_id)


def tiny_clip(data: GenerationData, seed: int, dtype: torch.dtype, settings: TinySettings | None = None) -> TinyCLIP:
    """Returns the encoder of a data set and a seed, trained once and kept in the cache.

    The global random streams are left as they were, so a run does not depend on what the cache holds.

    Args:
        data: Whose training split is used, and nothing else.
        seed: Of initialisation and batches.
        dtype: Floating type; training is in float32.
        settings: Geometry and training; None for the default.

    Raises:
        DataError: The cache cannot be written.
    """
    settings = settings or DEFAULT
    pairs = training_pairs(data)
    identity = f"tiny-{seed}" if settings.steps == DEFAULT.steps else f"tiny-{seed}-{settings.steps}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(len(data.vocabulary), pairs.tokens.shape[1], settings)
        weights = _trained(model, pairs, data, seed, settings)
    model.load_state_dict(weights)
    return TinyCLIP(model.to(dtype=dtype), words=pairs.tokens.shape[1], identity=identity)


def training_pairs(data: GenerationData) -> Pairs:
    """Returns the images and captions of a training split; frames of stories one by one, and sources of edits."""
    train = data.train
    if isinstance(train, Edits):
        train = train.sources
    if isinstance(train, CaptionedImages):
        return Pairs(train.pixels, train.captions.tokens, train.captions.lengths)
    frames, tokens = train.frames, train.tokens
    return Pairs(frames.reshape(-1, *frames.shape[2:]), tokens.reshape(-1, tokens.shape[-1]), train.lengths.reshape(-1))


def build(vocabulary: int, words: int, settings: TinySettings) -> nn.Module:
    """Builds an untrained `CLIPModel` for a vocabulary (padding and unknown included) and a longest caption."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    text = CLIPTextConfig(
        vocab_size=vocabulary + 2,
        hidden_size=settings.width,
        intermediate_size=2 * settings.width,
        num_hidden_layers=settings.text_layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=words + 2,
        projection_dim=settings.dim,
        pad_token_id=0,
        bos_token_id=vocabulary,
        eos_token_id=vocabulary + 1,
    )
    vision = CLIPVisionConfig(
        hidden_size=settings.width,
        intermediate_size=2 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        image_size=settings.side,
        patch_size=settings.patch,
        projection_dim=settings.dim,
    )
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=settings.dim)
    return CLIPModel(config)


def train(model: nn.Module, pairs: Pairs, seed: int, settings: TinySettings) -> None:
    """Trains a `CLIPModel` by contrast; pairs with the same caption count as matches of each other."""
    stream = torch.Generator().manual_seed(seed)
    encoder = _InTraining(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
    )
    rows = len(pairs.lengths)
    model.train()
    for _ in range(settings.steps):
        chosen = torch.randint(rows, (min(settings.batch_size, rows),), generator=stream).numpy()
        tokens = torch.from_numpy(np.array(pairs.tokens[chosen], dtype=np.int64))
        lengths = torch.from_numpy(np.array(pairs.lengths[chosen], dtype=np.int64))
        pixels = torch.from_numpy(np.array(pairs.pixels[chosen])).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        loss = encoder(pixels, framed(tokens, lengths, model.config, pairs.tokens.shape[1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    optimiser.zero_grad()
    model.eval()


class _InTraining(nn.Module):
    """Contrastive loss of a `CLIPModel`, through the same pixels as the frozen encoder."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.text, self.projection, self.scale = model.text_model, model.text_projection, model.logit_scale
        self.tower = ImageTower(model.vision_model, model.visual_projection)

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        images = self.tower.looks(self.tower.pixels(pixels)).embeddings
        texts = self.projection(self.text(input_ids=ids).pooler_output)
        scale = self.scale.clamp(max=math.log(LARGEST_SCALE)).exp()
        logits = scale * functional.normalize(images) @ functional.normalize(texts).T
        # With few different captions, off-diagonal pairs are often no mismatch at all.
        equal = (ids[:, None] == ids[None]).all(2).to(logits.dtype)
        target = equal / equal.sum(1, keepdim=True)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2.0


def _trained(
    model: nn.Module, pairs: Pairs, data: GenerationData, seed: int, settings: TinySettings
) -> dict[str, Tensor]:
    """Returns the trained weights, from the cache where it has them."""
    code = source_digest("bench.encoders.tiny", "bench.encoders.base")
    key = fingerprint({"data": _digest(data, pairs), "settings": asdict(settings), "seed": seed, "code": code})
    path = cache_root() / "encoders" / f"tiny-{seed}-{key}.safetensors"
    found = _read(path, model)
    if found is not None:
        return found
    with locked(f"encoder {path.name}"):
        found = _read(path, model)
        if found is None:
            train(model, pairs, seed, settings)
            found = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
            write_atomic(path, save_tensors(found))
    return found


def _read(path: Path, model: nn.Module) -> dict[str, Tensor] | None:
    """Returns cached weights that fit a model, or None; a damaged file is made again."""
    try:
        found: dict[str, Tensor] = load_tensors(path.read_bytes())
    except (OSError, SafetensorError):
        return None
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    return found if {name: tensor.shape for name, tensor in found.items()} == shapes else None


def _digest(data: GenerationData, pairs: Pairs) -> str:
    """Returns the identity of what is trained on; the data's own digest where it has one."""
    if data.digest:
        return data.digest
    digest = hashlib.sha256(repr((data.vocabulary, pairs.pixels.shape, pairs.tokens.shape)).encode())
    for array in pairs:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
