"""Finding a run by the beginning of its fingerprint, however many runs there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from bench.errors import UnknownNameError
from bench.store.tables import Run

if TYPE_CHECKING:
    from bench.store.records import RunRecord
    from bench.store.repository import Store

_LISTED = 5


def look_up(store: Store, prefix: str) -> RunRecord:
    """Returns the one run whose fingerprint begins with `prefix`, curve included.

    `Store.run` does the same, and looks through all runs for a name to suggest.

    Raises:
        UnknownNameError: No run begins so, or several do; the message lists some.
    """
    query = (
        sa.select(Run.fingerprint, Run.method, Run.dataset, Run.seed)
        .where(Run.fingerprint.startswith(prefix, autoescape=True))
        .order_by(Run.fingerprint)
        .limit(_LISTED + 1)
    )
    with store.reading() as connection:
        found = connection.execute(query).all() if prefix else []
    exact = [row for row in found if row.fingerprint == prefix] or found
    if len(exact) != 1:
        some = ", ".join(f"{row.fingerprint[:12]} ({row.method} on {row.dataset}, seed {row.seed})" for row in found)
        told = f"several runs begin with {prefix!r}: {some}." if found else f"no run begins with {prefix!r}."
        raise UnknownNameError(told, hint="Give more characters." if found else "Runs are listed by task and dataset.")
    run = store.find_run(exact[0].fingerprint)
    if run is None:
        raise UnknownNameError(f"run {prefix!r} was removed while it was read.")
    return run
