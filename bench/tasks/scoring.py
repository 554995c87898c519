"""A method while it is scored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.methods.base import Method


@contextmanager
def scoring(method: Method) -> Iterator[None]:
    """Has a method ready to score, in eval mode and without gradients; afterwards its mode is put back."""
    training = method.training
    method.eval()
    try:
        with torch.no_grad():
            method.begin_scoring()
            yield
    finally:
        method.train(training)
