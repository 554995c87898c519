"""What the tasks that make images share: batches, prompts, and the networks that judge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from bench.data.checkpoints import place_of as checkpoint_place
from bench.encoders.build import build_encoder
from bench.encoders.features import feature_network, frame_classifier, judge_seed
from bench.errors import DivergedError, UserError
from bench.methods.generator import Prompts
from bench.metrics.generation import check_evaluators, take_apart
from bench.metrics.manipulation import cosines
from bench.tasks.scoring import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.data.generation import GenerationData, Texts
    from bench.encoders.base import ImageTextEncoder
    from bench.encoders.features import FeatureNetwork
    from bench.methods.base import Method
    from bench.metrics.generation import Parsed

SEED = 20_250
"""Of the stream that all draws of validation and of evaluation come from, whatever the run's seed."""
BLOCK = 64
"""Images drawn at a time. Part of the protocol: with another block the same stream gives other images."""
VALIDATED = 128
"""Most images that validation draws, so that an epoch stays cheap."""
_KEPT = 24
_K = TypeVar("_K")
_judges: dict[tuple[str, ...], Any] = {}
_seen: dict[tuple[str, ...], np.ndarray] = {}


def part_of(part: object, kind: type[_K], name: str, what: str) -> _K:
    """Returns a split as the kind of data that a task needs.

    Args:
        part: The split.
        kind: What the task needs.
        name: Of the data set, for the message.
        what: The same in words.

    Raises:
        UserError: The split is of another kind.
    """
    if not isinstance(part, kind):
        raise UserError(
            f"data set {name!r} holds {type(part).__name__.lower()}, not {what}.",
            hint="Use it with the task its card names (`bench data info`).",
        )
    return part


def as_images(pixels: np.ndarray, place: Place) -> torch.Tensor:
    """Returns (..., 3, h, w) images in [-1, 1] of (..., h, w, 3) uint8 pixels."""
    images = torch.from_numpy(np.array(pixels)).to(place.device)
    return images.movedim(-1, -3).to(place.dtype) / 127.5 - 1.0


