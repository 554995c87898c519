"""Untrained methods with given settings: time does not depend on what the weights are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.spec.models import MethodEntry
from bench.training.build import build_method

if TYPE_CHECKING:
    from bench.methods.base import Method


def named(method: str, settings: dict[str, Any]) -> str:
    """Returns what a method with these settings is called: `ld4mrec (steps=10)`."""
    return MethodEntry(method=method, set=settings).spoken


def built(method: str, settings: dict[str, Any], data: Any) -> Method:
    """Returns the method on training data, defaults where `settings` says nothing, always the same weights."""
    torch.manual_seed(0)
    filled = METHODS.get(method).Config(**settings).model_dump()
    return build_method({"method": method}, filled, Context(data))
