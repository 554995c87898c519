from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import bench.metrics.classification as metrics
from bench.data.classification import ClassificationData, LabelledImages
from bench.errors import DivergedError, UserError
from bench.methods.base import Context
from bench.methods.classifier import Classifier
from bench.metrics.registry import METRICS
from bench.spec.config import MethodConfig
from bench.tasks.augment import PAD, _crop_and_mirror, augment
from bench.tasks.classification import TASK, predict
from bench.testing.classification import small_world

if TYPE_CHECKING:
    from bench.methods.classifier import ImageBatch

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The families, whether or not the registry lists them already."""
    families = (metrics.TOP1, metrics.TOP5, metrics.NLL, metrics.MACRO_F1, metrics.ECE, metrics.CLASS_ACCURACY)
    known = {name: METRICS.get(name) for name in METRICS.names()}
    monkeypatch.setattr(metrics, "METRICS", known | {family.name: family for family in families})


class MeanColour(Classifier):
    """A linear model of the mean colour, with a log of how it was called."""

    def __init__(self, data: ClassificationData, *, broken: bool = False) -> None:
        super().__init__(MethodConfig(), Context(data))
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(3, self.n_classes)
        self.calls: list[Any] = []
        self.broken = broken

    def begin_scoring(self) -> None:
        self.calls.append("begin")

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        self.calls.append((len(images), self.training, torch.is_grad_enabled()))
        logits: torch.Tensor = self.linear(images.mean((2, 3)))
        return logits / 0 if self.broken else logits


def epoch(data: ClassificationData, batch_size: int, seed: int = 0) -> list[ImageBatch]:
    generator = torch.Generator().manual_seed(seed)
    return list(TASK.batches(data, batch_size=batch_size, device=CPU, generator=generator).epoch())


def dataset(data: ClassificationData, test: dict[str, LabelledImages]) -> Any:
    return SimpleNamespace(training=lambda: data, test=lambda: test)


@given(st.integers(1, 23), st.integers(1, 12))
def test_an_epoch_has_every_image_once_and_no_last_batch_of_one(count: int, batch_size: int) -> None:
    data = small_world(train=count, valid=4, side=8)
    data = replace(data, train=replace(data.train, labels=np.arange(count)))
    batches = epoch(data, batch_size)
    assert sorted(torch.cat([batch.labels for batch in batches]).tolist()) == list(range(count))
    sizes = [len(batch.labels) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] > 1 or batch_size == 1 or count == 1
    for batch in batches:
        assert batch.text is not None
        assert batch.images.shape == (len(batch.labels), 3, 8, 8)
        assert len(batch.text.tokens) == len(batch.labels)
        assert batch.text.tokens.dtype == torch.int64
        assert int(batch.text.lengths.min()) >= 1


def test_text_stays_beside_its_image() -> None:
    data = small_world(train=40)
    assert data.text is not None
    data = replace(data, train=replace(data.train, labels=np.arange(40)))
    for batch in epoch(data, 16):
        assert batch.text is not None
        assert torch.equal(batch.text.tokens, torch.from_numpy(data.text.tokens[batch.labels.numpy()]).long())


def test_data_without_text_gives_batches_without_text() -> None:
    assert all(batch.text is None for batch in epoch(replace(small_world(), text=None), 16))


@pytest.mark.parametrize("side", [16, 64])
def test_one_seed_gives_one_epoch_and_another_gives_another(side: int) -> None:
    data = small_world(train=10, side=side)
    first, again, other = epoch(data, 4), epoch(data, 4), epoch(data, 4, seed=1)
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].images, other[0].images)


def test_small_images_are_shifted_by_whole_pixels_and_mirrored() -> None:
    pixels = torch.randint(1, 256, (200, 12, 10, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    out = (augment(pixels, torch.Generator().manual_seed(1)) * 255).round().to(torch.uint8)
    padded = torch.nn.functional.pad(pixels, (0, 0, PAD, PAD, PAD, PAD))
    seen = set()
    for image, source in zip(out.permute(0, 2, 3, 1), padded, strict=True):
        places = [
            (y, x, mirror)
            for y in range(2 * PAD + 1)
            for x in range(2 * PAD + 1)
            for mirror in (False, True)
            if torch.equal(image, source[y : y + 12, x : x + 10].flip(1) if mirror else source[y : y + 12, x : x + 10])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert {y for y, _, _ in seen} == {x for _, x, _ in seen} == set(range(9))
    assert {mirror for _, _, mirror in seen} == {False, True}


def test_large_images_are_cut_to_a_part_of_bounded_area_and_ratio() -> None:
    """Pixels tell where they came from: red grows with the column, green with the row."""
    side, count = 64, 400
    ramp = torch.zeros(3, side, side)
    ramp[0], ramp[1] = torch.linspace(0, 1, side)[None, :], torch.linspace(0, 1, side)[:, None]
    out = _crop_and_mirror(ramp.expand(count, -1, -1, -1), torch.Generator().manual_seed(0))
    # First and last pixel centres are (side - 1) / side of a crop apart, and 1 is (side - 1) pixels of the ramp.
    wide, high = (out[:, 0, 0, -1] - out[:, 0, 0, 0]), (out[:, 1, -1, 0] - out[:, 1, 0, 0])
    assert abs(float((wide < 0).double().mean()) - 0.5) < 0.1
    assert bool((high > 0).all())
    area, ratio = wide.abs() * high, wide.abs() / high
    assert 0.23 < float(area.min()) < 0.3 and 0.95 < float(area.max()) <= 1.001
    assert 0.74 < float(ratio.min()) < 0.8 and 1.25 < float(ratio.max()) < 1.35
    assert float(ratio.log().mean().abs()) < 0.03


def test_large_images_change_in_colour_and_stay_in_range() -> None:
    pixels = torch.randint(0, 256, (50, 64, 64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    out = augment(pixels, torch.Generator().manual_seed(0))
    assert out.dtype == torch.float32 and out.shape == (50, 3, 64, 64)
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    flat = torch.full((50, 64, 64, 3), 128, dtype=torch.uint8)
    brightness = augment(flat, torch.Generator().manual_seed(0)).mean((1, 2, 3)) * 255 / 128
    assert 0.6 <= float(brightness.min()) < 0.7 and 1.3 < float(brightness.max()) <= 1.4001


def test_validation_scores_images_alone_in_eval_mode() -> None:
    data = small_world(valid=30)
    method = MeanColour(data)
    method.train()
    values = TASK.validate(method, data, ["top1", "nll", "ece"])
    assert method.calls == ["begin", (30, False, False)]
    assert method.training
    assert set(values) == {"top1", "nll", "ece"}
    images = torch.from_numpy(data.valid.pixels).permute(0, 3, 1, 2).float() / 255
    expected = (method.logits(images).argmax(1) == torch.from_numpy(data.valid.labels)).double().mean()
    assert values["top1"] == pytest.approx(float(expected))


def test_blocks_of_images_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_world(valid=30)
    method = MeanColour(data)
    whole = predict(method, {"clean": data.valid})["clean"].logits
    monkeypatch.setattr("bench.tasks.classification.IMAGES_PER_BLOCK", 7)
    np.testing.assert_allclose(predict(method, {"clean": data.valid})["clean"].logits, whole, rtol=1e-6)
    monkeypatch.setattr("bench.tasks.classification.IMAGES_PER_BLOCK", 1)
    np.testing.assert_allclose(predict(method, {"clean": data.valid})["clean"].logits, whole, rtol=1e-6)


def test_a_metric_of_another_condition_is_left_to_the_test_split() -> None:
    data = replace(small_world(), conditions=("clean", "viewpoint"))
    assert set(TASK.validate(MeanColour(data), data, ["top1", "top1[viewpoint]", "ece[shifted]"])) == {"top1"}


@pytest.mark.parametrize("name", ["top1[viewpoint]", "macro_f1[shifted]"])
def test_a_metric_of_another_condition_cannot_select(name: str) -> None:
    data = replace(small_world(), conditions=("clean", "viewpoint"))
    with pytest.raises(UserError, match="cannot select: the validation images of 'small-world' are all 'clean'"):
        TASK.validate(MeanColour(data), data, [name, "top1"])


def test_a_class_without_validation_image_cannot_select_and_is_left_out() -> None:
    data = small_world(valid=30)
    keep = data.valid.labels != 2
    valid = LabelledImages(data.valid.pixels[keep], data.valid.labels[keep], data.valid.ids[keep])
    data = replace(data, valid=valid)
    assert set(TASK.validate(MeanColour(data), data, ["top1", "class_accuracy[blue]"])) == {"top1"}
    with pytest.raises(UserError, match="no validation image of that class"):
        TASK.validate(MeanColour(data), data, ["class_accuracy[blue]"])


def test_a_condition_that_the_data_lacks_is_told_at_the_first_validation() -> None:
    data = small_world()
    with pytest.raises(UserError, match="no test condition 'viewpoint'"):
        TASK.validate(MeanColour(data), data, ["top1", "top1[viewpoint]"])


def test_logits_that_are_not_finite_are_a_divergence() -> None:
    data = small_world()
    method = MeanColour(data, broken=True)
    method.train()
    with pytest.raises(DivergedError, match="MeanColour gave logits that are not finite"):
        TASK.validate(method, data, ["top1"])
    assert method.training


def test_units_are_the_images_of_all_conditions_whatever_the_metrics() -> None:
    data = replace(small_world(), conditions=("clean", "viewpoint", "lighting"))
    test = {name: small_world(valid=n, seed=n).valid for name, n in (("lighting", 1), ("clean", 9), ("viewpoint", 5))}
    method = MeanColour(data)
    found = TASK.evaluate(method, dataset(data, test), ["top1", "top1[shifted]", "macro_f1", "class_accuracy[red]"])
    assert method.calls[0] == "begin" and method.calls.count("begin") == 1
    units = found.units.tolist()
    assert units[0] == "valid/0" and units[9] == "viewpoint/valid/0" and units[-1] == "lighting/valid/0"
    assert len(set(units)) == 15
    assert TASK.evaluate(method, dataset(data, test), ["nll"]).units.tolist() == units
    assert (~np.isnan(found.scores["top1"])).nonzero()[0].tolist() == list(range(9))
    assert set(found.totals) == {"macro_f1"}
    assert found.values["top1"] == pytest.approx(np.mean(found.scores["top1"][:9]))
    assert found.values["top1[shifted]"] == pytest.approx(np.mean(found.scores["top1[shifted]"][9:]))


def test_the_confusion_matrix_is_left_as_a_sample() -> None:
    data = small_world()
    found = TASK.evaluate(MeanColour(data), dataset(data, {"clean": data.valid}), ["top1"])
    (sample,) = found.samples
    assert (sample.name, sample.media_type, sample.notes["kind"]) == (
        "confusion matrix",
        "application/json",
        "confusion",
    )
    content = json.loads(sample.data)
    counts = np.array(content["counts"])
    assert content["classes"] == list(data.classes)
    assert counts.sum(1).tolist() == np.bincount(data.valid.labels).tolist()
    assert np.trace(counts) / counts.sum() == pytest.approx(found.values["top1"])
    assert content["class_accuracy"] == pytest.approx(np.diag(counts) / counts.sum(1))


def test_only_a_classifier_can_be_scored() -> None:
    data = small_world()
    with pytest.raises(TypeError, match="scores a Classifier"):
        TASK.validate(torch.nn.Linear(1, 1), data, ["top1"])  # type: ignore[arg-type]
