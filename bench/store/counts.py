"""How much a store holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bench.store.tables import Environment, Experiment, Run, Study, Trial, View

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from bench.store.tables import Base


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


def count_trials(connection: Connection) -> dict[str, TrialCounts]:
    """Counts the trials of every study that has some, by the study's fingerprint."""
    query = sa.select(Trial.study, Trial.status, sa.func.count()).group_by(Trial.study, Trial.status)
    by_study: dict[str, dict[str, int]] = {}
    for study, status, number in connection.execute(query):
        by_study.setdefault(study, {})[status] = number
    return {
        study: TrialCounts(
            total=sum(numbers.values()),
            pruned=numbers.get("pruned", 0),
            failed=sum(number for status, number in numbers.items() if status not in ("done", "pruned")),
        )
        for study, numbers in by_study.items()
    }


def count_store(connection: Connection, *, address: str, schema: str, size_bytes: int | None) -> StoreCounts:
    """Counts all that a store holds.

    Args:
        connection: Of a transaction on the store.
        address: As in `StoreCounts`.
        schema: As in `StoreCounts`.
        size_bytes: As in `StoreCounts`.
    """

    def number(table: type[Base]) -> int:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    def by(column: Any) -> dict[str, int]:
        rows = connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column)).all()
        return {value: count for value, count in rows}

    return StoreCounts(
        address=address,
        schema=schema,
        size_bytes=size_bytes,
        experiments=number(Experiment),
        environments=number(Environment),
        views=number(View),
        studies=number(Study),
        trials=by(Trial.status),
        runs=by(Run.status),
        datasets=tuple(by(Run.dataset)),
        methods=tuple(by(Run.method)),
        newest=connection.execute(sa.select(sa.func.max(Run.created))).scalar(),
    )
