"""`bench merge`: finished runs of other stores into this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.store.records import RunRecord
    from bench.store.transfer import Merged

EXAMPLE = "bench merge node1.db node2.db --store results.db"

SourcesArgument = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Stores to copy from: files or URLs.")]
DatasetOption = Annotated[
    list[str] | None, typer.Option("--dataset", metavar="NAME", help="Only runs on it; may be repeated.")
]
MethodOption = Annotated[
    list[str] | None, typer.Option("--method", metavar="LABEL", help="Only runs of it; may be repeated.")
]


def command(
    sources: SourcesArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    dataset: DatasetOption = None,
    method: MethodOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy finished runs of other stores into this one.

    With scores per unit, curves, samples, studies and provenance. Sources are only read. A run that this store has
    stays as it is, so doing it twice changes nothing.
    """
    from bench.cli.find import check_stored, open_existing
    from bench.cli.progress import ProgressBar
    from bench.store import Store
    from bench.store.engine import locate
    from bench.store.transfer import merge_runs

    def place(address: str) -> str:
        found = locate(address)
        return str(found) if found.path is None else str(found.path.resolve())

    twice = [source for source in sources if place(source) == place(store)]
    if twice:
        raise UserError(f"'{twice[0]}' is the store itself.", hint="Name stores to copy from, and --store for where.")
    every: list[RunRecord] = []
    for source in sources:
        with open_existing(source) as found:
            if found is None:
                raise UserError(f"there is no store '{source}'.", hint="Nothing was copied.")
            every += found.runs()
    check_stored(every, "', '".join(sources), dataset=dataset, method=method)
    results: dict[str, Merged] = {}
    with Store.open(store) as target, ProgressBar(silent=as_json) as bar:
        for source in sources:
            with Store.open(source, read_only=True) as opened:
                runs = opened.runs(curves=True, dataset=dataset or None, method=method or None)
                label = f"copying {source}"
                results[source] = merge_runs(opened, target, runs, lambda done: bar(label, done, len(runs)))  # noqa: B023
    if as_json:
        output.emit({source: output.plain(merged) for source, merged in results.items()})
        return
    for source, merged in results.items():
        left_out = f", {len(merged.unfinished)} unfinished left out" if merged.unfinished else ""
        output.say(f"{source}: {output.count(len(merged.copied), 'run')} copied, {len(merged.there)} there{left_out}")
