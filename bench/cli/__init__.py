"""The command line: `bench VERB`. One file per verb, whose heavy imports happen when the verb runs."""

from __future__ import annotations


def main() -> None:
    """Runs the command line and exits: 0 all done, 1 a cell failed, 2 wrong input, 3 the gate, 130 interrupted."""
    from bench.cli.app import build

    build()()
