"""The registry of datasets: every card in `bench/data/cards/`, and entry points of the group `bench.datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UserError
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.data.card import DatasetCard

DATASETS: Registry[DatasetCard] = Registry(
    "dataset", group="bench.datasets", packages=("bench.data.cards",), attribute="CARD"
)

MIN_SCALE, MAX_SCALE = 0.01, 100.0


class DatasetId(NamedTuple):
    """A dataset as specs name it: `baby`, or `baby-twin@0.05` for a generated one at a scale."""

    name: str
    scale: float

    def __str__(self) -> str:
        return self.name if self.scale == 1.0 else f"{self.name}@{self.scale:g}"


def parse_dataset_id(text: str) -> DatasetId:
    """Reads `name` or `name@scale`; does not look the name up.

    Raises:
        UserError: The scale is not a number between 0.01 and 100 with at most six significant digits.
    """
    name, at, scale_text = text.partition("@")
    if not at:
        return DatasetId(name, 1.0)
    try:
        scale = float(scale_text)
    except ValueError:
        scale = float("nan")
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise UserError(
            f"dataset {text!r} asks for scale {scale_text!r}, "
            f"which must be a number from {MIN_SCALE:g} to {MAX_SCALE:g}.",
            hint=f"Write, for example, {name}@0.05, or {name} alone for scale 1.",
        )
    if float(f"{scale:g}") != scale:
        raise UserError(
            f"dataset {text!r} asks for scale {scale_text!r}, which must have at most six significant digits.",
            hint=f"Write {name}@{scale:g}.",
        )
    return DatasetId(name, scale)


def resolve_dataset(text: str) -> tuple[DatasetId, DatasetCard]:
    """Returns the parsed id and the card behind it.

    Raises:
        UnknownNameError: No card has the name.
        UserError: A scale on data that is not generated, or out of range.
    """
    parsed = parse_dataset_id(text)
    card = DATASETS.get(parsed.name)
    if parsed.scale != 1.0 and not card.generated:
        way_out = f" Its generated twin can: {card.twin}@{parsed.scale:g}." if card.twin else ""
        raise UserError(
            f"dataset {text!r} asks for a scale, but {parsed.name!r} is real data and has one size only.",
            hint=f"Write {parsed.name}.{way_out}",
        )
    return parsed, card
