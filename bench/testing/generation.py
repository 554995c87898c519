"""What a third party's makers of images can be tested with: small worlds, and a contract for each of the three kinds.

Use it in a test module of your own package::

    class TestMine(StoryGeneratorContract):
        method = "mine"
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from bench.data.generation import CaptionedImages, Edits, GenerationData, Stories, Texts
from bench.methods.base import Context, GradientConfig
from bench.methods.generator import (
    GenerationMethod,
    ImageEditor,
    ImageGenerator,
    ImageTextBatch,
    Prompts,
    StoryBatch,
    StoryGenerator,
    StoryPrompts,
)
from bench.methods.registry import METHODS
from bench.testing.classification import Forbidden
from bench.testing.common import build_as_job
from bench.testing.descent import DescentContract
from bench.training.optimise import Optimisers
from bench.training.seeds import component_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

COLOURS = {"red": (210, 50, 50), "green": (50, 180, 70), "blue": (60, 80, 220), "yellow": (220, 200, 60)}
SIDES = ("left", "right")
VOCABULARY = ("", "<unk>", "a", "square", "at", "the", *SIDES, *COLOURS)
WORDS = 6
"""Words of the longest caption."""
FRAMES = 4
"""Frames of a story."""


def small_images(count: int, side: int, rng: np.random.Generator) -> CaptionedImages:
    """Draws coloured squares at the left or the right of a grey ground, captioned `a red square at the left`."""
    colour, half = rng.integers(len(COLOURS), size=count), rng.integers(2, size=count)
    return captioned(colour, half, side, "image")


def captioned(colour: np.ndarray, half: np.ndarray, side: int, name: str) -> CaptionedImages:
    """Draws squares of (n,) colours, in (n,) halves of the image, with their captions."""
    count = len(colour)
    pixels = np.full((count, side, side, 3), 128, dtype=np.uint8)
    shades = np.array(list(COLOURS.values()), dtype=np.uint8)
    for row in range(count):
        start = side // 8 + half[row] * side // 2
        pixels[row, side // 4 : 3 * side // 4, start : start + side // 4] = shades[colour[row]]
    names = list(COLOURS)
    texts = [f"a {names[c]} square at the {SIDES[h]}" for c, h in zip(colour.tolist(), half.tolist(), strict=True)]
    return CaptionedImages(pixels, as_texts(texts), np.array([f"{name}-{row}" for row in range(count)]))


def as_texts(captions: list[str]) -> Texts:
    """Returns captions over `VOCABULARY`."""
    tokens = np.zeros((len(captions), WORDS), dtype=np.int32)
    for row, caption in enumerate(captions):
        words = [VOCABULARY.index(word) for word in caption.split()]
        tokens[row, : len(words)] = words
    return Texts(tokens, (tokens > 0).sum(1).astype(np.int64), np.array(captions))


def small_world(task: str, *, train: int = 32, valid: int = 8, side: int = 16, seed: int = 0) -> GenerationData:
    """Returns a generated world of one of the three tasks.

    Args:
        task: `text_to_image`; `image_editing`, where the square changes its colour; or `story`, where a square of one
            colour moves through four frames.
        train: Training rows.
        valid: Validation rows.
        side: Pixels.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    parts: list[Any] = []
    for count in (train, valid):
        if task == "text_to_image":
            parts.append(small_images(count, side, rng))
        elif task == "image_editing":
            colour, half = rng.integers(len(COLOURS), size=count), rng.integers(2, size=count)
            source = captioned(colour, half, side, "edit")
            target = captioned((colour + rng.integers(1, 4, size=count)) % 4, half, side, "edit")
            parts.append(Edits(source, target.captions, target.pixels, source.ids))
        else:
            colour = np.repeat(rng.integers(len(COLOURS), size=count), FRAMES)
            images = captioned(colour, rng.integers(2, size=count * FRAMES), side, "story")
            shape, words = (count, FRAMES), images.captions
            parts.append(
                Stories(
                    images.pixels.reshape(*shape, side, side, 3),
                    words.tokens.reshape(*shape, -1),
                    words.lengths.reshape(shape),
                    words.texts.reshape(shape),
                    None,
                    images.ids[:count],
                )
            )
    digest = f"small-world-{task}-{train}-{valid}-{side}-{seed}"
    return GenerationData("small-world", side, VOCABULARY, parts[0], parts[1], digest=digest)


