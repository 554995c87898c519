"""What frozen networks make of single inputs, computed once and kept in the cache by content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from bench.data.files import write_atomic
from bench.data.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

MOST_BYTES = 8 << 30
"""Of one network's values on the disk; what comes then is computed each time. 77 tokens of Stable Diffusion 1.5 take
240 kB, the latents of 512 pixels 64 kB."""


class FrozenValues:
    """Values of one frozen network.

    Each is computed alone and never in a batch, whose other rows change its rounding: a run does not depend on what the
    cache holds. Processes may use one cache at once.

    Args:
        name: Folder in the cache.
        identity: What the values are a function of beside the input: weights and code.
    """

    def __init__(self, name: str, identity: str) -> None:
        self.name, self.identity = name, identity
        self._stored: int | None = None

    def of(self, inputs: Sequence[bytes], compute: Callable[[int], Tensor], device: torch.device) -> Tensor:
        """Returns (n, ...) values of n inputs, on a device; equal inputs are looked up once.

        Args:
            inputs: Content of each, with everything that tells kinds of values apart.
            compute: Returns the value of one input by its number, without a batch dimension and without gradient.
            device: Where it computes.

        Raises:
            DataError: The cache cannot be written.
        """
        # Devices and mixed precision round in their own ways.
        kind = device.type
        mixed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        begin = hashlib.sha256(repr((self.identity, kind, str(mixed))).encode())
        found: dict[str, Tensor] = {}
        keys: list[str] = []
        for number, content in enumerate(inputs):
            digest = begin.copy()
            digest.update(content)
            keys.append(digest.hexdigest()[:40])
            if keys[-1] not in found:
                found[keys[-1]] = self._one(keys[-1], number, compute).to(device)
        return torch.stack([found[key] for key in keys])

    def _one(self, key: str, number: int, compute: Callable[[int], Tensor]) -> Tensor:
        path = self._folder / key[:2] / f"{key}.safetensors"
        try:
            return load_tensors(path.read_bytes())["value"]
        except (OSError, SafetensorError, KeyError):
            pass  # absent, or damaged and made again
        with torch.no_grad():
            # The layout of a stored one: what is drawn like a tensor depends on it.
            value = compute(number).detach().contiguous()
        content = save_tensors({"value": value.cpu()})
        if self._stored is None:
            self._stored = sum(file.stat().st_size for file in self._folder.rglob("*.safetensors"))
        if self._stored + len(content) <= MOST_BYTES:
            write_atomic(path, content)
            self._stored += len(content)
        return value

    @property
    def _folder(self) -> Path:
        return cache_root() / "encoders" / self.name


def content_of(tensor: Tensor) -> bytes:
    """Returns a tensor's type, shape and numbers as bytes."""
    numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + numbers.tobytes()
