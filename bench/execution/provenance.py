"""Where results are made: code, packages, hardware. No environment variable and no remote address is kept."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

import bench
from bench._version import __version__
from bench.execution.slots import available_cores, detect_gpus
from bench.store.records import EnvironmentRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

DISTRIBUTION = "multimodal-bench"
_PACKAGES = (
    "torch", "dgl", "numpy", "scipy", "polars", "pydantic", "pyyaml", "sqlalchemy", "alembic", "optuna", "cmaes",
    "lightning-fabric", "safetensors", "typer", "rich", "platformdirs", "psutil",
)  # fmt: skip
"""Looked up where the distribution itself is not installed (run from a checkout)."""


class GitState(NamedTuple):
    """The working tree a package was imported from."""

    commit: str | None
    dirty: bool | None


@lru_cache(maxsize=1)
def environment_record() -> EnvironmentRecord:
    """Returns this process's environment; collected once."""
    git = git_state(Path(bench.__file__).parent)
    content = {
        "git_commit": git.commit,
        "git_dirty": git.dirty,
        "packages": package_versions(),
        "hardware": {
            "cpu": cpu_name(),
            "cores": available_cores(),
            "memory_bytes": int(psutil.virtual_memory().total),
            "gpus": [gpu.name for gpu in detect_gpus()],
            "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "python": platform.python_version(),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return EnvironmentRecord.model_validate({"digest": digest, **content})


def git_state(package: Path) -> GitState:
    """Returns the commit of the tree a package lies in and whether its code was changed since.

    A package that merely lies inside somebody's repository without being part of it (`site-packages` of a project's
    virtual environment) has no commit. Only code counts as a change: a run itself modifies the results beside it.

    Args:
        package: The package's folder.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return GitState(None, None)
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".", "../pyproject.toml")
    return GitState(commit, None if changes is None else bool(changes))


def package_versions(names: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Returns the installed versions of `bench` and of what it depends on, names sorted."""
    try:
        required = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    # Extras are tools; they do not touch results.
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in required if "extra ==" not in line}
    versions = {DISTRIBUTION: __version__}
    for name in {*names, *declared}:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))


def cpu_name() -> str:
    """Returns the processor's name, or its architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