def as_images(pixels: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    """Returns (..., 3, h, w) in [-1, 1] of (..., h, w, 3) uint8."""
    return torch.from_numpy(np.array(pixels)).movedim(-1, -3).to(dtype) / 127.5 - 1.0


def prompts_of(texts: Texts, rows: slice) -> Prompts:
    """Returns some captions as a method reads them."""
    tokens = torch.from_numpy(texts.tokens[rows].astype(np.int64))
    return Prompts(tokens, torch.from_numpy(texts.lengths[rows]), tuple(map(str, texts.texts[rows])))


def batch_of(part: Any, rows: slice, dtype: torch.dtype = torch.float32) -> ImageTextBatch | StoryBatch:
    """Returns the batch of some rows of a split."""
    if isinstance(part, Edits):
        sources, targets = part.sources, prompts_of(part.targets, rows)
        return ImageTextBatch(as_images(sources.pixels[rows], dtype), prompts_of(sources.captions, rows), targets)
    if isinstance(part, CaptionedImages):
        return ImageTextBatch(as_images(part.pixels[rows], dtype), prompts_of(part.captions, rows))
    tokens = torch.from_numpy(part.tokens[rows].astype(np.int64))
    texts = tuple(tuple(map(str, story)) for story in part.texts[rows])
    captions = StoryPrompts(tokens, torch.from_numpy(part.lengths[rows]), texts)
    return StoryBatch(as_images(part.frames[rows], dtype), captions)


SMALL: Mapping[str, Any] = {
    "encoder": "tiny-1-2",
    "channels": (8, 16),
    "heads": 2,
    "sampling_steps": 2,
    "noise": 5,
    "code": 8,
    "middle": 4,
    "critic": 8,
    "assessor": 4,
    "context": 8,
    "batch_size": 8,
}
"""Settings that make any method of these tasks small, where it has them."""


def small_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of a method entry that trains in a second."""
    cls = METHODS.get(entry["method"])
    fields = cls.Config.model_fields
    width = {"width": 16 if "channels" in fields else 4}
    small = {name: value for name, value in {**SMALL, **width}.items() if name in fields}
    return cls.Config().model_dump() | small


def build(
    entry: Mapping[str, Any], data: GenerationData, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> GenerationMethod:
    """Builds a method as a job would, but small."""
    method = build_as_job(entry, small_config(entry), data, seed=seed, dtype=dtype)
    assert isinstance(method, GenerationMethod)
    return method


class Steps(NamedTuple):
    """What a short training came to.

    Attributes:
        losses: Mean loss of each epoch by group of parameters.
    """

    losses: dict[str, list[float]]


def fit(method: GenerationMethod, *, epochs: int = 2, seed: int = 0) -> Steps:
    """Trains a method briefly on the CPU, by the loop's protocol and in the order of the rows."""
    torch.manual_seed(component_seed(seed, "global"))
    if method.closed_form:
        method.fit()
        return Steps({})
    config: Any = method.innermost.config
    assert isinstance(config, GradientConfig)
    optimisers = Optimisers(method, config, epochs, Fabric(accelerator="cpu", devices=1))
    data, found = method.data, dict[str, list[list[float]]]()
    for epoch in range(1, epochs + 1):
        method.train()
        method.begin_epoch(epoch, torch.Generator().manual_seed(seed))
        for start in range(0, len(data.train), config.batch_size):
            for group, loss in method.steps(batch_of(data.train, slice(start, start + config.batch_size))):
                optimisers.step(group, loss.total)
                found.setdefault(group, [[] for _ in range(epochs)])[epoch - 1].append(float(loss.total.detach()))
        optimisers.end_epoch()
    return Steps({name: [float(np.mean(values)) for values in rows] for name, rows in found.items()})


def drawn(method: GenerationMethod, part: Any, rows: slice = slice(0, 4), *, seed: int = 0) -> Tensor:
    """Returns what a method makes of some rows of a split, in eval mode; stories are drawn from captions alone."""
    method.eval()
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        method.begin_scoring()
        dtype = next((weight.dtype for weight in method.parameters()), torch.float32)
        batch = batch_of(part, rows, dtype)
        if isinstance(batch, StoryBatch):
            assert isinstance(method, StoryGenerator)
            given = torch.zeros(batch.captions.lengths.shape, dtype=torch.bool)
            return method.complete(torch.zeros_like(batch.frames), given, batch.captions, stream)
        if isinstance(method, ImageEditor):
            assert batch.targets is not None
            return method.edit(batch.images, batch.targets)
        assert isinstance(method, ImageGenerator)
        return method.generate(batch.captions, stream)


class GenerationContract(DescentContract):
    """What every maker of images must do. Subclass one of the three below and set `method`."""

    method: ClassVar[str]
    task: ClassVar[str]

    def entry(self) -> dict[str, Any]:
        """Returns the method entry under test."""
        return {"method": self.method}

    def in_training(self, dtype: torch.dtype) -> tuple[GenerationMethod, ImageTextBatch | StoryBatch]:
        """Returns an untrained method in train mode, and four rows."""
        method = build(self.entry(), small_world(self.task), dtype=dtype)
        return method.train(), batch_of(method.data.train, slice(0, 4))

    def trained(self, *, epochs: int = 2, seed: int = 0) -> tuple[GenerationMethod, Steps]:
        """Returns the method after a short training, and what it came to."""
        method = build(self.entry(), small_world(self.task), seed=seed)
        return method, fit(method, epochs=epochs, seed=seed)

    def test_losses_are_finite_and_images_fit(self) -> None:
        """Losses are finite, and fall where there is only one; images are finite, in [-1, 1] and of the right shape."""
        method, steps = self.trained(epochs=4)
        assert all(np.isfinite(values).all() for values in steps.losses.values())
        if set(steps.losses) == {""}:
            assert steps.losses[""][-1] < steps.losses[""][0]
        part = method.data.valid
        images, wanted = drawn(method, part), batch_of(part, slice(0, 4))
        assert images.shape == wanted[0].shape and bool(torch.isfinite(images).all())
        assert float(images.min()) >= -1.0 and float(images.max()) <= 1.0

    def test_same_seed_gives_the_same_images(self) -> None:
        """Two trainings with one seed draw the same, bit for bit."""
        made = [drawn(method, method.data.valid) for method, _ in (self.trained(seed=3) for _ in range(2))]
        assert torch.equal(*made)

    def test_all_randomness_comes_from_the_generator(self) -> None:
        """Drawing depends on the given stream alone and leaves the global one as it was."""
        method, _ = self.trained(epochs=1)
        made = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            made.append(drawn(method, method.data.valid))
            assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(*made)

    def test_saved_weights_restore_the_images(self) -> None:
        """A fresh method with the trained one's `state_dict` draws the same."""
        method, _ = self.trained()
        fresh = build(self.entry(), method.data, seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(drawn(fresh, method.data.valid), drawn(method, method.data.valid))

    def test_a_single_row_is_a_batch(self) -> None:
        """One training row gives finite losses, and one caption a picture."""
        method = build(self.entry(), small_world(self.task))
        if not method.closed_form:
            method.train()
            for _, loss in method.steps(batch_of(method.data.train, slice(7, 8))):
                assert bool(torch.isfinite(loss.total))
                method.zero_grad()
                loss.total.backward()
        images = drawn(method, method.data.valid, slice(2, 3))
        assert len(images) == 1 and bool(torch.isfinite(images).all())

    def test_training_never_looks_at_other_splits(self) -> None:
        """Building and the losses do without validation rows; a test split is not there to be looked at."""
        poisoned: Any = Forbidden()
        hidden = replace(small_world(self.task), valid=poisoned)
        assert not hasattr(hidden, "test")
        fit(build(self.entry(), hidden), epochs=1)

    def test_drawing_needs_no_data(self) -> None:
        """With the data taken away after training, the images are the same bit for bit."""
        method, _ = self.trained(epochs=1)
        part = method.data.valid
        before = drawn(method, part)
        poisoned: Any = Forbidden()
        method.data = replace(method.data, train=poisoned, valid=poisoned)
        method.context = Context(method.data, {}, method.context.dtype)
        assert torch.equal(drawn(method, part), before)

    def test_a_very_long_caption_is_drawn(self) -> None:
        """A caption of 10,000 words does not stop a method."""
        method = build(self.entry(), small_world(self.task))
        part = lengthened(method.data.valid)
        images = drawn(method, part, slice(0, 1))
        assert bool(torch.isfinite(images).all())

    def test_float64_works_throughout(self) -> None:
        """Losses and images have the method's floating type."""
        method, batch = self.in_training(torch.float64)
        if method.closed_form:
            return
        for _, loss in method.steps(batch):
            assert loss.total.dtype == torch.float64 and bool(torch.isfinite(loss.total))
            method.zero_grad()
            loss.total.backward()
        assert drawn(method, method.data.valid).dtype == torch.float64


class ImageGeneratorContract(GenerationContract):
    """What every method of `text_to_image` must do."""

    task: ClassVar[str] = "text_to_image"

    def test_another_stream_gives_other_images(self) -> None:
        """A caption has more than one picture."""
        method, _ = self.trained(epochs=1)
        assert not torch.equal(drawn(method, method.data.valid), drawn(method, method.data.valid, seed=1))


class ImageEditorContract(GenerationContract):
    """What every method of `image_editing` must do."""

    task: ClassVar[str] = "image_editing"

    def test_sources_are_left_alone(self) -> None:
        """Editing does not write into the images it is given."""
        method = build(self.entry(), small_world(self.task))
        assert isinstance(method, ImageEditor)
        batch = batch_of(method.data.valid, slice(0, 4))
        assert isinstance(batch, ImageTextBatch) and batch.targets is not None
        before = batch.images.clone()
        method.eval()
        with torch.no_grad():
            method.begin_scoring()
            method.edit(batch.images, batch.targets)
        assert torch.equal(batch.images, before)


class StoryGeneratorContract(GenerationContract):
    """What every method of `story` must do."""

    task: ClassVar[str] = "story"

    def test_given_frames_come_back_bit_for_bit(self) -> None:
        """Whatever is given is returned: nothing, a prefix, a gap, the end, everything, and a mix of these."""
        method, _ = self.trained(epochs=1)
        assert isinstance(method, StoryGenerator)
        patterns = torch.tensor(
            [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.bool
        )
        batch = batch_of(method.data.valid, slice(0, len(patterns)))
        assert isinstance(batch, StoryBatch)
        method.eval()
        for given in (patterns, patterns[4:].expand(len(patterns), -1)):
            shown = batch.frames * given[:, :, None, None, None]
            before = shown.clone()
            with torch.no_grad():
                method.begin_scoring()
                made = method.complete(shown, given, batch.captions, torch.Generator().manual_seed(0))
            assert torch.equal(shown, before)
            assert made.shape == shown.shape and torch.equal(made[given], shown[given])
            assert bool(torch.isfinite(made).all())


def lengthened(part: Any) -> Any:
    """Returns a split whose captions are repeated to 10,000 words."""

    def texts(captions: Texts) -> Texts:
        tokens = np.full((len(captions), 10_000), 2, dtype=np.int32)
        return Texts(tokens, np.full(len(captions), 10_000), np.array(["a " * 10_000] * len(captions)))

    if isinstance(part, Edits):
        return replace(
            part, sources=replace(part.sources, captions=texts(part.sources.captions)), targets=texts(part.targets)
        )
    if isinstance(part, CaptionedImages):
        return replace(part, captions=texts(part.captions))
    shape = part.lengths.shape
    tokens = np.full((*shape, 10_000), 2, dtype=np.int32)
    return replace(part, tokens=tokens, lengths=np.full(shape, 10_000), texts=np.full(shape, "a " * 10_000))
