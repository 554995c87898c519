"""`bench validate SPEC…`: every mistake of every file, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output
from bench.cli.options import JsonOption
from bench.errors import EXIT_USER

if TYPE_CHECKING:
    from bench.spec.problems import Problem

EXAMPLE = "bench validate specs/baby_all.yaml"


def command(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC...", help="Spec files.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Check specs and list every mistake; nothing is run.

    The exit code is 2 when any spec has a mistake.
    """
    results = {str(path): problems_of(path) for path in specs}
    if as_json:
        output.emit(
            [
                {"spec": path, "valid": not problems, "problems": [problem.to_dict() for problem in problems]}
                for path, problems in results.items()
            ]
        )
    else:
        for path, problems in results.items():
            for problem in problems:
                output.say(str(problem))
            output.say(f"{path}: {output.count(len(problems), 'problem')}" if problems else f"{path}: valid")
    if any(results.values()):
        raise typer.Exit(EXIT_USER)


def problems_of(path: Path) -> list[Problem]:
    """Returns everything that is wrong with a spec, in the file and against the world."""
    from bench.spec.check import validate_spec
    from bench.spec.problems import InvalidSpecError

    try:
        validate_spec(path)
    except InvalidSpecError as error:
        return error.problems
    return []
