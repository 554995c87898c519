"""Charts of one search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import streamlit as st

from bench.analysis.importance import TOP, importances
from bench.analysis.seeds import TooFew
from bench.spec.space import Choices, Log, parse_domain
from leaderboard.components.charts import BEST, MUTED, OTHER, SECOND, show_chart
from leaderboard.components.downloads import file_stem
from leaderboard.components.text import one_line, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.search import ExpectedBest
    from bench.store.records import StudyRecord, TrialRecord

STATES = {"done": BEST, "pruned": OTHER, "not finished": MUTED}


def state(trial: TrialRecord) -> str:
    """Returns how a trial ended, in three words at most."""
    return trial.status if trial.status in ("done", "pruned") else "not finished"


def history(study: StudyRecord, trials: Sequence[TrialRecord]) -> pl.DataFrame:
    """Returns the trials that reached a value, by number, with the best finished value so far."""
    better = max if study.direction == "maximize" else min
    rows: list[tuple[int, str, float, float | None]] = []
    best: float | None = None
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.value is None or not math.isfinite(trial.value):
            continue
        if trial.status == "done":
            best = trial.value if best is None else better(best, trial.value)
        rows.append((trial.number, state(trial), trial.value, best))
    schema = {"trial": pl.Int64, "status": pl.String, "value": pl.Float64, "best": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _states() -> alt.Color:
    scale = alt.Scale(domain=list(STATES), range=list(STATES.values()))
    return alt.Color("status:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def draw_history(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    """Draws every trial's value and the best so far."""
    st.subheader("History", anchor=False)
    frame = history(study, trials)
    missing = len(trials) - frame.height
    if missing:
        st.caption(f"{missing} of {len(trials)} trials ended before they had a value, and are not drawn.")
    if frame.is_empty():
        return
    x = alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=f"validation {study.select}", scale=alt.Scale(zero=False))
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            x=x, y=y, color=_states(), shape=alt.Shape("status:N", legend=None), tooltip=["trial", "status", "value"]
        )
    )
    line = alt.Chart(frame).mark_line(interpolate="step-after", color=SECOND, strokeWidth=2).encode(x=x, y="best:Q")
    show_chart(
        alt.layer(line, points).properties(height=300),
        frame,
        name=file_stem("history", study.dataset, study.method),
        alt=f"Validation {plain(study.select)} of each trial; a line is the best finished one so far.",
        key="history",
    )


