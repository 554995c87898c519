"""Gate: metrics over commits, and what the gate says of each cell against its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import streamlit as st

from bench.analysis.baseline import read_baseline
from bench.analysis.gate import OUTCOMES
from bench.analysis.history import allowed, belonging, moments, verdicts
from bench.analysis.summary import metric_direction
from bench.errors import UserError
from leaderboard.components import pick
from leaderboard.components.downloads import csv_button, file_stem
from leaderboard.components.tables import height
from leaderboard.components.text import ABSENT, count, plain

if TYPE_CHECKING:
    from bench.analysis.baseline import Baseline, CellKey
    from bench.analysis.gate import GateReport, Verdict
    from bench.analysis.history import Moment
    from bench.store import Store
    from leaderboard.components.board import Board
    from leaderboard.components.pick import TableChoice

FOLDER = Path("specs", "gate")
ANY = "Any table, without a baseline"
MARKS = {"pass": "● pass", "improve": "▲ improve", "regress": "▼ regress", "unknown": "? unknown"}
COLOURS = {"pass": "green", "improve": "blue", "regress": "red", "unknown": "gray"}
MOST_METHODS = 12
"""Lines that a chart can tell apart."""


class Judged(NamedTuple):
    """The runs of one commit, and what the gate says of them."""

    moment: Moment
    report: GateReport


def load_judged(store: Store, baseline: Baseline) -> list[Judged]:
    """Judges the runs of a gate that a store has, commit by commit, oldest first."""
    names = ("task", "protocol", "dataset", "method")
    wanted = {name: sorted({str(getattr(cell, name)) for cell in baseline.cells}) for name in names}
    found = _moments(store, belonging(baseline, store.runs(**wanted)) if baseline.cells else [])
    return [Judged(moment, verdicts(baseline, moment, store.unit_scores)) for moment in found]


def load_moments(store: Store, choice: TableChoice) -> list[Moment]:
    """Returns the finished runs of a table by the commit that made them, oldest first."""
    runs = store.runs(
        task=choice.task, dataset=choice.dataset, protocol=choice.protocol, budget=choice.budget, status="done"
    )
    return _moments(store, [run for run in runs if run.dataset_digest == choice.dataset_digest])


def _moments(store: Store, runs: list) -> list[Moment]:  # type: ignore[type-arg]
    digests = {run.environment for run in runs if run.environment}
    environments = {digest: found for digest in digests if (found := store.environment(digest)) is not None}
    return moments(runs, environments)


def baselines() -> dict[str, Path]:
    """Returns the baseline files by name: those of the working directory, else those beside the leaderboard."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        found = sorted((root / FOLDER).glob("*.json"))
        if found:
            return {path.stem: path for path in found}
    return {}


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Gate")
    st.caption("Did a change make a method worse? Runs of the same cell, by the commit that made them.")
    found = baselines()
    columns = st.columns([2, 3])
    about = f"Baseline files of {FOLDER}, kept in git."
    name = pick.choose("Gate", [*found, ANY], key="gate", help=plain(about), container=columns[0])
    if name == ANY:
        _any(board)
        return
    try:
        baseline = read_baseline(found[name])
    except UserError as error:
        st.error("The baseline cannot be read.")
        st.text(str(error))
        return
    judged = board.query(load_judged, baseline)
    if not judged:
        _nothing(name, baseline)
        return
    labels = {one.moment.label: one for one in reversed(judged)}
    label = pick.choose("Commit", list(labels), key="commit", container=columns[1])
    _verdicts(name, labels[label])
    _history(name, baseline, judged, labels[label].report)


def _nothing(name: str, baseline: Baseline) -> None:
    st.info("The store holds no run of this gate. The gate forgets its runs, unless a store is named.")
    spec = f"{FOLDER}/{name}"
    st.code(f"bench gate {spec}.yaml --baseline {spec}.json --store results.db", language="sh")
    st.subheader("What is expected", anchor=False)
    frame = pl.DataFrame(
        [
            (*cell.key, metric, value.mean, value.sd, value.n)
            for cell in baseline.cells
            for metric, value in cell.metrics.items()
        ],
        schema=["task", "protocol", "dataset", "method", "metric", "mean", "sd", "seeds"],
        orient="row",
    )
    numbers = {name: st.column_config.NumberColumn(name, format="%.4f") for name in ("mean", "sd")}
    st.dataframe(frame, hide_index=True, width="stretch", height=height(frame.height), column_config=numbers)
    csv_button(frame, name=file_stem("baseline", name), label="CSV", key="csv baseline")


def _verdicts(name: str, judged: Judged) -> None:
    counts = judged.report.counts
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for outcome in OUTCOMES:
            if counts[outcome]:
                st.badge(f"{counts[outcome]} {outcome}", color=COLOURS[outcome])  # type: ignore[arg-type]
        st.caption(f"{count(len(judged.moment.runs), 'run')}. Unknown is not a pass.")
    frame = verdict_frame(judged.report)
    number = st.column_config.NumberColumn
    columns = {
        "verdict": st.column_config.TextColumn("verdict", width=100),
        "method": st.column_config.TextColumn("method", width=130),
        "baseline": number("baseline", format="%.4f", width=80),
        "now": number("now", format="%.4f", width=80, help="Mean over the seeds of this commit."),
        "change": number("change", format="%+.4f", width=80),
        "allowed": number(
            "allowed", format="%.4f", width=80, help="How much worse it may be: from the measured noise."
        ),
        "seeds": st.column_config.NumberColumn("seeds", width=60),
        "reason": st.column_config.TextColumn("reason", width="medium"),
    }
    shown = frame.drop("task", "protocol") if frame["task"].n_unique() == 1 else frame.drop("protocol")
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=height(shown.height, most=16),
        column_config=columns,
        placeholder=ABSENT,
        key="verdicts",
    )
    csv_button(frame, name=file_stem("gate", name, judged.moment.commit[:7]), label="CSV", key="csv verdicts")


