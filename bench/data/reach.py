"""How much of what is held out can be hit at all, under a protocol that leaves items out of the candidates.

Where rows repeat a pair of user and item, a split by rows can put one into training and the other into test. The
training row then masks the test row's item, and no method can hit it: recall has a ceiling below 1 at any K.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.data.types import Interactions

Mask = Literal["train", "train+valid", "history", "nothing"]


class Reach(NamedTuple):
    """Of the rows of a split, those that a ranking can hit.

    Attributes:
        users: Users with a target.
        users_reached: Those of them with a target that is not masked.
        targets: Target rows, repeated ones counted.
        targets_reached: Distinct targets (user, item) that are not masked.
        recall: Recall@K of a perfect ranking for K → ∞: the mean over `users` of their distinct targets that are not
            masked over their target rows. MMRec's arithmetic: a repeated row
            counts in the denominator, and is not hit twice.
    """

    users: int
    users_reached: int
    targets: int
    targets_reached: int
    recall: float


def reach(targets: Interactions, masked: Sequence[Interactions]) -> Reach:
    """Counts the targets that can be hit.

    Args:
        targets: Held-out rows, at least one.
        masked: Rows whose items are no candidates for their users.
    """
    width = 1 + max(int(rows.items.max(initial=-1)) for rows in (targets, *masked))
    users, rows = np.unique(targets.users, return_counts=True)
    distinct = np.unique(_codes(targets, width))
    hidden = np.isin(distinct, np.concatenate([_codes(part, width) for part in masked])) if masked else False
    open_users = distinct[~np.broadcast_to(hidden, distinct.shape)] // width
    hits = np.bincount(np.searchsorted(users, open_users), minlength=len(users))
    return Reach(
        users=len(users),
        users_reached=int(np.count_nonzero(hits)),
        targets=len(targets),
        targets_reached=len(open_users),
        recall=float(np.mean(hits / rows)),
    )


def reach_notes(train: Interactions, valid: Interactions, test: Interactions, mask: Mask) -> dict[str, dict[str, Any]]:
    """Returns what a dataset's notes say of the reach of validation, where training rows are masked, and of test.

    Args:
        train: Training rows; of sequences, all but the last two items of each user.
        valid: Validation rows.
        test: Test rows.
        mask: What the protocol masks at test; the history is everything but the test row.
    """
    masked = {"train": [train], "nothing": []}.get(mask, [train, valid])
    return {"valid": reach(valid, [train])._asdict(), "test": reach(test, masked)._asdict()}


def sentence(part: str, found: Mapping[str, Any]) -> str:
    """Returns the reach of a part, as in a dataset's notes, for a person."""
    if found["targets_reached"] == found["targets"]:
        return f"{part}: all {found['targets']:,} targets of {found['users']:,} users can be hit"
    users, reached = found["users"], found["users_reached"]
    return (
        f"{part}: {reached:,} of {users:,} users ({reached / users:.1%}) have a target that is not masked; "
        f"{found['targets_reached']:,} distinct ones of {found['targets']:,} target rows can be hit; "
        f"recall is at most {found['recall']:.4f} at any K"
    )


def _codes(rows: Interactions, width: int) -> np.ndarray:
    return np.asarray(rows.users.astype(np.int64) * width + rows.items)
