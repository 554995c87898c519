"""`bench datasets [NAME]`: which datasets have a card; what a card says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.cli import output
from bench.cli.options import JsonOption, NameArgument

if TYPE_CHECKING:
    from bench.data.card import DatasetCard

EXAMPLE = "bench datasets baby"


def command(name: NameArgument = None, *, as_json: JsonOption = False) -> None:
    """List the datasets; with a name, its card.

    Source, licence, sizes, protocols, modalities, files and what is known to be odd.
    """
    from bench.data.registry import DATASETS

    if name is not None:
        card = DATASETS.get(name)
        output.emit(card) if as_json else print_card(card)
        return
    rows = [summary(card) for _, card in DATASETS.items()]
    if as_json:
        output.emit(rows)
        return
    output.print_table(
        ["dataset", "tasks", "modalities", "protocols", "about"],
        [
            [
                r["name"],
                ", ".join(r["tasks"]),
                ", ".join(r["modalities"]) or output.ABSENT,
                ", ".join(r["protocols"]),
                r["title"] + (" (generated)" if r["generated"] else ""),
            ]
            for r in rows
        ],
        left=range(5),
    )


def summary(card: DatasetCard) -> dict[str, Any]:
    """Returns one line of the list of datasets."""
    return {
        "name": card.name,
        "title": card.title,
        "tasks": sorted(card.tasks),
        "modalities": list(card.modalities),
        "protocols": list(card.protocols),
        "generated": card.generated,
        "twin": card.twin,
    }


def print_card(card: DatasetCard, *, files: bool = True) -> None:
    """Prints a card for a person; `files` says whether with the files it knows."""
    output.say(f"{card.name} · {card.title}")
    output.say(card.description)
    output.say()
    fields = card.model_dump(mode="json")
    for done in ("name", "title", "description", "modalities", "files", "known_issues"):
        fields.pop(done, None)
    output.print_fields({key.replace("_", " "): value for key, value in fields.items()})
    if card.modalities:
        output.say()
        output.print_table(
            ["modality", "width", "files, first match wins", "about"],
            [
                [name, str(m.dim), ", ".join([*m.features, *([m.neighbours] if m.neighbours else [])]), m.description]
                for name, m in card.modalities.items()
            ],
            left=(0, 2, 3),
        )
    if files and card.files:
        output.say()
        output.print_table(
            ["file", "sha256", "download"],
            [[file.path, (file.sha256 or "not recorded")[:16], file.url or output.ABSENT] for file in card.files],
            left=range(3),
        )
    for issue in card.known_issues:
        output.say(f" known issue: {issue}")
