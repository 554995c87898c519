"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

StoreOption = Annotated[
    str,
    typer.Option("--store", envvar="BENCH_STORE", metavar="URL", help="Database: a file or an SQLAlchemy URL."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file.")]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", metavar="NAME", help="A budget of the spec, in place of its own choice.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, or one GPU: cuda:0.")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="METHOD...", help="Only these methods; an adapter alone means all it wraps."),
]
SeedOption = Annotated[
    list[int] | None, typer.Option("--seed", metavar="N...", help="These seeds in place of the budget's.")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Run again what the store already has.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Jobs side by side; by default what the machine holds.")
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The beginning of a run's fingerprint, or METHOD:DATASET:SEED.")
]
NameArgument = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one instead of listing all.")]

DEFAULT_STORE = "results.db"


class ManyValues(TyperCommand):
    """A command whose `--only a b c` and `--seed 0 1 2` take several words; `--only a,b` and repetition work too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeats the option name before each of its words."""
        return super().parse_args(ctx, spread(args))


def spread(args: list[str]) -> list[str]:
    """Returns `args` with every value of `--only` and `--seed` as an option of its own.

    A word that is a spec's path ends the list, so `--only mgcn specs/x.yaml` means what it says.
    """
    words: list[str] = []
    name: str | None = None
    waits = False
    for word in args:
        if word.startswith("-"):
            option, equals, value = word.partition("=")
            name = option if option in ("--only", "--seed") else None
            waits = name is not None and not equals
            first, *others = value.split(",") if name is not None and equals else [word]
            words.append(f"{name}={first}" if others else word)
            words += [part for other in others for part in (option, other)]
        elif name is not None and (waits or _is_value(name, word)):
            for part in word.split(","):
                words += [part] if waits else [name, part]
                waits = False
        else:
            name = None
            words.append(word)
    return words


def _is_value(option: str, word: str) -> bool:
    return word.replace(",", "").isdigit() if option == "--seed" else not word.endswith((".yaml", ".yml"))
