"""What a third party's image classifier can be tested with: a small world, and a contract every method keeps.

Use it in a test module of your own package::

    class TestMine(ClassifierContract):
        method = "mine"
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np
import torch

from bench.data.classification import ClassificationData, LabelledImages, TrainingText
from bench.methods.base import Context
from bench.methods.classifier import Classifier, ClassifierAdapter, ImageBatch, TextBatch, as_images
from bench.methods.registry import METHODS
from bench.tasks.classification import TASK
from bench.testing.common import build_as_job, train_briefly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.training.loop import TrainResult

COLOURS = np.array([[200, 60, 60], [60, 180, 70], [70, 80, 210], [210, 190, 60]])


def small_world(
    *,
    train: int = 64,
    valid: int = 32,
    side: int = 16,
    form: Literal["set", "sentence"] = "set",
    level: Literal["image", "class"] = "image",
    seed: int = 0,
) -> ClassificationData:
    """Returns generated images of four classes, each a coloured disc on a noisy ground, with words about them.

    Words 1 to 4 name the colour, 5 and 6 the half of the image the disc lies in (for each image, or at random for each
    class), and 7 says nothing.

    Args:
        train: Training images.
        valid: Validation images.
        side: Pixels.
        form: Of the text.
        level: Of the text; `class` makes it equal within a class.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    parts = {}
    for name, count in (("train", train), ("valid", valid)):
        labels = np.arange(count) % len(COLOURS)
        centres = rng.uniform(0.3, 0.7, size=(count, 2)) * side
        rows, columns = np.mgrid[0:side, 0:side]
        inside = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2 < (0.28 * side) ** 2
        ground = rng.integers(90, 160, size=(count, 1, 1, 3))
        pixels = np.where(inside[..., None], COLOURS[labels][:, None, None], ground)
        noisy = np.clip(pixels + rng.normal(0, 20, size=pixels.shape), 0, 255).astype(np.uint8)
        ids = np.array([f"{name}/{index}" for index in range(count)])
        parts[name] = (LabelledImages(noisy, labels.astype(np.int64), ids), centres[:, 1] > side / 2)
    images, right = parts["train"]
    half = np.arange(len(COLOURS))[images.labels] % 2 if level == "class" else right
    tokens = np.zeros((train, 4), dtype=np.int32)
    tokens[:, 0], tokens[:, 1] = images.labels + 1, 5 + half
    if level == "image":
        tokens[rng.random(train) < 0.5, 2] = 7
    vocabulary = ("", "red", "green", "blue", "yellow", "left", "right", "dish")
    return ClassificationData(
        name="small-world",
        classes=("red", "green", "blue", "yellow"),
        train=images,
        valid=parts["valid"][0],
        text=TrainingText(tokens, vocabulary, form, level),
        digest=f"small-world-{train}-{valid}-{side}-{form}-{level}-{seed}",
    )


class Forbidden:
    """Stands where a method must not look: whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AssertionError(f"a method reached for {name!r} of something it must not see")


def batch_of(data: ClassificationData, rows: Sequence[int], dtype: torch.dtype = torch.float32) -> ImageBatch:
    """Returns the batch of some training rows, as they are: nothing is augmented."""
    at, words = np.asarray(rows), None
    if data.text is not None:
        tokens = torch.from_numpy(data.text.tokens[at].astype(np.int64))
        words = TextBatch(tokens, (tokens > 0).sum(1).clamp(min=1))
    pixels = torch.from_numpy(data.train.pixels[at])
    return ImageBatch(as_images(pixels, dtype), torch.from_numpy(data.train.labels[at]), words)


def logits_of(method: Classifier, data: ClassificationData) -> torch.Tensor:
    """Returns the (n, classes) logits of the validation images, in eval mode."""
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        dtype = next(method.parameters()).dtype
        return method.logits(as_images(torch.from_numpy(data.valid.pixels), dtype))


def small_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of a method entry that trains in a second; what it wraps is under `wrapped`."""
    cls = METHODS.get(entry["method"])
    small = {"size": "tiny", "dim": 24, "hidden": 32, "batch_size": 16, "lr": 5e-3, "warmup_epochs": 0}
    config = cls.Config().model_dump() | {key: value for key, value in small.items() if key in cls.Config.model_fields}
    if entry.get("wrap"):
        config["wrapped"] = small_config(entry["wrap"])
    return config


