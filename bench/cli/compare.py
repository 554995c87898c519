"""`bench compare A B`: which of two methods is better, by how much, and is it real?"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bench.cli import output
from bench.cli.find import check_stored, method_of
from bench.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from bench.errors import UnknownNameError, UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.paired import Comparison
    from bench.analysis.summary import Row, Table
    from bench.metrics.base import Direction
    from bench.store import Store
    from bench.store.records import RunRecord

EXAMPLE = "bench compare mgcn lightgcn --dataset tiktok --metric recall@20"
ALPHA = 0.05


class Pair(NamedTuple):
    """Two methods on one metric of one table."""

    table: Table
    a: Row
    b: Row
    metric: str
    comparison: Comparison
    """Of a with b; its difference is a's score minus b's."""
    corrected: float


def _filter(name: str, about: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(f"--{name}", metavar=name.upper(), help=f"{about} May be repeated.")
    return option


def command(
    methods: Annotated[list[str], typer.Argument(metavar="A B...", help="Rows, by their names in the tables.")],
    *,
    dataset: Annotated[list[str] | None, _filter("dataset", "On these datasets; by default on all.")] = None,
    metric: Annotated[
        list[str] | None, _filter("metric", "On these metrics; by default on the one tables are ordered by.")
    ] = None,
    protocol: Annotated[list[str] | None, _filter("protocol", "Only these protocols.")] = None,
    budget: Annotated[list[str] | None, _filter("budget", "Only these budgets.")] = None,
    task: Annotated[list[str] | None, _filter("task", "Only these tasks.")] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=99, help="Resamples of every test.")] = 10_000,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Compare methods on the units (users, images, questions) that all of them were tested on.

    The difference is A's score minus B's. Over units: bootstrap interval and sign-flip test, trained models as given,
    p-values corrected by Holm over everything shown. Over seeds: would it last if both were trained again?
    """
    from bench.analysis.summary import summarise
    from bench.methods.registry import current_digests
    from bench.store import Store

    if len(set(methods)) < 2 or len(set(methods)) < len(methods):
        raise UserError(f"compare needs at least two different methods, but got {', '.join(methods)}.")
    with Store.open(store, read_only=True) as opened:
        every = opened.runs()
        runs = _chosen(every, opened.address, methods, task=task, dataset=dataset, protocol=protocol, budget=budget)
        tables = summarise(runs, current=current_digests(run.method for run in runs))
        pairs = _pairs(opened, tables, methods, metric, resamples)
    if as_json:
        output.emit({"alpha": ALPHA, "comparisons": [_plain(pair) for pair in pairs]})
        return
    for number, table in enumerate(dict.fromkeys(pair.table.title for pair in pairs)):
        if number:
            output.say()
        _print([pair for pair in pairs if pair.table.title == table], len(pairs))


def _chosen(
    runs: Sequence[RunRecord], address: str, methods: Sequence[str], **filters: Sequence[str] | None
) -> list[RunRecord]:
    """Returns the runs that fit, or says which of the names is unknown here."""
    if not runs:
        raise UserError(f"'{address}' holds no run yet.", hint="`bench run SPEC` makes some.")
    methods = [method_of(name, runs) for name in methods]
    check_stored(runs, address, method=methods, **filters)
    found = [
        run
        for run in runs
        if run.method in methods and all(getattr(run, name) in wanted for name, wanted in filters.items() if wanted)
    ]
    if not found:
        said = ", ".join(f"{name} {' or '.join(wanted)}" for name, wanted in filters.items() if wanted)
        raise UserError(f"no run of {' or '.join(methods)} in '{address}' has {said}.", hint="See `bench report`.")
    return found


def _pairs(
    store: Store, tables: Sequence[Table], methods: Sequence[str], metrics: Sequence[str] | None, resamples: int
) -> list[Pair]:
    from bench.analysis.multiple import holm
    from bench.analysis.paired import align_units, compare, unit_scores

    pairs: list[Pair] = []
    for table in tables:
        done = [row for row in table.rows if row.status == "done"]
        names = [name for name in methods if any(name in (row.label, row.method) for row in done)]
        if len(names) < 2:
            continue
        wanted = metrics or ([table.primary] if table.primary is not None else [])
        for metric in wanted:
            if metric not in table.metrics:
                known = ", ".join(table.metrics)
                raise UnknownNameError(
                    f"{table.title} has no metric {metric!r}.{did_you_mean(metric, table.metrics)}",
                    hint=f"Tested: {known}.",
                )
        frames = {name: unit_scores(store, table.row(name)) for name in names}
        for metric in wanted:
            for a, b in combinations(names, 2):
                paired = align_units(frames[b], frames[a], metric)
                comparison = compare(paired, metric, resamples=resamples)
                pairs.append(Pair(table, table.row(a), table.row(b), metric, comparison, 1.0))
    if not pairs:
        where = "; ".join(
            f"{table.title}: {', '.join(sorted({r.label for r in table.rows if r.status == 'done'})) or 'none'}"
            for table in tables
        )
        raise UserError(
            f"no table has a finished row of two of {', '.join(methods)}: they share no dataset, protocol and budget.",
            hint=f"Finished: {where}.",
        )
    corrected = holm([pair.comparison.p_value for pair in pairs])
    return [pair._replace(corrected=p_value) for pair, p_value in zip(pairs, corrected, strict=True)]


