"""Distances between sets of feature vectors and between images: what must hold for any input."""

from __future__ import annotations

import subprocess
import sys
import warnings

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import entr, rel_entr, softmax
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from bench.metrics import feature_distances
from bench.metrics.feature_distances import frechet_distance, inception_score, kernel_distance
from bench.metrics.manipulation import l1_difference, l2_difference, manipulation_precision

ROWS = arrays(np.float64, (6, 3), elements=st.floats(-3, 3, width=32))
MANY = arrays(np.float64, (3, 6), elements=st.floats(-3, 3, width=32))


def frechet_by_sqrtm(first, second):
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(axis=0) - second.mean(axis=0)
    return shift @ shift + np.trace(one + two - 2 * scipy.linalg.sqrtm(one @ two).real)


def frechet_by_roots(first, second):
    """By roots of both covariances: less exact for singular ones, but far better than roots of their product."""
    roots = []
    for rows in (first, second):
        values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
        roots.append(np.sqrt(values.clip(0))[:, None] * vectors.T)
    crossed = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    shift = first.mean(axis=0) - second.mean(axis=0)
    return shift @ shift + (roots[0] ** 2).sum() + (roots[1] ** 2).sum() - 2 * crossed


def frechet_in_fifty_digits(first, second):
    with mpmath.workdps(50):
        columns = range(first.shape[1])
        one, two = (mpmath.matrix(rows.tolist()) for rows in (first, second))
        means = [[mpmath.fsum(rows[:, j]) / rows.rows for j in columns] for rows in (one, two)]
        for rows, mean in zip((one, two), means, strict=True):
            for i in range(rows.rows):
                for j in columns:
                    rows[i, j] = (rows[i, j] - mean[j]) / mpmath.sqrt(rows.rows - 1)
        crossed = one * two.T
        # Eigenvalues of a symmetric matrix: squares of the singular values.
        roots = mpmath.fsum(mpmath.sqrt(abs(value)) for value in mpmath.eigsy(crossed * crossed.T, eigvals_only=True))
        spread = mpmath.fsum(value**2 for rows in (one, two) for value in rows)
        return float(mpmath.fsum((x - y) ** 2 for x, y in zip(*means, strict=True)) + spread - 2 * roots)


