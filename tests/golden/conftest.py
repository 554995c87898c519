"""Recorded numbers of the authors' code: `$BENCH_GOLDEN` is the folder that holds `recommendation/*.npz`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from recordings import golden_folder, recording

if TYPE_CHECKING:
    from collections.abc import Callable

Recording = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Recording]:
    """Returns a function that reads one recording of the recommendation family, e.g. `golden("mgcn")`."""
    golden_folder()
    return lambda name: recording(f"recommendation/{name}")
