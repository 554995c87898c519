"""Finding the store and the run a user means."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.errors import UnknownNameError, UserError, did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.store import Store
    from bench.store.records import RunRecord


@contextmanager
def open_existing(address: str) -> Iterator[Store | None]:
    """Opens a store to look something up, and never makes or changes it; None where there is none yet."""
    from bench.store import Store
    from bench.store.engine import locate

    path = locate(address).path
    if path is not None and not path.exists():
        yield None
        return
    with Store.open(address, read_only=True) as store:
        yield store


def check_stored(runs: Iterable[RunRecord], where: str, **filters: Sequence[str] | None) -> None:
    """Checks that every value asked for is that of some run.

    Args:
        runs: Stored runs.
        where: What the store is called.
        filters: Fields of a run, and the values asked for; None asks for nothing.

    Raises:
        UnknownNameError: No run has a value; names the nearest, and all that are stored.
    """
    runs = list(runs)
    for name, wanted in filters.items():
        known = {getattr(run, name) for run in runs}
        for value in wanted or ():
            if value not in known:
                raise UnknownNameError(
                    f"no run of {name} {value!r} in '{where}'.{did_you_mean(value, known)}",
                    hint=f"Stored: {', '.join(sorted(known)) or 'nothing'}.",
                )


def method_of(name: str, runs: Sequence[RunRecord]) -> str:
    """Returns the method of a row's name: `dualvgr` of `dualvgr (units=4)`."""
    method = name.partition(" (")[0]
    return method if any(run.method == method for run in runs) else name


def find_run(store: Store, text: str) -> RunRecord:
    """Returns the run called `text`.

    Args:
        store: Where to look.
        text: The beginning of a fingerprint, or `method:dataset:seed`. Of several runs with the latter name that answer
            the same question (task, protocol, budget) the newest finished one is meant.

    Raises:
        UserError: Nothing fits, or several runs do; the message lists them.
    """
    if ":" not in text:
        return store.run(text.lower())
    parts = text.split(":")
    if len(parts) != 3 or not parts[2].isdigit():
        raise UserError(
            f"run {text!r} is not of the form METHOD:DATASET:SEED.",
            hint="Write for example mgcn:baby:0, or the beginning of a fingerprint.",
        )
    method, dataset, seed = parts
    found = store.latest_runs_like(method=method, dataset=dataset, seed=int(seed))
    if not found:
        known = [f"{run.method}:{run.dataset}:{run.seed}" for run in store.runs()]
        near = nearest(text, known)
        raise UnknownNameError(
            f"no run of method {method!r} on dataset {dataset!r} with seed {seed} in '{store.address}'.",
            hint=f"Nearest: {', '.join(near)}." if near else "`bench report` shows what is stored.",
        )
    questions = {(run.task, run.protocol, run.budget) for run in found}
    if len(questions) > 1:
        listed = "; ".join(f"{run.fingerprint[:12]} ({run.protocol}, budget {run.budget})" for run in found[:8])
        raise UserError(f"{len(found)} runs are called {text!r}: {listed}.", hint="Give a fingerprint's beginning.")
    finished = [run for run in found if run.status == "done"]
    return store.run((finished or found)[0].fingerprint)
