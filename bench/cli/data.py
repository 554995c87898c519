"""`bench data list|info|get|make`: what is on this machine, and how to have the rest."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bench.cli import output
from bench.cli.options import JsonOption
from bench.cli.progress import ProgressBar

Id = Annotated[str, typer.Argument(metavar="ID", help="A dataset, e.g. baby or baby-twin@0.05.")]


def build(markup: Any) -> typer.Typer:
    """Returns the group of verbs."""
    app = typer.Typer(
        help="List, describe, download or generate datasets.",
        epilog="Example: bench data make baby-twin --scale 0.05",
        no_args_is_help=True,
        rich_markup_mode=markup,
    )
    app.command("list", epilog="Example: bench data list")(list_)
    app.command("info", epilog="Example: bench data info baby")(info)
    app.command("get", epilog="Example: bench data get tiktok")(get)
    app.command("make", epilog="Example: bench data make baby-twin --scale 0.05")(make)
    return app


def list_(*, as_json: JsonOption = False) -> None:
    """List the datasets and where each lies on this machine."""
    from bench.data import list_datasets

    rows = list_datasets()
    if as_json:
        output.emit(rows)
        return
    output.print_table(*_columns([output.plain(row) for row in rows]), left=range(9))


def _columns(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    headers = list(rows[0]) if rows else ["name"]
    return headers, [[output.inline(row[header]) for header in headers] for row in rows]


def info(id_: Id, *, as_json: JsonOption = False) -> None:
    """Print a dataset's card and, where its files are present, what was read from them."""
    from bench.cli.datasets import print_card
    from bench.data import open_dataset
    from bench.data.registry import DATASETS
    from bench.errors import DatasetUnavailableError

    card = DATASETS.get(id_.partition("@")[0])
    try:
        dataset = open_dataset(id_)
    except DatasetUnavailableError as error:
        realised: dict[str, Any] = {"present": False, "reason": error.message, "hint": error.hint}
    else:
        realised = {
            "present": True,
            "id": dataset.id,
            "protocol": dataset.protocol.name,
            "digest": dataset.digest,
            "sizes": dataset.sizes,
            "modalities": {name: info._asdict() for name, info in dataset.modalities.items()},
            "notes": dataset.notes,
        }
    if as_json:
        output.emit({"card": card, "on_this_machine": realised})
        return
    print_card(card)
    output.say()
    output.say(" on this machine", style="bold")
    output.print_fields(realised)


def get(id_: Id, *, as_json: JsonOption = False) -> None:
    """Download a dataset: resumable, checked against its card, put in place at once or not at all."""
    from bench.data import fetch_dataset

    _done(id_, fetch_dataset(id_), as_json)


def make(
    id_: Id,
    *,
    scale: Annotated[float | None, typer.Option(min=0.01, max=100, help="Size, where 1 is the original's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it again although it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate a dataset, at any size; the same scale gives the same bytes."""
    from bench.data import make_dataset

    if scale is not None:
        id_ = f"{id_.partition('@')[0]}@{scale:g}"
    with ProgressBar() as bar:
        path = make_dataset(id_, force=force, progress=bar)
    _done(id_, path, as_json)


def _done(id_: str, path: object, as_json: bool) -> None:
    if as_json:
        output.emit({"dataset": id_, "path": path})
    else:
        output.say(f"{id_} is in {path}")
