"""The command line: `bench VERB`. One file per verb, whose heavy imports happen when the verb runs."""

from __future__ import annotations

import io


def main() -> None:
    """Runs the command line and exits: 0 all done, 1 a cell failed, 2 wrong input, 3 the gate, 130 interrupted."""
    import sys

    from bench.cli.app import build

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names and signs outside of the terminal's encoding are written as escapes; a result is not lost for them.
            stream.reconfigure(errors="backslashreplace")
    build()()