def kernel_by_pairs(first, second):
    def mean(pairs):
        values = [(x @ y / len(x) + 1) ** 3 for x, y in pairs]
        return sum(values) / len(values)

    within = [
        mean([(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]) for rows in (first, second)
    ]
    return within[0] + within[1] - 2 * mean([(x, y) for x in first for y in second])


def dominated(rows, width, seed):
    """Features of which one direction has most of the spread."""
    stream = np.random.default_rng(seed)
    leading = np.abs(np.random.default_rng(0).normal(size=width))
    return stream.normal(size=(rows, width)) * 0.1 + 3 * stream.normal(size=(rows, 1)) * leading


@given(ROWS, ROWS)
def test_the_frechet_distance_is_symmetric_and_never_negative(first, second):
    assert frechet_distance(first, second) >= 0
    np.testing.assert_allclose(frechet_distance(first, second), frechet_distance(second, first), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(frechet_distance(first, first), 0, atol=1e-6)


@given(ROWS, st.floats(-2, 2))
def test_a_shift_alone_adds_its_squared_length(rows, shift):
    np.testing.assert_allclose(frechet_distance(rows, rows + shift), 3 * shift**2, rtol=1e-6, atol=1e-6)


@given(MANY, MANY)
def test_the_frechet_distance_of_fewer_rows_than_columns_is_that_of_the_roots(first, second):
    found = frechet_distance(first, second)
    assert found >= 0
    np.testing.assert_allclose(found, max(0.0, frechet_by_roots(first, second)), rtol=1e-6, atol=1e-6)


def test_the_frechet_distance_of_regular_covariances_is_that_of_scipy():
    stream = np.random.default_rng(0)
    real, made = stream.normal(size=(90, 12)), stream.normal(0.5, 1.5, size=(70, 12)) @ stream.normal(size=(12, 12))
    assert frechet_distance(real, made) == pytest.approx(frechet_by_sqrtm(real, made), rel=1e-10)
    assert frechet_distance(real, made) == pytest.approx(frechet_by_roots(real, made), rel=1e-10)


@pytest.mark.parametrize(
    ("rows", "others"), [(6, 6), (6, 40), (16, 16), (40, 6)], ids=["few", "one side", "as many", "other side"]
)
def test_singular_covariances_with_one_leading_direction_have_the_exact_distance(rows, others):
    real, made = dominated(rows, 16, seed=1), dominated(others, 16, seed=2)
    assert frechet_distance(real, made) == pytest.approx(frechet_in_fifty_digits(real, made), rel=1e-12)


def test_columns_that_say_the_same_or_nothing_are_no_harm():
    stream = np.random.default_rng(0)
    real, made = stream.normal(size=(60, 8)), stream.normal(1.0, 2.0, size=(60, 8))
    for rows in (real, made):
        rows[:, 3], rows[:, 4] = 2 * rows[:, 2], 0.0
    assert frechet_distance(real, made) == pytest.approx(frechet_in_fifty_digits(real, made), rel=1e-12)


def test_images_that_are_all_the_same_leave_the_other_spread_and_the_shift():
    real = np.random.default_rng(0).normal(size=(50, 4))
    made = np.full((50, 4), 0.25)
    wanted = ((real.mean(axis=0) - 0.25) ** 2).sum() + real.var(axis=0, ddof=1).sum()
    assert frechet_distance(real, made) == pytest.approx(wanted, rel=1e-12)


def test_one_column_is_enough():
    real, made = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    assert frechet_distance(real, made) == pytest.approx((2.0 - 1.0) ** 2)  # equal means, deviations 2 and 1


@given(ROWS, ROWS)
def test_the_kernel_distance_is_symmetric(first, second):
    np.testing.assert_allclose(kernel_distance(first, second), kernel_distance(second, first), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("others", [11, 7])
def test_the_kernel_distance_is_that_of_all_pairs(others):
    stream = np.random.default_rng(1)
    real, made = stream.normal(size=(11, 5)), stream.normal(0.5, 1.0, size=(others, 5))
    assert kernel_distance(real, made) == pytest.approx(kernel_by_pairs(real, made), rel=1e-10)


@pytest.mark.parametrize("others", [60, 75])
def test_of_too_many_rows_random_subsets_stand_for_all(monkeypatch, others):
    stream = np.random.default_rng(2)
    real, made = stream.normal(size=(60, 5)), stream.normal(0.7, 1.0, size=(others, 5))
    whole = kernel_distance(real, made)
    monkeypatch.setattr(feature_distances, "WHOLE", 50)
    monkeypatch.setattr(feature_distances, "SUBSET", 20)
    found = kernel_distance(real, made)
    assert found != whole and found == pytest.approx(whole, rel=0.25)
    assert found == kernel_distance(real, made), "always the same subsets"


def test_far_sets_are_far():
    stream = np.random.default_rng(0)
    near, far = stream.normal(size=(50, 4)), stream.normal(size=(50, 4)) + 2
    assert kernel_distance(near, far) > 1 > abs(kernel_distance(near, near[::-1]))
    assert frechet_distance(near, far) > 10 > frechet_distance(near, near[::-1])


@given(arrays(np.float64, (7, 4), elements=st.floats(-30, 30, width=32)))
def test_the_inception_score_is_the_mean_divergence_from_the_marginal(logits):
    chances = softmax(logits, axis=1)
    wanted = np.exp(rel_entr(chances, chances.mean(axis=0)).sum(axis=1).mean())
    found = inception_score(logits)
    assert found == pytest.approx(wanted, rel=1e-9)
    # Mutual information: the entropy of the mean less the mean entropy.
    assert np.log(found) == pytest.approx(entr(chances.mean(axis=0)).sum() - entr(chances).sum(axis=1).mean(), abs=1e-9)


def test_the_inception_score_is_one_without_variety_and_the_number_of_classes_at_best():
    assert inception_score(np.zeros((9, 4))) == pytest.approx(1.0)
    assert inception_score(50.0 * np.eye(5)) == pytest.approx(5.0)


def test_a_classifier_that_is_beyond_doubt_has_a_score():
    assert inception_score(1e5 * np.eye(5)[[0, 1, 1, 0]]) == pytest.approx(2.0)


def test_nothing_is_drawn_from_the_streams_of_a_run_and_nothing_is_warned_of():
    rows = np.random.default_rng(0).normal(size=(20, 4))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [score(rows, rows + 0.1) for score in (frechet_distance, kernel_distance)]
        values.append(inception_score(rows))
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(4)
    assert values == [
        frechet_distance(rows, rows + 0.1), kernel_distance(rows, rows + 0.1), inception_score(rows)
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features:UserWarning")
def test_they_are_those_of_torchmetrics():
    real, made = (np.random.default_rng(seed).normal(size=(40, 5)) for seed in (0, 1))
    network = torch.nn.Identity()
    network.num_features = 5
    fid, kid = FrechetInceptionDistance(network), KernelInceptionDistance(network, subset_size=40)
    for metric in (fid, kid):
        metric.set_dtype(torch.float64)
        metric.update(torch.from_numpy(real), real=True)
        metric.update(torch.from_numpy(made), real=False)
    score = InceptionScore(network, splits=1)
    score.update(torch.from_numpy(real))
    assert frechet_distance(real, made) == pytest.approx(float(fid.compute()), rel=1e-12)
    assert kernel_distance(real, made) == pytest.approx(float(kid.compute()[0]), rel=1e-10)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert inception_score(real) == pytest.approx(float(score.compute()[0]), rel=1e-12)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_one_vector_has_no_spread(distance):
    with pytest.raises(ValueError, match=r"at least 2 .* 1 and 4"):
        distance(np.zeros((1, 3)), np.zeros((4, 3)))


def test_a_task_that_makes_images_is_known_without_the_library():
    code = "import sys, bench.tasks.text_to_image; sys.exit('torchmetrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unchanged_image_leaves_the_similarity():
    images, similarity = np.random.default_rng(0).random((4, 3, 2, 2)), np.array([0.1, 0.2, 0.3, 0.4])
    for difference in (l1_difference, l2_difference):
        assert manipulation_precision(difference(images, images), similarity) == pytest.approx(0.25)
