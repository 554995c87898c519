from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench.metrics.classification as module
from bench.errors import UserError
from bench.metrics.classification import Predictions, confusion, parse, score
from bench.metrics.registry import METRICS

FAMILIES = {
    family.name: family
    for family in (module.TOP1, module.TOP5, module.NLL, module.MACRO_F1, module.ECE, module.CLASS_ACCURACY)
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The families, whether or not the registry lists them already."""
    known = {name: METRICS.get(name) for name in METRICS.names()}
    monkeypatch.setattr(module, "METRICS", known | FAMILIES)


def by_hand(logits: list[list[float]], labels: list[int]) -> dict[str, float]:
    """Every metric image by image, in plain Python."""
    n_classes = len(logits[0])
    orders = [sorted(range(n_classes), key=lambda c: (-row[c], c)) for row in logits]
    exps = [[math.exp(value - max(row)) for value in row] for row in logits]
    probabilities = [[value / sum(row) for value in row] for row in exps]
    first = [order[0] for order in orders]
    values = {
        "top1": np.mean([label in order[:1] for order, label in zip(orders, labels, strict=True)]),
        "top5": np.mean([label in order[:5] for order, label in zip(orders, labels, strict=True)]),
        "nll": np.mean([-math.log(row[label]) for row, label in zip(probabilities, labels, strict=True)]),
    }
    scores = []
    for c in sorted({*labels, *first}):
        hits = sum(p == c == t for p, t in zip(first, labels, strict=True))
        precision = hits / first.count(c) if c in first else 0.0
        recall = hits / labels.count(c) if c in labels else 0.0
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    values["macro_f1"] = np.mean(scores)
    gap = 0.0
    for m in range(15):
        rows = [i for i, row in enumerate(probabilities) if m / 15 < max(row) <= (m + 1) / 15]
        if rows:
            accuracy = np.mean([first[i] == labels[i] for i in rows])
            confidence = np.mean([max(probabilities[i]) for i in rows])
            gap += len(rows) / len(labels) * abs(accuracy - confidence)
    values["ece"] = gap
    return {name: float(value) for name, value in values.items()}


# Few distinct logits, so that ties are common; none that puts a probability on the edge of a bin by rounding.
cases = st.integers(2, 8).flatmap(
    lambda c: st.lists(
        st.tuples(st.lists(st.sampled_from([-2.0, 0.0, 0.7, 3.1]), min_size=c, max_size=c), st.integers(0, c - 1)),
        min_size=1,
        max_size=25,
    )
)


def on_an_edge(logits: np.ndarray) -> bool:
    largest = np.exp(Predictions(logits, np.zeros(len(logits), int)).log_probabilities.max(1)) * 15
    return bool((np.abs(largest - np.round(largest)) < 1e-9).any())


@given(cases)
def test_metrics_are_what_their_definitions_say(rows: list[tuple[list[float], int]]) -> None:
    logits, labels = [row for row, _ in rows], [label for _, label in rows]
    expected = by_hand(logits, labels)
    found = Predictions(np.array(logits), np.array(labels))
    scores, totals = score({"clean": found}, [str(c) for c in range(len(logits[0]))], list(expected))
    values = {name: float(np.mean(value)) for name, value in scores.items()} | totals
    assert set(totals) == {"macro_f1", "ece"}
    for name in ("top1", "top5", "nll", "macro_f1") + (() if on_an_edge(np.array(logits)) else ("ece",)):
        assert values[name] == pytest.approx(expected[name], abs=1e-12), name
    table = confusion(found, len(logits[0]))
    assert table.sum() == len(labels)
    assert np.trace(table) == sum(scores["top1"])
    assert table.sum(1).tolist() == np.bincount(labels, minlength=len(logits[0])).tolist()


@given(cases, st.floats(-50, 50))
def test_adding_a_constant_to_all_logits_changes_no_probability(
    rows: list[tuple[list[float], int]], constant: float
) -> None:
    logits, labels = np.array([row for row, _ in rows]), np.array([label for _, label in rows])
    before, after = Predictions(logits, labels), Predictions(logits + constant, labels)
    np.testing.assert_allclose(after.log_probabilities, before.log_probabilities, atol=1e-9)
    np.testing.assert_allclose(np.exp(before.log_probabilities).sum(1), 1.0)


def test_a_sure_and_right_classifier_is_calibrated_and_a_sure_and_wrong_one_is_not() -> None:
    logits = np.full((10, 3), -1000.0)
    logits[:, 1] = 1000.0
    right, wrong = (Predictions(logits, np.full(10, label)) for label in (1, 2))
    assert score({"clean": right}, "abc", ["ece", "nll"])[1]["ece"] == 0.0
    scores, totals = score({"clean": wrong}, "abc", ["ece", "nll"])
    assert totals["ece"] == 1.0
    assert scores["nll"].tolist() == [2000.0] * 10


def test_equal_logits_are_ordered_by_class_number() -> None:
    found = Predictions(np.zeros((7, 7)), np.arange(7))
    assert found.ranks.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.classes.tolist() == [0] * 7


def test_a_condition_counts_its_own_images_and_shifted_all_but_the_clean_ones() -> None:
    rng = np.random.default_rng(0)
    parts = {
        name: Predictions(rng.normal(size=(n, 4)), rng.integers(0, 4, n))
        for name, n in (("clean", 5), ("viewpoint", 7), ("lighting", 3))
    }
    names = ["top1", "top1[viewpoint]", "top1[shifted]", "class_accuracy[c]", "macro_f1[lighting]", "ece[shifted]"]
    scores, totals = score(parts, "abcd", names)
    inside = {name: ~np.isnan(values) for name, values in scores.items()}
    assert all(len(values) == 15 for values in scores.values())
    assert np.flatnonzero(inside["top1"]).tolist() == list(range(5))
    assert np.flatnonzero(inside["top1[viewpoint]"]).tolist() == list(range(5, 12))
    assert np.flatnonzero(inside["top1[shifted]"]).tolist() == list(range(5, 15))
    assert inside["class_accuracy[c]"].sum() == (parts["clean"].labels == 2).sum()
    together = np.concatenate([(p.classes == p.labels) for name, p in parts.items() if name != "clean"])
    assert np.nanmean(scores["top1[shifted]"]) == pytest.approx(together.mean())
    lighting = by_hand(parts["lighting"].logits.tolist(), parts["lighting"].labels.tolist())
    assert totals["macro_f1[lighting]"] == pytest.approx(lighting["macro_f1"])
    both = [np.concatenate([getattr(parts[c], f) for c in ("viewpoint", "lighting")]) for f in ("logits", "labels")]
    assert totals["ece[shifted]"] == pytest.approx(by_hand(both[0].tolist(), both[1].tolist())["ece"])


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("top1", "maximize"),
        ("nll[viewpoint]", "minimize"),
        ("ece", "minimize"),
        ("class_accuracy[Sour Milk]", "maximize"),
    ],
)
def test_names_are_read_with_their_direction(name: str, direction: str) -> None:
    metric = parse(name)
    assert (metric.name, metric.direction) == (name, direction)
    assert "[" not in name or name.partition("[")[2][:-1] in metric.summary


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("topp1", "unknown metric 'topp1'. Did you mean 'top1'?"),
        ("recall@20", "unknown metric 'recall@20'."),
        ("macro-f1", "unknown metric 'macro-f1'. Did you mean 'macro_f1'?"),
        ("top1[]", "metric 'top1[]' needs a test condition in the brackets."),
        ("top1[viewpoint", "metric 'top1[viewpoint' needs a test condition in the brackets."),
        ("class_accuracy", "metric 'class_accuracy' needs a class in the brackets."),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(name)
    assert caught.value.message == said
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("top1[viewpont]", "dataset 'dishes' has no test condition 'viewpont'. Did you mean 'viewpoint'?"),
        ("class_accuracy[Limon]", "dataset 'dishes' has no class 'Limon'. Did you mean 'Lemon'?"),
    ],
)
def test_what_the_data_lacks_is_told(name: str, said: str) -> None:
    with pytest.raises(UserError, match="dataset 'dishes'") as caught:
        module.check(["top1", name], dataset="dishes", classes=["Lemon", "Lime"], conditions=["clean", "viewpoint"])
    assert said in caught.value.message
    assert "It has" in str(caught.value.hint)


def test_nothing_is_shifted_in_data_with_one_condition() -> None:
    module.check(["top1", "top1[clean]"], dataset="grocery", classes=["a"], conditions=["clean"])
    with pytest.raises(UserError, match="no test condition but 'clean'"):
        module.check(["top1[shifted]"], dataset="grocery", classes=["a"], conditions=["clean"])
