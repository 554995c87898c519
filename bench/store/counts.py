"""How much a store holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class TrialCounts:
    """How many trials of a study are stored.

    Attributes:
        total: All of them.
        pruned: Those the pruner stopped.
        failed: Those that neither finished nor were pruned.
    """

    total: int = 0
    pruned: int = 0
    failed: int = 0


@dataclass(frozen=True)
class StoreCounts:
    """What a store holds, for `bench status`.

    Attributes:
        address: Path or URL, without a password.
        schema: Revision of the schema.
        size_bytes: Size of the file; None for a store that is no file.
        experiments: Specs that were run.
        environments: Distinct places they were run in.
        views: Compiled graphs on record.
        studies: Searches.
        trials: Status to number of trials.
        runs: Status to number of runs.
        datasets: Dataset ids that have runs.
        methods: Method labels that have runs.
        newest: When the last run ended (UTC).
    """

    address: str
    schema: str
    size_bytes: int | None
    experiments: int
    environments: int
    views: int
    studies: int
    trials: dict[str, int]
    runs: dict[str, int]
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    newest: datetime | None
