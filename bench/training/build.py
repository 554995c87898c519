"""From a job's words to a method object on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bench.errors import DeviceError
from bench.methods.base import Adapter, GradientConfig
from bench.methods.registry import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.methods.base import Context, Method

DTYPES = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}
"""Precision to the type of parameters; everything else keeps float32 parameters."""


def build_method(method: Mapping[str, Any], config: Mapping[str, Any], context: Context) -> Method:
    """Builds a method, and what it wraps, on the CPU.

    Args:
        method: A method entry as JSON: `method`, and `wrap` for an adapter.
        config: Its resolved configuration; an adapter's holds the wrapped method's under `wrapped`.
        context: Data, views and floating type.

    Raises:
        UnknownNameError: No such method.
    """
    cls = METHODS.get(method["method"])
    own = {key: value for key, value in config.items() if key != "wrapped"}
    validated = cls.Config.model_validate(own)
    if issubclass(cls, Adapter):
        wrapped = build_method(method["wrap"], config["wrapped"], context)
        return cls(validated, context, wrapped)
    return cls(validated, context)


def gradient_config(method: Method) -> GradientConfig:
    """Returns the step size, schedule and batch size of a method; an adapter is trained with those of what it wraps."""
    inner = method.innermost
    config = getattr(inner, "config", None)
    if not isinstance(config, GradientConfig):
        raise TypeError(f"{type(inner).__name__}.config must be a GradientConfig to be trained by gradients")
    return config


def resolve_device(name: str) -> torch.device:
    """Returns the device called `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        DeviceError: The name is unknown or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise DeviceError(f"unknown device {name!r}.", hint="Allowed: auto, cpu, cuda, cuda:0, cuda:1, …")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise DeviceError(
                f"device {name!r} does not exist: this machine shows torch {count} CUDA devices.",
                hint="Use `--device cpu`, or install a CUDA build of torch.",
            )
    return torch.device(name)
