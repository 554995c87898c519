"""`bench leaderboard`: the Streamlit pages over a store."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption
from bench.errors import UserError

EXAMPLE = "bench leaderboard --store results.db --port 8501"


def command(
    *,
    store: StoreOption = DEFAULT_STORE,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Show the store in a browser; Ctrl-C ends it.

    It only reads, also while a run writes, and listens on this machine alone.
    """
    app = find_app()
    try:
        code = subprocess.run(arguments(app, store, port, browser=browser), check=False).returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)


def arguments(app: Path, store: str, port: int, *, browser: bool) -> list[str]:
    """Returns the command line of the server."""
    return [
        *(sys.executable, "-m", "streamlit", "run", str(app)),
        *("--server.port", str(port), "--server.address", "localhost"),
        *("--server.headless", "false" if browser else "true"),
        *("--", "--store", store),
    ]


def find_app(package: Path | None = None) -> Path:
    """Returns the leaderboard's file, which lies beside the package in the project's folder.

    Args:
        package: Folder of the package; None means this one.

    Raises:
        UserError: It is not there, or Streamlit is not installed.
    """
    folder = package or Path(__file__).resolve().parents[1]
    app = folder.parent / "leaderboard" / "app.py"
    if not app.is_file():
        raise UserError(
            f"the leaderboard is not beside the package: there is no '{app}'.",
            hint="It is part of the project's folder, not of the wheel: install with `pip install -e .` from a clone. "
            "`bench report --format html --out report.html` needs no server.",
        )
    if importlib.util.find_spec("streamlit") is None:
        raise UserError("the leaderboard needs Streamlit.", hint="pip install 'streamlit>=1.67,<2'")
    return app
