"""`bench data list|info|get|make|sheet|features`: what is on this machine, and how to have the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import output
from bench.cli.data_features import EXAMPLE as FEATURES_EXAMPLE
from bench.cli.data_features import features
from bench.cli.data_sheet import sheet
from bench.cli.options import JsonOption
from bench.cli.progress import ProgressBar

if TYPE_CHECKING:
    from bench.data.catalog import DatasetRow

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
    app.command("features", epilog=f"Example: {FEATURES_EXAMPLE}")(features)
    app.command("sheet", epilog="Example: bench data sheet dishes --out dishes.png")(sheet)
    app.command("make", epilog="Example: bench data make baby-twin --scale 0.05")(make)
    return app


def list_(*, as_json: JsonOption = False) -> None:
    """List the datasets and where each lies on this machine."""
    from bench.data import list_datasets

    rows = list_datasets()
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["dataset", "sizes", "modalities", "on this machine"],
        [
            [
                row.name + (" (generated)" if row.generated else ""),
                ", ".join(f"{count:,} {name}" for name, count in row.sizes.items()) or output.ABSENT,
                ", ".join(row.modalities) or output.ABSENT,
                f"{row.where} ({row.layout})" if row.present else absent(row),
            ]
            for row in rows
        ],
        left=range(4),
    )


def absent(row: DatasetRow) -> str:
    """Returns what to do about a dataset that is not here."""
    if row.generated:
        return "no; it is made when first used"
    return "no" + (f"; its twin is {row.twin}" if row.twin else "")


def info(id_: Id, *, as_json: JsonOption = False) -> None:
    """Print a dataset's card, its files here, and what was read from them."""
    from bench.cli.datasets import print_card
    from bench.data import dataset_info, open_dataset
    from bench.data.reach import sentence
    from bench.errors import DataError

    found = dataset_info(id_)
    read: dict[str, Any] = {}
    try:
        if found.places:
            dataset = open_dataset(id_)
            read = {
                "protocol": dataset.protocol.name,
                "digest": dataset.digest,
                "sizes": dataset.sizes,
                "modalities": {name: modality._asdict() for name, modality in dataset.modalities.items()},
                "notes": dataset.notes,
            }
    except DataError as error:
        read = {"error": error.message, "hint": error.hint}
    if as_json:
        output.emit({"id": found.id, "card": found.card, "places": found.places, "files": found.files, "read": read})
        return
    print_card(found.card, files=False)
    output.say()
    if found.files:
        output.print_table(
            ["file", "here", "size", "download"],
            [
                [
                    file.path,
                    file.status,
                    output.size(file.size) if file.size else output.ABSENT,
                    file.url or output.ABSENT,
                ]
                for file in found.files
            ],
            left=(0, 1, 3),
        )
        output.say()
    told = dict(read.get("notes", {}))
    reach = told.pop("reach", {})
    shown = read | ({"notes": told} if "notes" in read else {})
    output.print_fields({"found in": [place.folder for place in found.places] or "nowhere on this machine"} | shown)
    for part, numbers in reach.items():
        output.say(f" {sentence(part, numbers)}")


def get(
    id_: Id,
    *,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Also take files whose checksum nobody published.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download a dataset: resumed where it broke off, checked, put in place at once."""
    from bench.data import fetch_dataset

    with ProgressBar() as bar:
        path = fetch_dataset(id_, allow_unverified=allow_unverified, progress=bar)
    _done(id_, path, as_json)


def make(
    id_: Id,
    *,
    scale: Annotated[float | None, typer.Option(help="Size from 0.01 to 100; 1 is the original's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it again although it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate a dataset, at any scale; the same scale gives the same data."""
    from bench.data import make_dataset

    if scale is not None:
        id_ = f"{id_.partition('@')[0]}@{scale!r}"
    with ProgressBar() as bar:
        path = make_dataset(id_, force=force, progress=bar)
    _done(id_, path, as_json)


def _done(id_: str, path: object, as_json: bool) -> None:
    if as_json:
        output.emit({"dataset": id_, "path": path})
    else:
        output.say(f"{id_} is in {path}")
