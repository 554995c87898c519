"""Task `classification`: name the class of an image. Text exists in training only; scoring gets images alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.data.classification import CLEAN
from bench.errors import DivergedError, UserError
from bench.methods.classifier import Classifier, ImageBatch, TextBatch, as_images
from bench.metrics import classification
from bench.metrics.classification import Predictions
from bench.tasks.augment import augment
from bench.tasks.base import Evaluation, Sample, values_of
from bench.tasks.batches import Shuffled
from bench.tasks.scoring import place_of, scoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.data.classification import ClassificationData, LabelledImages
    from bench.data.dataset import Dataset
    from bench.methods.base import Method
    from bench.metrics.base import Metric

IMAGES_PER_BLOCK = 256
"""Images scored at a time on a CPU; four times as many elsewhere."""


class TrainingImages:
    """Shuffled and augmented training images, each with its text where the data has any.

    A last batch of one image joins the one before it, since batch normalisation has no variance to estimate from one
    image; no image is left out of an epoch.

    Args:
        data: Images and text.
        batch_size: Images in a batch; the last of an epoch may be smaller, or larger by one.
        device: Where batches live.
        generator: CPU random stream of the order and of the augmentation.
    """

    def __init__(
        self, data: ClassificationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.data = data
        self.labels = torch.from_numpy(np.array(data.train.labels, dtype=np.int64))
        self.order = Shuffled(len(self.labels), batch_size, generator)
        self.device = device
        self.generator = generator

    def epoch(self) -> Iterator[ImageBatch]:
        """Yields the batches of one epoch."""
        for rows in self.order.epoch():
            yield self.batch(rows)

    def batch(self, rows: np.ndarray) -> ImageBatch:
        """Returns the augmented batch of some training images, (B,) int64 rows."""
        text = self.data.text
        pixels = torch.from_numpy(np.array(self.data.train.pixels[rows])).to(self.device)
        words = None
        if text is not None:
            tokens = torch.from_numpy(text.tokens[rows].astype(np.int64))
            lengths = (tokens > 0).sum(1).clamp(min=1)
            words = TextBatch(tokens.to(self.device), lengths.to(self.device))
        return ImageBatch(augment(pixels, self.generator), self.labels[rows].to(self.device), words)


class ClassificationTask:
    """Single-label image classification."""

    name = "classification"
    family = "classification"
    unit = "image"
    summary = "Name the class of an image; training may see a text beside it, scoring sees the image alone."
    default_metrics = ("top1", "top5", "macro_f1", "ece")

    def metric(self, name: str) -> Metric:
        """Reads a metric name such as `top1` or `top1[viewpoint]`; UserError when there is none."""
        return classification.parse(name)

    def batches(
        self, data: ClassificationData, *, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> TrainingImages:
        """Returns shuffled, augmented training batches."""
        return TrainingImages(data, batch_size=batch_size, device=device, generator=generator)

    def validate(self, method: Method, data: ClassificationData, metrics: Sequence[str]) -> dict[str, float]:
        """Scores a method on the validation images, which are all `clean`.

        Metrics under another test condition have no value here and are left out, as are those of a class without a
        validation image. The first metric is the one that selects.

        Raises:
            UserError: The dataset has not what a metric names, or the first metric has no value on validation.
            DivergedError: Logits are not finite.
        """
        classification.check(metrics, dataset=data.name, classes=data.classes, conditions=data.conditions)
        here = [name for name in metrics if classification.take_apart(name).condition == CLEAN]
        if metrics[0] not in here:
            raise UserError(
                f"metric {metrics[0]!r} cannot select: the validation images of {data.name!r} are all {CLEAN!r}.",
                hint=f"Select by {metrics[0].partition('[')[0]}, and report {metrics[0]}.",
            )
        predictions = predict(method, {CLEAN: data.valid})
        scores, totals = classification.score(predictions, data.classes, here)
        values = values_of(scores, totals)
        if np.isnan(values[metrics[0]]):
            raise UserError(
                f"metric {metrics[0]!r} cannot select: {data.name!r} has no validation image of that class.",
                hint="Select by top1 or macro_f1.",
            )
        return {name: value for name, value in values.items() if not np.isnan(value)}

    def evaluate(self, method: Method, dataset: Dataset, metrics: Sequence[str]) -> Evaluation:
        """Opens the test split and scores a trained method on the images of every test condition.

        Units are the images of all conditions, whatever the metrics, so that runs can be compared: the image's id, and
        `<condition>/<id>` under a condition other than `clean`.

        Raises:
            UserError: The dataset has not what a metric names.
            DivergedError: Logits are not finite.
        """
        data: ClassificationData = dataset.training()
        classification.check(metrics, dataset=data.name, classes=data.classes, conditions=data.conditions)
        test: Mapping[str, LabelledImages] = dataset.test()
        images = {condition: test[condition] for condition in data.conditions}
        predictions = predict(method, images)
        scores, totals = classification.score(predictions, data.classes, metrics)
        units = [
            name if condition == CLEAN else f"{condition}/{name}"
            for condition, part in images.items()
            for name in part.ids.tolist()
        ]
        return Evaluation(np.array(units), scores, totals, (confusion_sample(predictions[CLEAN], data.classes),))


def predict(method: Method, images: Mapping[str, LabelledImages]) -> dict[str, Predictions]:
    """Has a method judge images, in eval mode and by the images alone; its mode is put back.

    Args:
        method: A classifier.
        images: By test condition.

    Returns:
        Predictions by test condition.

    Raises:
        DivergedError: A logit is NaN or infinite.
    """
    if not isinstance(method, Classifier):
        raise TypeError(f"task 'classification' scores a Classifier, but got {type(method).__name__}")
    with scoring(method):
        return {name: Predictions(_logits(method, part), np.asarray(part.labels)) for name, part in images.items()}


def confusion_sample(predictions: Predictions, classes: Sequence[str]) -> Sample:
    """Returns the confusion matrix as JSON: classes, counts (true class, predicted class) and accuracy by class."""
    counts = classification.confusion(predictions, len(classes))
    images = counts.sum(axis=1)
    accuracy = [float(hits / total) if total else None for hits, total in zip(np.diag(counts), images, strict=True)]
    content = {"classes": list(classes), "counts": counts.tolist(), "class_accuracy": accuracy}
    return Sample(
        name="confusion matrix",
        media_type="application/json",
        data=json.dumps(content, ensure_ascii=False).encode(),
        notes={"kind": "confusion", "condition": CLEAN, "images": len(predictions)},
    )


def _logits(method: Classifier, images: LabelledImages) -> np.ndarray:
    place = place_of(method)
    block = IMAGES_PER_BLOCK if place.device.type == "cpu" else 4 * IMAGES_PER_BLOCK
    found = np.empty((len(images), method.n_classes), dtype=np.float64)
    for start in range(0, len(images), block):
        pixels = torch.from_numpy(np.array(images.pixels[start : start + block]))
        logits = method.logits(as_images(pixels.to(place.device), place.dtype))
        if not bool(torch.isfinite(logits).all()):
            raise DivergedError(f"{type(method).__name__} gave logits that are not finite", epoch=0)
        found[start : start + block] = logits.double().cpu().numpy()
    return found


TASK = ClassificationTask()
