"""Protocols: how data is split, what is shown to a method, who is averaged. The name is part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from bench.data.card import DatasetCard

SplitRule = Literal["mmrec", "shipped"]


@dataclass(frozen=True)
class ScoringProtocol:
    """Rules of an evaluation, complete enough to be repeated elsewhere.

    Attributes:
        name: What specs, the store and tables call it. Any change of meaning needs a new name.
        description: One sentence for tables and help.
    """

    name: str
    description: str

    @property
    def short(self) -> str:
        """The rules in a few words, for the titles of tables."""
        return self.description.partition(";")[0]


@dataclass(frozen=True)
class RankingProtocol(ScoringProtocol):
    """A full-ranking evaluation.

    Attributes:
        split: `mmrec`: MMRec's random per-user rule (methods/recommendation.md section 0); labels that the card says
            were drawn by it are used and checked, otherwise the rule is drawn with `split_seed` from all rows.
            `shipped`: the labels published with the data, as they are.
        mask: What is left out of the candidates at test. Validation always masks the training rows only.
        split_seed: Seed of the redraw.
        candidates: Which items are ranked.
        ties: How equal scores are ordered.
        averaging: Which users count.
    """

    split: SplitRule
    mask: Literal["train", "train+valid"]
    split_seed: int
    candidates: str = "all items, those without a training row included"
    ties: str = "lower item id first"
    averaging: str = "plain mean over users with a target; users without a training row are dropped"

    @property
    def short(self) -> str:
        """What is masked and ranked."""
        masked = "train" if self.mask == "train" else "train and validation"
        return f"{masked} masked, all items ranked"


@dataclass(frozen=True)
class SequenceProtocol(ScoringProtocol):
    """Leave-one-out: the last item of every user is for test, the one before for validation.

    Attributes:
        mask: Whether the items of the history are candidates at test. Validation always masks them.
    """

    mask: Literal["history", "nothing"]


@dataclass(frozen=True)
class ColdStartProtocol(ScoringProtocol):
    """Recommendation of items nobody has taken: whole items are held out, and every user is ranked for three times.

    Cold items come in two groups: the rows of one are validation rows, those of the other test rows; none is a training
    row. The rows of warm items have training, validation and test parts of their own. A user is ranked over cold items
    (`cold`), warm items (`warm`) and both (`all`); targets are the held-out rows of the items that are ranked, and a
    user without one does not count under that condition.

    Attributes:
        split: `items`: drawn with `split_seed`, 80/10/10 of the items that occur at all, then the rows of warm items by
            MMRec's per-user rule; rows whose hold-out would leave a user or a warm item without a training row stay in
            train (`bench.data.cold_splits`). `shipped`: the six parts published with the data; `train` and
            `train_map` are both training rows.
        split_seed: Seed of the draw.
        others: What the other group of cold items is, of which nobody has a target: `absent` from the candidates, or a
            `candidate` like any cold item.
        mask: What is left out of a user's candidates: training rows, and at test the validation rows as well.
        ties: How equal scores are ordered. File order tells what is popular in some datasets, so ids must not decide.
        averaging: Which users count.
    """

    split: Literal["items", "shipped"]
    split_seed: int
    others: Literal["absent", "candidate"]
    mask: str = "train; at test train and validation"
    ties: str = "one random order of the items, the same for everyone"
    averaging: str = "plain mean over users with a target under the condition; users without a training row are dropped"


PROTOCOLS: dict[str, ScoringProtocol] = {
    protocol.name: protocol
    for protocol in (
        RankingProtocol(
            "mmrec-v1",
            "MMRec's random per-user 80/10/10 split; train masked, all items ranked",
            split="mmrec",
            mask="train",
            split_seed=999,
        ),
        RankingProtocol(
            "mmrec-tv-v1",
            "MMRec's random per-user 80/10/10 split; train and validation masked at test, all items ranked",
            split="mmrec",
            mask="train+valid",
            split_seed=999,
        ),
        RankingProtocol(
            "diffmm-v1",
            "the split published with DiffMM; train masked, all items ranked",
            split="shipped",
            mask="train",
            split_seed=0,
        ),
        RankingProtocol(
            "diffmm-tv-v1",
            "the split published with DiffMM; train and validation masked at test, all items ranked",
            split="shipped",
            mask="train+valid",
            split_seed=0,
        ),
        RankingProtocol(
            "befa-v1",
            "the split published with BeFA, repeated rows as they are; train masked, all items ranked",
            split="shipped",
            mask="train",
            split_seed=0,
        ),
        RankingProtocol(
            "befa-tv-v1",
            "the split published with BeFA, repeated rows as they are; train and validation masked at test, all items "
            "ranked",
            split="shipped",
            mask="train+valid",
            split_seed=0,
        ),
        SequenceProtocol("loo-v1", "leave-one-out, all items ranked but those of the history", mask="history"),
        SequenceProtocol("loo-all-v1", "leave-one-out, all items ranked", mask="nothing"),
        ColdStartProtocol(
            "cold-items-v1",
            "a seeded 80/10/10 draw of warm, cold-validation and cold-test items; known items masked, the other group "
            "of cold items is not ranked",
            split="items",
            split_seed=80,
            others="absent",
        ),
        ColdStartProtocol(
            "citeulike-gar-v1",
            "the cold split published with GAR, train and train_map both for training; known items masked, both groups "
            "of cold items are ranked",
            split="shipped",
            split_seed=0,
            others="candidate",
        ),
        ScoringProtocol("official-v1", "the published split; validation part as the card says"),
        ScoringProtocol("grouped-v1", "a seeded split by group, as the card says; no group is in two parts"),
        ScoringProtocol("generated-v1", "parts drawn apart by the generator"),
    )
}
"""Every protocol by name."""


def resolve_protocol(card: DatasetCard, name: str | None) -> ScoringProtocol:
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
