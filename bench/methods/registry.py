"""The registry of methods: every module of a family's folder, and entry points of the group `bench.methods`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.registry import Registry
from bench.spec.fingerprint import source_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.methods.base import Method

METHODS: Registry[type[Method]] = Registry(
    "method", group="bench.methods", packages=(
        "bench.methods.recommendation",
        "bench.methods.cold_start",
        "bench.methods.sequential",
        "bench.methods.classification",
        "bench.methods.vqa",
        "bench.methods.generation",
    ), attribute="METHOD"
)


def current_digests(labels: Iterable[str]) -> dict[str, str | None]:
    """Returns the digest of each method's source today, without importing it; None for one that is gone.

    A label whose source cannot be read (a broken plugin) is left out: nothing is claimed about its results.

    Args:
        labels: Method labels such as `befa[mgcn]`.
    """
    digests: dict[str, str | None] = {}
    for label in dict.fromkeys(labels):
        names = label.rstrip("]").split("[")
        if any(name not in METHODS for name in names):
            digests[label] = None
            continue
        try:
            digests[label] = source_digest(*(METHODS.target(name).partition(":")[0] for name in names))
        except BenchError:
            continue
    return digests
