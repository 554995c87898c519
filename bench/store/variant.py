"""What the seeds of one row share: a short digest of a run's source and identity, less its seed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS = 16
"""Hexadecimal digits that are kept: enough that two rows of one table never share a digest by chance."""


def variant_digest(identity: Mapping[str, Any], method_digest: str) -> str:
    """Returns what is equal in runs that are seeds of one row, and differs in all others.

    Args:
        identity: The fields a run's fingerprint is the hash of.
        method_digest: Digest of the method's source.
    """
    shared = {name: value for name, value in identity.items() if name != "seed"}
    text = json.dumps([method_digest, shared], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
