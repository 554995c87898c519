"""Feature networks that judge images, by name: small ones trained here, and Inception-v3 from a local file.

`world-cnn-S` learns colours and shapes of the generated world's pictures with seed S, on draws that no data set has; it
depends on nothing else, so its numbers can be compared between methods and data sets. `frame-cnn-S` learns the frame
labels of one data set, see `frame_classifier`. Both are made once and kept in the cache.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from bench.data.checkpoints import INCEPTION
from bench.data.files import locked, write_atomic
from bench.data.generation import Stories
from bench.data.paths import cache_root
from bench.data.worlds.scenes import GENERATOR_VERSION, captioned_images
from bench.data.worlds.scenes.generation import STORY_ATTRIBUTES, draw_stories
from bench.data.worlds.scenes.vocabulary import COLOURS, GROUNDS, SHAPES
from bench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.data.generation import GenerationData

SIDE = 32
"""Pixels the small networks see; other sizes are resized with anti-aliasing."""
WORLD_IMAGES, WORLD_EPOCHS, WORLD_STORIES, FRAME_STEPS = 12_288, 3, 1_000, 500
BATCH, LR = 64, 5e-3
VERSION = 1
"""Of architecture and training; part of the cache's keys."""
_CLASSES = len(COLOURS) * len(SHAPES)
_JUDGES = 1_000_003
"""Added to a judge's seed: with its part's name it keeps the judge's draws apart from those of every data set."""


class FeatureNetwork(nn.Module):
    """A network that judges images; frozen, in eval mode.

    Args:
        id: What metrics call it.
        width: Length of its feature vectors.
    """

    def __init__(self, id: str, width: int) -> None:
        super().__init__()
        self.id, self.width = id, width

    def features(self, images: Tensor) -> Tensor:
        """Returns (B, width) features of (B, 3, h, w) images in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} must override features")

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, C) logits of (B, 3, h, w) images in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} must override logits")


class SmallCNN(FeatureNetwork):
    """Four convolutions with batch normalisation, then the mean over places.

    Args:
        id: What metrics call it.
        classes: Number of logits.
        width: Channels of the last convolution.
        grid: The features of a classifier of frames keep a coarse `grid` x `grid` of places; 1 takes the mean over all.
    """

    def __init__(self, id: str, classes: int, *, width: int = 64, grid: int = 1) -> None:
        super().__init__(id, width * grid * grid)
        widths = (3, 24, 48, width, width)
        layers: list[nn.Module] = []
        for place in range(4):
            stride = 1 if place == 0 else 2
            layers += [
                nn.Conv2d(widths[place], widths[place + 1], 3, stride, 1, bias=False),
                nn.BatchNorm2d(widths[place + 1]),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.grid = grid
        self.head = nn.Linear(self.width, classes)

    def features(self, images: Tensor) -> Tensor:
        """Returns (B, width) features."""
        return functional.adaptive_avg_pool2d(self.body(resized(images, SIDE)), self.grid).flatten(1)

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, C) logits."""
        found: Tensor = self.head(self.features(images))
        return found


def resized(images: Tensor, side: int) -> Tensor:
    """Returns images at a side, with anti-aliasing where they shrink."""
    if images.shape[-2:] == (side, side):
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


def feature_network(name: str) -> FeatureNetwork:
    """Returns a feature network by name: `world-cnn-S`, or `inception`.

    Raises:
        UserError: There is no such network, or the file of its weights is not here.
        DataError: The cache cannot be written.
    """
    match = re.fullmatch(r"world-cnn-(\d{1,6})", name)
    # The first weights of a network are drawn from the global stream, which a run must find as it left it.
    with torch.random.fork_rng(devices=[]):
        if match:
            return _world_cnn(int(match.group(1)))
        if name.partition("@")[0] == INCEPTION:
            from bench.encoders.inception import load_inception

            return load_inception()
    known = ("world-cnn-7", "inception")
    raise UserError(
        f"unknown feature network {name!r}.{did_you_mean(name, known)}",
        hint="Known: world-cnn-SEED with any seed, and inception (needs a file of weights).",
    )


def frame_classifier(name: str, data: GenerationData) -> FeatureNetwork:
    """Returns a judge of frame labels, `frame-cnn-S`.

    Stories of the generated world are judged by a network that learned from another draw of it, with a seed that no
    data set has. Of published stories there is no other draw, and validation has too few to learn from, so there the
    judge sees the pictures of the training stories, as the methods it judges do, with labels and without captions. It
    then cannot tell a picture that was drawn from one that was copied out of training. `real_attribute_f1` and
    `real_frame_accuracy` say what it makes of true test pictures, which neither has seen: its ceiling.

    Raises:
        UserError: There is no such network, or the data set has no frame labels.
        DataError: The cache cannot be written.
    """
    seed = judge_seed(name, data)
    train = data.train
    assert isinstance(train, Stories)  # noqa: S101 - narrows the type; `judge_seed` refuses all else
    digest = data.digest
    if data.attributes == STORY_ATTRIBUTES:
        train = draw_stories("judge", WORLD_STORIES, seed=_JUDGES + seed)
        digest = f"world {GENERATOR_VERSION} {WORLD_STORIES}"
    assert train.labels is not None  # noqa: S101 - likewise
    frames, labels = train.frames, train.labels
    pixels = np.asarray(frames).reshape(-1, *frames.shape[2:])
    targets = torch.from_numpy(np.ascontiguousarray(labels).reshape(-1, labels.shape[-1]))
    with torch.random.fork_rng(devices=[]):
        network = SmallCNN(name, targets.shape[1], grid=4)

    def batches(stream: torch.Generator) -> Iterator[Tensor]:
        for _ in range(FRAME_STEPS):
            rows = torch.randint(len(pixels), (min(BATCH, len(pixels)),), generator=stream)
            logits = network.logits(_as_input(pixels[rows.numpy()]))
            yield functional.binary_cross_entropy_with_logits(logits, targets[rows].float())

    digest = digest or hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return _ready(network, f"{digest} {FRAME_STEPS}", seed, batches, FRAME_STEPS)


