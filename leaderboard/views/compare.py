"""Compare: two methods on the same units. By how much do they differ, where, and would it last?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import polars as pl
import streamlit as st

from bench.analysis.paired import align_units, compare, unit_scores
from bench.analysis.report import GENERATED
from bench.analysis.seeds import TooFew
from bench.analysis.verdict import verdict_text
from bench.errors import UserError
from leaderboard.components import pick
from leaderboard.components.downloads import csv_button, file_stem
from leaderboard.components.text import ABSENT, count, plain
from leaderboard.views.task import load_table

if TYPE_CHECKING:
    from bench.analysis.paired import Comparison, PairedUnits
    from bench.analysis.seeds import SeedDifference
    from bench.analysis.summary import Table
    from bench.metrics.base import Direction
    from bench.store import Store
    from leaderboard.components.board import Board
    from leaderboard.components.pick import TableChoice


class Pair(NamedTuple):
    """Two methods on one metric."""

    comparison: Comparison
    """Its difference is the second's score minus the first's."""
    paired: PairedUnits


def load_pair(store: Store, choice: TableChoice, a: str, b: str, metric: str) -> Pair:
    """Compares two methods by the unit scores of their rows; nothing else is read.

    Raises:
        UserError: There is nothing to pair.
    """
    table = load_table(store, choice)
    paired = align_units(unit_scores(store, table.row(a)), unit_scores(store, table.row(b)), metric)
    return Pair(compare(paired, metric), paired)


def load_curves(store: Store, choice: TableChoice, methods: tuple[str, ...]) -> pl.DataFrame:
    """Returns the learning curves of some methods: `method`, `seed`, `epoch`, `value`, `name`."""
    table = load_table(store, choice)
    rows: list[tuple[str, int, int, str, float]] = []
    for method in methods:
        for seed, fingerprint in table.row(method).fingerprints.items():
            run = store.find_run(fingerprint)
            if run is not None:
                rows += [(method, seed, p.epoch, name, value) for p in run.curve for name, value in p.values.items()]
    schema = {"method": pl.String, "seed": pl.Int64, "epoch": pl.Int64, "name": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Compare")
    choice = pick.table(board)
    table = board.query(load_table, choice)
    methods = table.names()
    if table.generated:
        st.warning(GENERATED, icon=":material/science:")
    if len(methods) < 2:
        st.info("A comparison takes two methods with finished runs, and this table has fewer.")
        return
    columns = st.columns([2, 2, 2])
    a = pick.choose("First method", methods, key="a", default=methods[1], container=columns[0])
    others = [method for method in methods if method != a]
    b = pick.choose("Second method", others, key="b", container=columns[1])
    shared = [name for name in table.metrics if name in table.row(a).scores and name in table.row(b).scores]
    metric = pick.choose(
        "Metric", shared or [*table.metrics], key="metric", default=table.primary, container=columns[2]
    )
    try:
        pair = board.query(load_pair, choice, a, b, metric)
    except UserError as error:
        st.info("These two cannot be paired unit by unit.")
        st.text(error.message)
        if error.hint:
            st.text(error.hint)
    else:
        _answer(table, a, b, metric, pair)
        _units(table, a, b, metric, pair)
    _curves(board, table, choice, a, b, metric)


def _answer(table: Table, a: str, b: str, metric: str, pair: Pair) -> None:
    result = pair.comparison
    direction = table.directions.get(metric)
    said = verdict_text(a, b, result, result.p_value, direction)
    st.subheader("Answer", anchor=False)
    st.text(f"{said[0].upper()}{said[1:]}." if not said.startswith((a, b)) else f"{said}.")
    columns = st.columns(5)
    columns[0].metric(f"Mean {plain(a)}", f"{result.mean_a:.4f}")
    columns[1].metric(f"Mean {plain(b)}", f"{result.mean_b:.4f}")
    relative = f"{100 * result.difference / abs(result.mean_a):+.1f} %" if result.mean_a else None
    columns[2].metric("Difference", f"{result.difference:+.4f}", relative, delta_color=_COLOURS[direction])
    columns[3].metric("p over units", p_text(result.p_value), help="Sign-flip test, trained models as given.")
    dz = result.effect.cohens_dz if result.effect is not None else None
    columns[4].metric(
        "Effect d_z", ABSENT if dz is None else f"{dz:+.3f}", help="Mean difference by its spread over units."
    )
    st.dataframe(facts(pair), hide_index=True, width="stretch", height="content", column_config=_FACTS)


_COLOURS: dict[Direction | None, Literal["off", "normal", "inverse"]] = {
    None: "off",
    "maximize": "normal",
    "minimize": "inverse",
}
_FACTS = {
    "question": st.column_config.TextColumn("question", width=180),
    "answer": st.column_config.TextColumn("answer", width=938),
}


def facts(pair: Pair) -> pl.DataFrame:
    """Returns what is known of the difference, a line per question."""
    result = pair.comparison
    lines = {
        "interval over units": f"[{result.low:+.4f}, {result.high:+.4f}], {result.confidence:.0%} bootstrap",
        "over seeds": _over_seeds(result.over_seeds),
        "permuting seeds": _permuted(result.seed_p_value),
        "over seeds and units": _crossed(result.crossed),
        "units": f"{result.n:,}"
        + (f", {result.dropped:,} left out: the metric says nothing" if result.dropped else ""),
        "seeds": ", ".join(map(str, result.seeds)),
    }
    if result.effect is not None:
        effect = result.effect
        lines["units by sign"] = f"higher on {effect.higher:,}, lower on {effect.lower:,}, equal on {effect.equal:,}"
        lines["Cliff's delta"] = f"{effect.cliffs_delta:+.3f}"
    return pl.DataFrame({"question": list(lines), "answer": list(lines.values())})


def _over_seeds(answer: SeedDifference | TooFew | None) -> str:
    if answer is None or isinstance(answer, TooFew):
        return ABSENT if answer is None else f"too few: {answer.reason}"
    p_value = "neither varies over seeds" if answer.p_value is None else f"p = {p_text(answer.p_value)}"
    return f"{answer.difference:+.4f} [{answer.low:+.4f}, {answer.high:+.4f}], Welch's t, {p_value}"


def _permuted(answer: float | TooFew | None) -> str:
    if isinstance(answer, TooFew):
        return f"too few: {answer.reason}"
    return ABSENT if answer is None else f"p = {p_text(answer)}"


def _crossed(answer: tuple[float, float] | TooFew | None) -> str:
    if isinstance(answer, TooFew):
        return f"too few: {answer.reason}"
    return ABSENT if answer is None else f"[{answer[0]:+.4f}, {answer[1]:+.4f}], bootstrap"


def p_text(value: float) -> str:
    """Returns a p-value, short."""
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _units(table: Table, a: str, b: str, metric: str, pair: Pair) -> None:
    from leaderboard.components import pair_charts

    left, right = st.columns(2, gap="medium")
    with left:
        pair_charts.draw_differences(table, a, b, metric, pair.paired)
    with right:
        pair_charts.draw_scatter(table, a, b, metric, pair.paired)
    frame = pl.DataFrame({"unit": pair.paired.units, a: pair.paired.a, f"{b} ": pair.paired.b}).rename({f"{b} ": b})
    left, right = st.columns([6, 1], vertical_alignment="center")
    left.caption(
        f"{count(pair.comparison.n, 'unit')} (users, images or questions), each the mean over "
        f"{count(len(pair.comparison.seeds), 'seed')} that both methods have."
    )
    with right:
        csv_button(
            frame, name=file_stem("units", table.key.dataset, a, b, metric), label="Unit scores", key="csv units"
        )


def _curves(board: Board, table: Table, choice: TableChoice, a: str, b: str, metric: str) -> None:
    from leaderboard.components import pair_charts

    st.subheader("Learning curves", anchor=False)
    frame = board.query(load_curves, choice, (a, b))
    if frame.is_empty():
        st.text("Neither method has epochs to draw: a closed form is fitted in one step.")
        return
    names = frame["name"].unique(maintain_order=True).to_list()
    wanted = f"valid/{metric}"
    names.sort(key=lambda name: (name != wanted, not name.startswith("valid/"), name))
    name = pick.choose("Value", names, key="curve", container=st.columns([2, 4])[0])
    pair_charts.draw_curves(table, a, b, name, frame.filter(pl.col("name") == name))