def _print(pairs: Sequence[Pair], compared: int) -> None:
    from bench.cli.tables import title

    output.say(title(pairs[0].table), style="bold")
    rows = []
    for pair in pairs:
        result = pair.comparison
        size = result.effect
        rows.append(
            [
                f"{pair.a.label} − {pair.b.label}",
                pair.metric,
                f"{result.mean_b:.4f}",
                f"{result.mean_a:.4f}",
                f"{result.difference:+.4f}",
                f"[{result.low:+.4f}, {result.high:+.4f}]",
                _p(result.p_value),
                _p(pair.corrected),
                _effect(size.cohens_dz if size else None),
                _effect(size.cliffs_delta if size else None),
                f"{result.n:,}",
                str(len(result.seeds)),
            ]
        )
    headers = ["A − B", "metric", "A", "B", "difference", "95 % over units", "p", "p (Holm)", "d_z", "Cliff's δ"]
    output.print_table([*headers, "units", "seeds"], rows, left=(0, 1))
    for pair in pairs:
        name = f"{pair.a.label} − {pair.b.label}, {pair.metric}" if len(pairs) > 1 else ""
        for line in _lines(pair):
            output.say(f" {f'{name}: ' if name else ''}{line}")
    output.say(f" Holm's correction is over {output.count(compared, 'comparison')}; d_z and δ are effect sizes.")
    if pairs[0].table.generated:
        from bench.analysis.report import GENERATED

        output.say(f" {GENERATED}")


def _lines(pair: Pair) -> list[str]:
    from bench.analysis.seeds import TooFew

    result = pair.comparison
    lines = [verdict(pair, pair.table.directions.get(pair.metric))]
    if isinstance(result.over_seeds, TooFew):
        lines.append(f"over seeds: too few: {result.over_seeds.reason}")
    elif result.over_seeds is not None:
        over = result.over_seeds
        p_value = "neither varies over seeds" if over.p_value is None else f"p = {_p(over.p_value)}"
        lines.append(f"over seeds: {over.difference:+.4f} [{over.low:+.4f}, {over.high:+.4f}] (Welch's t, {p_value})")
    if isinstance(result.crossed, tuple) and not isinstance(result.crossed, TooFew):
        lines.append(f"over seeds and units at once: [{result.crossed[0]:+.4f}, {result.crossed[1]:+.4f}] (bootstrap)")
    if isinstance(result.seed_p_value, TooFew):
        lines.append(f"permuting seeds: too few: {result.seed_p_value.reason}")
    elif result.seed_p_value is not None:
        lines.append(f"permuting seeds: p = {_p(result.seed_p_value)}")
    if result.effect is not None:
        a, b = pair.a.label, pair.b.label
        lines.append(
            f"units: {a} scores higher on {result.effect.higher:,}, {b} on {result.effect.lower:,}, "
            f"equal on {result.effect.equal:,}"
        )
    if result.dropped:
        lines.append(f"units left out: {result.dropped:,} about which the metric says nothing")
    return lines


def verdict(pair: Pair, direction: Direction | None) -> str:
    """Returns the answer in a sentence: a claim about methods needs units and seeds to agree."""
    from bench.analysis.verdict import verdict_text

    return verdict_text(pair.b.label, pair.a.label, pair.comparison, pair.corrected, direction, alpha=ALPHA)


def _plain(pair: Pair) -> dict[str, Any]:
    from bench.analysis.seeds import TooFew

    key, result = pair.table.key, pair.comparison

    def answer(value: Any) -> Any:
        return {"too_few": value._asdict()} if isinstance(value, TooFew) else output.plain(value)

    return {
        "a": pair.a.label,
        "b": pair.b.label,
        "task": key.task,
        "protocol": key.protocol,
        "dataset": key.dataset,
        "budget": key.budget,
        "dataset_digest": key.dataset_digest,
        "generated": pair.table.generated,
        "metric": pair.metric,
        "direction": pair.table.directions.get(pair.metric),
        "mean_a": result.mean_b,
        "mean_b": result.mean_a,
        "difference": result.difference,
        "interval": [result.low, result.high],
        "confidence": result.confidence,
        "p_value": result.p_value,
        "p_corrected": pair.corrected,
        "effect": output.plain(result.effect),
        "over_seeds": answer(result.over_seeds),
        "seed_permutation_p_value": answer(result.seed_p_value),
        "over_seeds_and_units": answer(result.crossed),
        "by_seed": {str(seed): value for seed, value in result.by_seed.items()},
        "units": result.n,
        "units_left_out": result.dropped,
        "seeds": list(result.seeds),
        "resamples": result.resamples,
        "verdict": verdict(pair, pair.table.directions.get(pair.metric)),
    }


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.001 else f"{value:.1e}"


def _effect(value: float | None) -> str:
    return output.ABSENT if value is None else f"{value:+.3f}"
