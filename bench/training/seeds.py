"""Random streams by component, so that changing how one draws leaves the others as they were."""

from __future__ import annotations

import hashlib

import torch


def component_seed(seed: int, component: str) -> int:
    """Returns the seed of a component ("init", "batches", "method", "global"), a whole number below 2**63."""
    digest = hashlib.sha256(f"{component}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, component: str) -> torch.Generator:
    """Returns a CPU generator for a component."""
    return torch.Generator().manual_seed(component_seed(seed, component))
