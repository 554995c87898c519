"""Distances between sets of feature vectors and between images: what must hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.metrics.frechet import frechet_distance, gaussian
from bench.metrics.kernel_distance import draw_subsets, kernel_distance, squared_discrepancy
from bench.metrics.manipulation import l1_difference, l2_difference, manipulation_precision

ROWS = arrays(np.float64, (6, 3), elements=st.floats(-3, 3, width=32))


@given(ROWS, ROWS)
def test_the_frechet_distance_is_symmetric_and_never_negative(first, second):
    one, two = gaussian(first), gaussian(second)
    assert frechet_distance(one, two) >= 0
    np.testing.assert_allclose(frechet_distance(one, two), frechet_distance(two, one), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(frechet_distance(one, one), 0, atol=1e-9)


@given(ROWS, st.floats(-2, 2))
def test_a_shift_alone_adds_its_squared_length(rows, shift):
    distance = frechet_distance(gaussian(rows), gaussian(rows + shift))
    np.testing.assert_allclose(distance, 3 * shift**2, rtol=1e-7, atol=1e-7)


@given(ROWS, ROWS)
def test_the_discrepancy_is_symmetric(first, second):
    np.testing.assert_allclose(
        squared_discrepancy(first, second), squared_discrepancy(second, first), rtol=1e-9, atol=1e-9
    )


def test_subsets_repeat_no_row_and_far_sets_are_far():
    stream = np.random.default_rng(0)
    rows = draw_subsets(50, 8, 20, stream)
    assert rows.shape == (8, 20)
    assert all(len(set(subset)) == 20 for subset in rows.tolist())
    near, far = stream.normal(size=(50, 4)), stream.normal(size=(50, 4)) + 2
    assert kernel_distance(near, far, rows, rows).mean > 1 > abs(kernel_distance(near, near[::-1], rows, rows).mean)


def test_one_vector_has_no_spread():
    with pytest.raises(ValueError, match="at least 2"):
        gaussian(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="1 and 4"):
        squared_discrepancy(np.zeros((1, 3)), np.zeros((4, 3)))


def test_an_unchanged_image_leaves_the_similarity():
    images, similarity = np.random.default_rng(0).random((4, 3, 2, 2)), np.array([0.1, 0.2, 0.3, 0.4])
    for difference in (l1_difference, l2_difference):
        assert manipulation_precision(difference(images, images), similarity) == pytest.approx(0.25)
