"""A method while it is scored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.methods.base import Method


class Place(NamedTuple):
    """Where a method computes: what its inputs must look like."""

    device: torch.device
    dtype: torch.dtype


def place_of(method: Method) -> Place:
    """Returns the device and the floating type of a method's parameters, else of its buffers, else CPU and float32."""
    weights = (*method.parameters(), *method.buffers())
    known = next((tensor for tensor in weights if tensor.is_floating_point()), torch.zeros(()))
    return Place(known.device, known.dtype)


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
