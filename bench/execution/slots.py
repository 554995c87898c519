"""Slots: the places on this machine where jobs run side by side.

With GPUs a slot is a GPU, a share of one, or several. Without one the cores are shared out, and each job uses exactly
the threads the spec asks for: their number changes the order of sums, so it must not depend on how many jobs run.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from bench.errors import DeviceError, UserError, did_you_mean

DEVICES = ("auto", "cpu", "cuda")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS"
)  # fmt: skip
_PROBE = (
    "import json, torch; "
    "print(json.dumps([[torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory] "
    "for i in range(torch.cuda.device_count())]))"
)


class Gpu(NamedTuple):
    """A GPU that torch can use."""

    visible: str
    """What `CUDA_VISIBLE_DEVICES` must say to select it."""
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Slot:
    """A place for one job at a time.

    Attributes:
        index: From 0.
        device: `cpu` or `cuda`.
        threads: CPU threads of its jobs.
        gpus: What its `CUDA_VISIBLE_DEVICES` says; empty on the CPU.
    """

    index: int
    device: str
    threads: int
    gpus: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the slot's worker."""
        threads = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        return {**threads, "CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}


def available_cores() -> int:
    """Returns the cores this process may use: its affinity mask, capped by the container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        # Not Linux, or another version of cgroups: the mask is all there is to know.
        return max(1, cores)
    return max(1, cores)


@lru_cache(maxsize=1)
def detect_gpus() -> tuple[Gpu, ...]:
    """Returns the GPUs torch can use, asked in a process of its own so that the driver never imports torch.

    Where there is no NVIDIA driver or torch has no CUDA build, nothing is started.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and chosen.strip() in ("", "-1"):
        return ()
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidiactl").exists():
        return ()
    try:
        if importlib.metadata.version("torch").endswith("+cpu"):
            return ()
        answer = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120, check=True)
        rows = json.loads(answer.stdout)
    except (importlib.metadata.PackageNotFoundError, subprocess.SubprocessError, OSError, ValueError):
        return ()
    names = [part.strip() for part in chosen.split(",")] if chosen is not None else []
    return tuple(
        Gpu(names[index] if index < len(names) else str(index), str(name), int(memory))
        for index, (name, memory) in enumerate(rows)
    )


def resolve_device(device: str, gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Returns the GPUs a `--device` stands for; empty for the CPU.

    Args:
        device: `auto`, `cpu`, `cuda` (all GPUs) or `cuda:N` (one of them).
        gpus: Those of this machine.

    Raises:
        DeviceError: The name is unknown, or there is no such GPU.
    """
    name, _, number = device.partition(":")
    if name not in DEVICES or (number and (name != "cuda" or not number.isdigit())):
        raise DeviceError(
            f"unknown device {device!r}; allowed are auto, cpu, cuda and cuda:N.{did_you_mean(device, DEVICES)}"
        )
    if name == "cpu":
        return ()
    if name == "cuda" and not gpus:
        raise DeviceError(
            f"device {device!r} was asked for, but torch finds no GPU on this machine.",
            hint="Use `--device cpu`, or check `nvidia-smi`, CUDA_VISIBLE_DEVICES and that torch is a CUDA build.",
        )
    if number:
        if int(number) >= len(gpus):
            raise DeviceError(f"device {device!r} does not exist: this machine has GPUs 0 to {len(gpus) - 1}.")
        return (gpus[int(number)],)
    return gpus


def make_slots(
    *,
    device: str = "auto",
    gpus_per_job: float = 1.0,
    cpus_per_job: int = 1,
    jobs: int | None = None,
    gpus: tuple[Gpu, ...] | None = None,
    cores: int | None = None,
) -> tuple[Slot, ...]:
    """Shares the machine out.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        gpus_per_job: GPUs of each job; a fraction lets several jobs share one, 0 keeps them on the CPU.
        cpus_per_job: Threads of each job.
        jobs: How many jobs may run side by side; None derives it from the machine.
        gpus: GPUs of the machine; None detects them.
        cores: Cores of the machine; None detects them.

    Raises:
        DeviceError: The device does not exist, or has fewer GPUs than a job needs.
        UserError: `jobs` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"`--jobs` must be at least 1, but got {jobs}.")
    cores = available_cores() if cores is None else cores
    wanted = device.partition(":")[0] != "cpu" and (gpus_per_job > 0 or device != "auto")
    usable = resolve_device(device, (detect_gpus() if wanted else ()) if gpus is None else gpus)
    threads = max(1, min(cpus_per_job, cores))
    if not usable or gpus_per_job <= 0:
        return tuple(Slot(index, "cpu", threads) for index in range(jobs or max(1, cores // threads)))
    if gpus_per_job > len(usable):
        raise DeviceError(
            f"a job needs {gpus_per_job:g} GPUs (`resources: {{gpus_per_job}}`), but {device!r} offers {len(usable)}."
        )
    if gpus_per_job >= 1:
        width = math.ceil(gpus_per_job)
        shares = [usable[start : start + width] for start in range(0, len(usable) - width + 1, width)]
    else:
        # One job on each GPU before the second on any.
        shares = [(gpu,) for _ in range(int(1 / gpus_per_job + 1e-9)) for gpu in usable]
    shares = shares if jobs is None else [shares[index % len(shares)] for index in range(jobs)]
    return tuple(Slot(i, "cuda", threads, tuple(gpu.visible for gpu in share)) for i, share in enumerate(shares))
