"""The registry of methods: every module of a family's folder, and entry points of the group `bench.methods`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.methods.base import Method

METHODS: Registry[type[Method]] = Registry(
    "method", group="bench.methods", packages=("bench.methods.recommendation",), attribute="METHOD"
)