def as_pixels(images: torch.Tensor) -> np.ndarray:
    """Returns (..., h, w, 3) uint8 pixels of (..., 3, h, w) images in [-1, 1]; what lies outside is clipped."""
    scaled = ((images.detach().float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    pixels: np.ndarray = scaled.movedim(-3, -1).cpu().numpy()
    return pixels


def checked(images: torch.Tensor, shape: Sequence[int], method: Method) -> torch.Tensor:
    """Returns what a method made.

    Raises:
        TypeError: It has another shape.
        DivergedError: It is not finite.
    """
    if tuple(images.shape) != tuple(shape):
        raise TypeError(f"{type(method).__name__} made images of shape {tuple(images.shape)}, not {tuple(shape)}")
    if not bool(torch.isfinite(images).all()):
        raise DivergedError(f"{type(method).__name__} made images that are not finite", epoch=0)
    return images


def prompts_at(texts: Texts, rows: np.ndarray, place: Place) -> Prompts:
    """Returns the captions of some rows as a method reads them."""
    tokens = torch.from_numpy(np.asarray(texts.tokens)[rows].astype(np.int64)).to(place.device)
    lengths = torch.from_numpy(np.asarray(texts.lengths)[rows].astype(np.int64)).to(place.device)
    return Prompts(tokens, lengths, tuple(np.asarray(texts.texts)[rows].tolist()))


def subset(rows: int, most: int) -> np.ndarray:
    """Returns at most `most` of `rows` row numbers, the same ones each time, in ascending order."""
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(rows)[:most]
    return np.sort(order)


class Stopwatch:
    """Adds up wall seconds of what a device did.

    Args:
        device: Its queue is waited for before the clock is read.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def __enter__(self) -> None:
        self._wait()
        self._begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds += time.perf_counter() - self._begun

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Judges:
    """The networks that metrics look through, kept in memory between epochs.

    Args:
        data: Training and validation split: image-text encoders are trained on `data.train`, and so are judges of
            frames where there is nothing else (see `frame_classifier`).
        device: Where they compute.
    """

    def __init__(self, data: GenerationData, device: torch.device) -> None:
        self.data, self.device = data, device

    def check(self, method: Method, metrics: Sequence[Parsed]) -> None:
        """Checks, before anything is drawn, that every network can be had and that none was trained against.

        Raises:
            UserError: One was; names the method and the network. Or a network cannot be had, or has nothing to learn
                from in this data set.
        """
        inner = method.innermost
        label = type(inner).__module__.rpartition(".")[2]
        against: frozenset[str] = getattr(inner, "encoders", frozenset())
        names = {parsed.network for parsed in metrics if parsed.network is not None}
        check_evaluators(label, against, names)
        for parsed in metrics:
            if parsed.network is not None:
                if parsed.family.network == "text":
                    encoder = self.encoder(parsed.network)
                    names.add(encoder.identity)
                    if shares_weights(inner, encoder):
                        raise UserError(
                            f"method {label} holds half of the network {parsed.network!r} or all of it, whatever it "
                            "is called there, so that network cannot judge it.",
                            hint="Name another network in the metrics, e.g. tiny-3 or another CLIP.",
                        )
                elif parsed.family.network == "frames":
                    judge_seed(parsed.network, self.data)
                else:
                    self._network(parsed.network)
        # Under another name it has the same identity.
        check_evaluators(label, against, names)

    def encoder(self, name: str) -> ImageTextEncoder:
        """Returns the image-text encoder of a name."""
        found: ImageTextEncoder = self._kept(("text", name), lambda: build_encoder(checkpoint_place(name), self.data))
        return found

    def features(self, name: str, pixels: np.ndarray, *, of: str | None = None) -> np.ndarray:
        """Returns (n, d) float64 features of (n, h, w, 3) pixels.

        Args:
            name: Feature network.
            pixels: What it looks at.
            of: What they are, where they are the same each time; the features are then kept.
        """
        key = ("seen", name, self.data.digest, self.data.name, of or "", str(len(pixels)))
        if of is not None and self.data.digest and key in _seen:
            return _seen[key]
        network = self._network(name)
        found = self._blocks(pixels, network.features)
        if of is not None and self.data.digest:
            _remember(_seen, key, found)
        return found

    def logits(self, name: str, pixels: np.ndarray) -> np.ndarray:
        """Returns (n, C) float64 logits of a feature network."""
        return self._blocks(pixels, self._network(name).logits)

    def attributes(self, name: str, pixels: np.ndarray) -> np.ndarray:
        """Returns (n, K) float64 probabilities of frame labels."""
        network: FeatureNetwork = self._kept(("frames", name), lambda: frame_classifier(name, self.data))
        return self._blocks(pixels, lambda images: network.logits(images).double().sigmoid())

    def similarity(self, name: str, pixels: np.ndarray, texts: Texts) -> np.ndarray:
        """Returns the (n,) cosine of each image with its caption."""
        encoder = self.encoder(name)
        images = self._blocks(pixels, encoder.images)
        place = Place(self.device, torch.float32)
        with torch.no_grad():
            parts = [
                encoder.texts(prompts_at(texts, rows, place)).double().cpu().numpy()
                for rows in np.array_split(np.arange(len(texts)), -(-len(texts) // 256))
            ]
        return cosines(images, np.concatenate(parts))

    def _network(self, name: str) -> FeatureNetwork:
        found: FeatureNetwork = self._kept(("features", name), lambda: feature_network(name))
        return found

    def _kept(self, key: tuple[str, str], build: Callable[[], Any]) -> Any:
        # A feature network depends on no data; the others are trained on it.
        data = () if key[0] == "features" else (self.data.name, self.data.digest)
        whole = (*key, *data, str(self.device))
        if whole not in _judges:
            _remember(_judges, whole, build().to(self.device))
        return _judges[whole]

    def _blocks(self, pixels: np.ndarray, look: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        place = Place(self.device, torch.float32)
        with torch.no_grad():
            parts = [
                look(as_images(pixels[start : start + 256], place)).double().cpu().numpy()
                for start in range(0, len(pixels), 256)
            ]
        return np.concatenate(parts)


def judged(method: Method, data: GenerationData, metrics: Sequence[str], task: str) -> tuple[list[Parsed], Judges]:
    """Returns metrics taken apart and the networks that they look through, checked before anything is drawn.

    Raises:
        UserError: A metric is unknown, or looks through a network that cannot be had or that the method was trained
            against.
    """
    parsed = [take_apart(name, task) for name in metrics]
    judges = Judges(data, place_of(method).device)
    judges.check(method, parsed)
    return parsed, judges


def shares_weights(method: Method, encoder: ImageTextEncoder) -> bool:
    """Returns whether a method holds the image or the text half of an encoder, by its weights and not by its name."""
    halves = [part for name, part in encoder.named_modules() if name in ("text_model", "tower.vision")]
    held = [list(module.parameters()) for module in method.modules()] if halves else []
    for own in [list(half.parameters()) for half in halves]:
        for theirs in held:
            if [weight.shape for weight in theirs] == [weight.shape for weight in own] and all(
                torch.equal(one.to(other), other) for one, other in zip(own, theirs, strict=True)
            ):
                return True
    return False


def _remember(memory: dict[tuple[str, ...], Any], key: tuple[str, ...], value: Any) -> None:
    while len(memory) >= _KEPT:
        memory.pop(next(iter(memory)))
    memory[key] = value