def build(
    entry: Mapping[str, Any],
    data: ClassificationData,
    *,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Classifier:
    """Builds a method as a job would."""
    method = build_as_job(entry, config or small_config(entry), data, seed=seed, dtype=dtype)
    assert isinstance(method, Classifier)
    return method


def fit(method: Classifier, data: ClassificationData, *, epochs: int = 3, seed: int = 0) -> TrainResult:
    """Trains a method briefly on the CPU."""
    return train_briefly(method, data, TASK, "top1", epochs=epochs, seed=seed)


class ClassifierContract:
    """What every image classifier must do, whatever it computes. Subclass and set `method` (and `wrap`)."""

    method: ClassVar[str]
    wrap: ClassVar[str | None] = None

    def entry(self) -> dict[str, Any]:
        """Returns the method entry under test."""
        wrapped = {"wrap": {"method": self.wrap}} if self.wrap else {}
        return {"method": self.method, **wrapped}

    def trained(
        self, data: ClassificationData, *, epochs: int = 3, seed: int = 0, **build_options: Any
    ) -> tuple[Classifier, TrainResult]:
        """Returns the method after a short training, and what it came to."""
        method = build(self.entry(), data, seed=seed, **build_options)
        return method, fit(method, data, epochs=epochs, seed=seed)

    def test_it_learns_the_small_world(self) -> None:
        """The loss is finite and falls, logits are finite, and validation accuracy is far above the chance of 0.25."""
        data = small_world()
        method, result = self.trained(data, epochs=12)
        losses = [point.values["loss"] for point in result.curve]
        assert np.isfinite(losses).all() and losses[-1] < losses[0]
        logits = logits_of(method, data)
        assert logits.shape == (len(data.valid), len(data.classes)) and bool(torch.isfinite(logits).all())
        assert result.value > 0.5
        assert isinstance(method, ClassifierAdapter) == bool(self.wrap)

    def test_same_seed_gives_the_same_logits(self) -> None:
        """Two trainings with one seed agree bit for bit."""
        data = small_world()
        found = [logits_of(self.trained(data, epochs=2, seed=3)[0], data) for _ in range(2)]
        assert torch.equal(*found)

    def test_saved_weights_restore_the_logits(self) -> None:
        """A fresh method with the trained one's `state_dict` answers the same."""
        data = small_world()
        method, _ = self.trained(data, epochs=2)
        fresh = build(self.entry(), data, seed=9)
        fresh.load_state_dict(method.state_dict())
        torch.testing.assert_close(logits_of(fresh, data), logits_of(method, data))

    def test_an_image_alone_is_judged_as_in_a_crowd(self) -> None:
        """A batch of one gives that image's row of the whole, whatever was drawn before."""
        data = small_world()
        method, _ = self.trained(data, epochs=2)
        everyone = logits_of(method, data)
        torch.manual_seed(123)
        alone = logits_of(method, replace(data, valid=_rows(data.valid, [7])))
        torch.testing.assert_close(alone[0], everyone[7], rtol=1e-4, atol=1e-5)

    def test_a_single_row_is_a_batch(self) -> None:
        """The loss of a batch of one training row is finite, and so are its gradients."""
        data = small_world()
        method = build(self.entry(), data)
        method.train()
        loss = method.loss(batch_of(data, [7])).total
        assert bool(torch.isfinite(loss))
        loss.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)

    def test_prediction_needs_neither_text_nor_labels(self) -> None:
        """With training data and text taken away after training, the logits are the same bit for bit."""
        data = small_world()
        method, _ = self.trained(data, epochs=2)
        before = logits_of(method, data)
        poisoned: Any = Forbidden()
        blind = replace(data, text=poisoned, train=poisoned, classes=poisoned)
        for part in method.modules():
            if isinstance(part, Classifier):
                part.data, part.context = blind, Context(blind, {}, part.context.dtype)
        assert torch.equal(logits_of(method, data), before)

    def test_training_never_looks_at_other_splits(self) -> None:
        """Building and the loss do without the validation images; a test split is not there to be looked at."""
        data = small_world()
        poisoned: Any = Forbidden()
        hidden = replace(data, valid=poisoned)
        assert not hasattr(hidden, "test")
        method = build(self.entry(), hidden)
        method.train()
        assert bool(torch.isfinite(method.loss(batch_of(data, range(16))).total))

    def test_other_sides_and_types_work(self) -> None:
        """Images of 20 x 28 pixels, sentences that tell the class, and float64 throughout."""
        data = small_world(side=28, form="sentence", level="class")
        cut = {
            name: replace(getattr(data, name), pixels=getattr(data, name).pixels[:, :20]) for name in ("train", "valid")
        }
        data = replace(data, **cut)
        method = build(self.entry(), data, dtype=torch.float64)
        method.train()
        for dtype in (torch.float32, torch.float64):  # augmented batches are float32 whatever the method computes in
            loss = method.loss(batch_of(data, range(16), dtype)).total
            assert loss.dtype == torch.float64 and bool(torch.isfinite(loss))
        loss.backward()
        logits = logits_of(method, data)
        assert logits.dtype == torch.float64 and bool(torch.isfinite(logits).all())


def _rows(images: LabelledImages, rows: list[int]) -> LabelledImages:
    return LabelledImages(images.pixels[rows], images.labels[rows], images.ids[rows])
