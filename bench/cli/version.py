"""`bench version`: which `bench` this is."""

from __future__ import annotations

import platform

import typer

from bench._version import __version__
from bench.cli import output
from bench.cli.options import JsonOption

EXAMPLE = "bench version --json"
PARTS = ("torch", "dgl", "polars", "pydantic", "optuna", "sqlalchemy")


def eager(wanted: bool) -> None:
    """Answers `bench --version`."""
    if wanted:
        output.say(f"bench {__version__}")
        raise typer.Exit


def command(*, as_json: JsonOption = False) -> None:
    """Print the version of bench and of what it stands on."""
    from importlib.metadata import PackageNotFoundError, version

    packages: dict[str, str | None] = {}
    for name in PARTS:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    if as_json:
        output.emit({"bench": __version__, "python": platform.python_version(), "packages": packages})
        return
    output.say(f"bench {__version__}")
    output.print_fields({"python": platform.python_version()} | {k: v or "not installed" for k, v in packages.items()})
