"""Recorded numbers of the authors' code: `$BENCH_GOLDEN` is the folder that holds `recommendation/*.npz`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

Recording = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Recording]:
    """Returns a function that reads one recording of the recommendation family, e.g. `golden("mgcn")`."""
    root = os.environ.get("BENCH_GOLDEN")
    if not root:
        pytest.skip("set $BENCH_GOLDEN to the folder of recorded numbers")

    def read(name: str) -> Recording:
        # A set variable that points nowhere is a mistake, not a reason to skip.
        with np.load(Path(root) / "recommendation" / f"{name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    return read
