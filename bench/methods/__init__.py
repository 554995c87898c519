"""Methods: one file each, found by their place. See `bench.methods.base` for the contract."""

from bench.methods.registry import METHODS

__all__ = ["METHODS"]