def judge_seed(name: str, data: GenerationData) -> int:
    """Returns the seed of a judge of frame labels.

    Raises:
        UserError: There is no such judge, or the data set has no frame labels.
    """
    match = re.fullmatch(r"frame-cnn-(\d{1,6})", name)
    if match is None:
        raise UserError(f"unknown judge of frames {name!r}.", hint="Known: frame-cnn-SEED with any seed.")
    train = data.train
    if not isinstance(train, Stories) or train.labels is None or not data.attributes:
        raise UserError(
            f"data set {data.name!r} has no labels of frames, so attribute_f1 and frame_accuracy have no value there.",
            hint="Leave them out, or use sprites-stories or shapes-stories.",
        )
    return int(match.group(1))


def _world_cnn(seed: int) -> FeatureNetwork:
    network = _WorldCNN(f"world-cnn-{seed}", _CLASSES + len(GROUNDS) + len(COLOURS) + len(SHAPES))

    def batches(stream: torch.Generator) -> Iterator[Tensor]:
        drawn = captioned_images("judge", WORLD_IMAGES, side=SIDE, seed=_JUDGES + seed)
        symbols = drawn.symbols
        every = torch.arange(WORLD_IMAGES)
        things = torch.zeros(WORLD_IMAGES, _CLASSES)
        for slot in range(2):
            here = torch.from_numpy((slot < symbols.number) / symbols.number).float()
            kind = torch.from_numpy(symbols.colour[:, slot] * len(SHAPES) + symbols.shape[:, slot])
            things[every, kind] += here
        table = things.reshape(-1, len(COLOURS), len(SHAPES)) > 0
        # Colours and shapes by themselves are learned much sooner than their pairs, and help them.
        alone = torch.cat([table.any(2), table.any(1)], 1).float()
        ground = torch.from_numpy(symbols.ground.astype(np.int64))
        for _ in range(WORLD_EPOCHS):
            for rows in torch.randperm(WORLD_IMAGES, generator=stream).split(BATCH):
                logits = network.everything(_as_input(drawn.pixels[rows.numpy()]))
                pairs, grounds, parts = logits.split([_CLASSES, len(GROUNDS), alone.shape[1]], dim=1)
                loss = functional.cross_entropy(pairs, things[rows]) + functional.cross_entropy(grounds, ground[rows])
                yield loss + 4.0 * functional.binary_cross_entropy_with_logits(parts, alone[rows])

    steps = WORLD_EPOCHS * -(-WORLD_IMAGES // BATCH)
    return _ready(network, f"world {GENERATOR_VERSION} {WORLD_IMAGES} {WORLD_EPOCHS}", seed, batches, steps)


class _WorldCNN(SmallCNN):
    """Logits over pairs of colour and shape, and behind them what only training uses: grounds, colours, shapes."""

    def everything(self, images: Tensor) -> Tensor:
        return super().logits(images)

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, 64) logits over colour and shape."""
        return super().logits(images)[:, :_CLASSES]


def _as_input(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def _ready(
    network: SmallCNN, data: str, seed: int, batches: Callable[[torch.Generator], Iterator[Tensor]], steps: int
) -> FeatureNetwork:
    """Loads a network's weights from the cache, or trains it; the global random streams stay as they were."""
    key = hashlib.sha256(f"{VERSION} {network.id} {seed} {data} {BATCH} {LR}".encode()).hexdigest()[:24]
    path = cache_root() / "encoders" / f"{network.id}-{key}.safetensors"
    if not _load(network, path):
        with locked(f"encoder {path.name}"):
            if not _load(network, path):
                with torch.enable_grad(), torch.random.fork_rng(devices=[]):
                    _train(network, seed, batches, steps)
                state = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
                write_atomic(path, save_tensors(state))
    return network.requires_grad_(False).eval()


def _train(network: SmallCNN, seed: int, batches: Callable[[torch.Generator], Iterator[Tensor]], steps: int) -> None:
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps)
    for loss in batches(torch.Generator().manual_seed(seed)):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _load(network: nn.Module, path: Path) -> bool:
    try:
        network.load_state_dict(load_tensors(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True
