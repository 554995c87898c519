"""Recorded numbers of the authors' code: the files below `$BENCH_GOLDEN`, and how close ours must be to them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

DOUBLE = torch.float64
EXACT = {"rtol": 1e-9, "atol": 1e-11}
GRADIENT = {"rtol": 1e-7, "atol": 1e-11}


def golden_folder() -> Path:
    """Returns the folder of the recordings; skips the test where none is named."""
    root = os.environ.get("BENCH_GOLDEN")
    if not root:
        pytest.skip("set $BENCH_GOLDEN to the folder of recorded numbers")
    return Path(root)


def recording(name: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a recording such as `vision/hcrn_full`.

    A set variable that points nowhere is a mistake, not a reason to skip.
    """
    with np.load(golden_folder() / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def tensor(array):
    return torch.from_numpy(np.array(array))


def same(ours, theirs, **tolerance):
    theirs = theirs if isinstance(theirs, torch.Tensor) else tensor(theirs)
    torch.testing.assert_close(ours.detach(), theirs, **(tolerance or EXACT))