def verdict_frame(report: GateReport) -> pl.DataFrame:
    """Returns a gate's verdicts as a frame, the worst first."""
    # Where every unit scored the same, nothing had to be allowed.
    rows = [
        (MARKS[v.outcome], v.key.task, v.key.protocol, v.key.dataset, v.key.method, v.metric, v.baseline, v.value,
         v.change, v.tolerance or None, v.n, v.reason)
        for v in sorted(report.verdicts, key=lambda verdict: OUTCOMES.index(verdict.outcome))
    ]  # fmt: skip
    text, number = pl.String, pl.Float64
    schema = {
        "verdict": text, "task": text, "protocol": text, "dataset": text, "method": text, "metric": text,
        "baseline": number, "now": number, "change": number, "allowed": number, "seeds": pl.Int64, "reason": text,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _history(name: str, baseline: Baseline, judged: list[Judged], report: GateReport) -> None:
    st.subheader("Over commits", anchor=False)
    worst = sorted(report.verdicts, key=lambda verdict: OUTCOMES.index(verdict.outcome))
    keys = {f"{v.key.method} on {v.key.dataset}": v.key for v in [*worst, *_every(judged)]}
    columns = st.columns([3, 2])
    key = keys[pick.choose("Cell", list(keys), key="cell", container=columns[0])]
    cell = next((cell for cell in baseline.cells if cell.key == key), None)
    metrics = list(cell.metrics) if cell is not None else []
    if not metrics:
        st.info("The baseline does not have this cell.")
        return
    metric = pick.choose("Metric", metrics, key="metric", container=columns[1])
    frame = history_frame(judged, key, metric)
    if frame.is_empty():
        st.info("No commit of this store has a score of this cell.")
        return
    from leaderboard.components.gate_charts import draw_history

    expected = allowed(baseline, key, metric, int(frame["seeds"].max()))  # type: ignore[arg-type]
    draw_history(frame, metric, metric_direction(metric), expected, key=f"{name} {key.method} {key.dataset} {metric}")


def _every(judged: list[Judged]) -> list[Verdict]:
    return [verdict for one in judged for verdict in one.report.verdicts]


def history_frame(judged: list[Judged], key: CellKey, metric: str) -> pl.DataFrame:
    """Returns a metric of a cell at each commit: `commit`, `when`, `mean`, `low`, `high`, `seeds`, `verdict`.

    `low` and `high` are the least and the largest of the seeds.
    """
    rows = []
    for one in judged:
        verdict = next((v for v in one.report.verdicts if v.key == key and v.metric == metric), None)
        values = [
            run.metrics[metric]
            for run in one.moment.runs
            if (run.task, run.protocol, run.dataset, run.method) == key
            and run.status == "done"
            and metric in run.metrics
        ]
        if verdict is not None and verdict.value is not None and values:
            rows.append(
                (
                    one.moment.label,
                    one.moment.created,
                    verdict.value,
                    min(values),
                    max(values),
                    verdict.n,
                    verdict.outcome,
                )
            )
    schema = {
        "commit": pl.String, "when": pl.Datetime("us", "UTC"), "mean": pl.Float64, "low": pl.Float64,
        "high": pl.Float64, "seeds": pl.Int64, "verdict": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _any(board: Board) -> None:
    """Draws the history of a table that no baseline covers."""
    choice = pick.table(board)
    found = board.query(load_moments, choice)
    names = list(dict.fromkeys(name for moment in found for run in moment.runs for name in run.metrics))
    if not names:
        st.info("No finished run of this table says which commit made it.")
        return
    metric = pick.choose("Metric", names, key="metric", default=choice.select, container=st.columns(2)[0])
    frame = table_history(found, metric)
    newest = frame.sort("when").group_by("method").agg(pl.col("mean").last())
    ordered = newest.sort("mean", descending=metric_direction(metric) != "minimize")["method"].to_list()
    if len(ordered) > MOST_METHODS:
        st.caption(f"The best {MOST_METHODS} of {count(len(ordered), 'method')}.")
    from leaderboard.components.gate_charts import draw_methods

    shown = frame.filter(pl.col("method").is_in(ordered[:MOST_METHODS]))
    draw_methods(
        shown, ordered[:MOST_METHODS], metric, metric_direction(metric), key=f"history {choice.dataset} {metric}"
    )
    st.dataframe(
        shown.sort("when", "mean", descending=True),
        hide_index=True,
        width="stretch",
        height=height(shown.height, most=12),
        column_config={
            "mean": st.column_config.NumberColumn("mean", format="%.4f"),
            "when": st.column_config.DatetimeColumn("when", format="YYYY-MM-DD HH:mm"),
        },
    )


def table_history(found: list[Moment], metric: str) -> pl.DataFrame:
    """Returns the mean over seeds at each commit: `commit`, `when`, `method`, `mean`, `seeds`."""
    rows = []
    for moment in found:
        by_method: dict[str, list[float]] = {}
        for run in moment.runs:
            if metric in run.metrics:
                by_method.setdefault(run.method, []).append(run.metrics[metric])
        rows += [
            (moment.label, moment.created, method, sum(values) / len(values), len(values))
            for method, values in by_method.items()
        ]
    schema = {
        "commit": pl.String, "when": pl.Datetime("us", "UTC"), "method": pl.String, "mean": pl.Float64,
        "seeds": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
