"""Metrics of made images against recorded closed forms (`metric_*` files)."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import recording

from bench.metrics import generation
from bench.metrics.manipulation import cosines, manipulation_precision
from bench.tasks.text_to_image import between


def recorded(name: str) -> dict[str, np.ndarray]:
    return recording(f"vision/metric_{name}")


@pytest.mark.parametrize(("name", "rel"), [("frechet", 1e-9), ("frechet_rankdef", 1e-6)])
def test_frechet_distance(name: str, rel: float) -> None:
    numbers = recorded(name)
    assert between("fid", numbers["in/real"], numbers["in/fake"]) == pytest.approx(
        float(numbers["out/frechet"]), rel=rel
    )


def test_kernel_distance_of_all_rows_and_of_each_subset() -> None:
    numbers = recorded("kid")
    real, fake = numbers["in/real"], numbers["in/fake"]
    assert between("kid", real, fake) == pytest.approx(float(numbers["out/kid_all_samples"]), rel=1e-9)
    subsets = [
        between("kid", real[rows], fake[others])
        for rows, others in zip(numbers["in/idx_real"], numbers["in/idx_fake"], strict=True)
    ]
    np.testing.assert_allclose(subsets, numbers["out/kid_subsets"], rtol=1e-9, atol=1e-11)


def test_manipulation_precision() -> None:
    numbers = recorded("manipulation_precision")
    similar = cosines(numbers["in/img_emb"], numbers["in/txt_emb"])
    np.testing.assert_allclose(similar, numbers["out/cos"], rtol=1e-9)
    # The formula takes bytes; on their scale from 0 to 255 the recorded images need not be whole numbers.
    before, after = ((numbers[f"in/{name}"] + 1.0) * 127.5 for name in ("source", "edited"))
    error = generation.squared_error(before, after)
    np.testing.assert_allclose(error, numbers["out/l2_range_01"], rtol=1e-9)
    found = manipulation_precision(error, similar)
    assert found == pytest.approx(float(numbers["out/mp_l2_range_01"]), rel=1e-9)
