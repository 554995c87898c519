"""Ranking protocols: how rows are split, what is masked, who is averaged. The name is part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from bench.data.card import DatasetCard

SplitRule = Literal["mmrec", "shipped"]


@dataclass(frozen=True)
class RankingProtocol:
    """A full-ranking evaluation, complete enough to be repeated elsewhere.

    Attributes:
        name: What specs, the store and tables call it. Any change of meaning needs a new name.
        split: `mmrec`: MMRec's random per-user rule (methods/recommendation.md section 0); labels that the card says
            were drawn by it are used and checked, otherwise the rule is drawn with `split_seed` from all rows.
            `shipped`: the labels published with the data, as they are.
        mask: What is left out of the candidates at test. Validation always masks the training rows only.
        split_seed: Seed of the redraw.
        description: One sentence for tables and help.
        candidates: Which items are ranked.
        ties: How equal scores are ordered.
        averaging: Which users count.
    """

    name: str
    split: SplitRule
    mask: Literal["train", "train+valid"]
    split_seed: int
    description: str
    candidates: str = "all items, those without a training row included"
    ties: str = "lower item id first"
    averaging: str = "plain mean over users with a target; users without a training row are dropped"


PROTOCOLS: dict[str, RankingProtocol] = {
    protocol.name: protocol
    for protocol in (
        RankingProtocol(
            "mmrec-v1", "mmrec", "train", 999, "MMRec's random per-user 80/10/10 split; train masked, all items ranked"
        ),
        RankingProtocol(
            "mmrec-tv-v1",
            "mmrec",
            "train+valid",
            999,
            "MMRec's random per-user 80/10/10 split; train and validation masked at test, all items ranked",
        ),
        RankingProtocol(
            "diffmm-v1", "shipped", "train", 0, "the split published with DiffMM; train masked, all items ranked"
        ),
        RankingProtocol(
            "diffmm-tv-v1",
            "shipped",
            "train+valid",
            0,
            "the split published with DiffMM; train and validation masked at test, all items ranked",
        ),
    )
}
"""Every protocol by name."""


def resolve_protocol(card: DatasetCard, name: str | None) -> RankingProtocol:
    """Returns the protocol called `name`, or the card's default.

    Raises:
        UserError: Nobody knows the protocol, or the card does not offer it.
    """
    wanted = name if name is not None else card.default_protocol
    if wanted not in PROTOCOLS:
        raise UserError(
            f"unknown protocol {wanted!r}.{did_you_mean(wanted, PROTOCOLS)}",
            hint=f"{card.name!r} offers {', '.join(card.protocols)}.",
        )
    if wanted not in card.protocols:
        raise UserError(
            f"protocol {wanted!r} is not offered by dataset {card.name!r}.{did_you_mean(wanted, card.protocols)}",
            hint=f"{card.name!r} offers {', '.join(card.protocols)}; the first is the default.",
        )
    return PROTOCOLS[wanted]