def draw_importances(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    """Draws how much each setting mattered."""
    st.subheader("What mattered", anchor=False)
    found = importances(study, trials)
    if isinstance(found, TooFew):
        st.text(f"Too few: {found.reason}.")
        return
    st.caption(f"Share in telling the best {TOP:.0%} of finished trials from the others (PED-ANOVA).")
    frame = pl.DataFrame({"setting": [item.name for item in found], "share": [item.share for item in found]})
    bars = (
        alt.Chart(frame)
        .mark_bar(color=BEST)
        .encode(
            x=alt.X("share:Q", axis=alt.Axis(format="%"), title="importance"),
            y=alt.Y("setting:N", sort=None, title=None, axis=alt.Axis(labelLimit=160)),
            tooltip=["setting", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    show_chart(
        bars.properties(height=max(180, 34 * frame.height + 70)),
        frame,
        name=file_stem("importances", study.dataset, study.method),
        alt="Importance of each searched setting.",
        key="importances",
    )


def draw_expected(study: StudyRecord, points: Sequence[ExpectedBest]) -> None:
    """Draws the expected best value after so many trials."""
    st.subheader("Expected best", anchor=False)
    if len(points) < 2:
        st.text("Too few: two trials with a value are needed.")
        return
    st.caption("Best validation score to expect of n random trials, ± one standard deviation (Dodge et al., 2019).")
    frame = pl.DataFrame(
        {
            "trials": [point.trials for point in points],
            "mean": [point.mean for point in points],
            "low": [point.mean - point.sd for point in points],
            "high": [point.mean + point.sd for point in points],
        }
    )
    x = alt.X("trials:Q", title="trials", axis=alt.Axis(tickMinStep=1))
    scale = alt.Scale(zero=False)
    band = alt.Chart(frame).mark_area(color=BEST, opacity=0.18).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    line = (
        alt.Chart(frame)
        .mark_line(color=BEST)
        .encode(
            x=x, y=alt.Y("mean:Q", title=f"best {study.select}", scale=scale), tooltip=["trials", "mean", "low", "high"]
        )
    )
    show_chart(
        alt.layer(band, line).properties(height=250),
        frame,
        name=file_stem("expected", study.dataset, study.method),
        alt=f"Expected best validation {plain(study.select)} by number of trials.",
        key="expected",
    )


def parallel_frame(study: StudyRecord, trials: Sequence[TrialRecord]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns lines (`trial`, `status`, `value`, `axis`, `place` in [0, 1], `setting`) and the ticks of their axes."""
    space = {name: parse_domain(raw) for name, raw in study.space.items()}
    kept = [trial for trial in trials if trial.value is not None and math.isfinite(trial.value)]
    values = [trial.value for trial in kept if trial.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    lines: list[tuple[int, str, float | None, str, float, str]] = []
    for trial in kept:
        for name, domain in space.items():
            if name in trial.params:
                value = trial.params[name]
                lines.append((trial.number, state(trial), trial.value, name, _place(domain, value), one_line(value)))
        score = 0.5 if high == low else ((trial.value or 0.0) - low) / (high - low)
        lines.append((trial.number, state(trial), trial.value, study.select, score, one_line(trial.value)))
    ticks: list[tuple[str, float, str]] = []
    for name, domain in space.items():
        if isinstance(domain, Choices):
            ticks += [(name, _place(domain, choice), one_line(choice)) for choice in domain.values]
        else:
            ticks += [(name, end, f"{bound:.3g}") for end, bound in ((0.0, domain.low), (1.0, domain.high))]
    ticks += [(study.select, end, f"{low + end * (high - low):.4f}") for end in (0.0, 1.0)]
    kinds = {"trial": pl.Int64, "status": pl.String, "value": pl.Float64, "axis": pl.String}
    return (
        pl.DataFrame(lines, schema=kinds | {"place": pl.Float64, "setting": pl.String}, orient="row"),
        pl.DataFrame(ticks, schema={"axis": pl.String, "place": pl.Float64, "setting": pl.String}, orient="row"),
    )


def _place(domain: Any, value: Any) -> float:
    if isinstance(domain, Choices):
        return domain.values.index(value) / max(1, len(domain.values) - 1) if value in domain.values else 0.0
    if isinstance(domain, Log):
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return float((value - domain.low) / (domain.high - domain.low))


def draw_parallel(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    """Draws a line per trial through its settings, the better the darker."""
    st.subheader("Parallel coordinates", anchor=False)
    lines, ticks = parallel_frame(study, trials)
    if lines.is_empty():
        st.text("No trial reached a value.")
        return
    order = [*study.space, study.select]
    x = alt.X("axis:N", sort=order, title=None, scale=alt.Scale(padding=0.3), axis=alt.Axis(orient="top", labelAngle=0))
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(domain=[-0.09, 1.09]))
    reverse = study.direction == "minimize"
    colour = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="viridis", reverse=reverse),
        legend=alt.Legend(title=study.select, orient="right", gradientLength=220),
    )
    dash = alt.StrokeDash(
        "status:N", scale=alt.Scale(domain=list(STATES), range=[[1, 0], [4, 3], [1, 3]]), legend=alt.Legend(title=None)
    )
    paths = (
        alt.Chart(lines)
        .mark_line(opacity=0.6, strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            detail="trial:N",
            color=colour,
            strokeDash=dash,
            tooltip=["trial", "status", "value", "axis", "setting"],
        )
    )
    axes = pl.DataFrame({"axis": order, "low": [0.0] * len(order), "high": [1.0] * len(order)})
    rules = alt.Chart(axes).mark_rule(color=MUTED).encode(x=x, y=alt.Y("low:Q", axis=None), y2="high:Q")
    text = alt.Chart(ticks).encode(x=x, y=y, text="setting:N")
    # Ends stand outside the lines, what is between them beside its axis.
    labels = [
        text.transform_filter("datum.place == 1").mark_text(dy=-10, fontSize=11, color=MUTED),
        text.transform_filter("datum.place == 0").mark_text(dy=11, fontSize=11, color=MUTED),
        text.transform_filter("datum.place > 0 && datum.place < 1").mark_text(
            align="right", dx=-7, fontSize=11, color=MUTED
        ),
    ]
    show_chart(
        alt.layer(rules, paths, *labels).properties(height=360),
        lines.select("trial", "status", "value", "axis", "setting"),
        name=file_stem("parallel", study.dataset, study.method),
        alt=f"A line per trial through its settings to its validation {plain(study.select)}; pruned trials are dashed.",
        key="parallel",
    )
